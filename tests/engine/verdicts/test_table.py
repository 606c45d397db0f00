"""The table of runtimes: complete, sourced, in the words of the recipe, and each rule reached by something."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from pydantic import ValidationError

from dfrot_engine.formats import FORMATS
from dfrot_engine.plan_types import Output
from dfrot_engine.recipe import Export
from dfrot_engine.verdicts.judge import PLAIN, Case, command, rule_for
from dfrot_engine.verdicts.table import Rule, Runtime, facts
from dfrot_engine.verdicts.types import LOADS

RUNTIMES = {one.name: one for one in facts().runtimes}
EXPORTS = tuple(facts().exports)
BOTH = (True, False)
NAMES = (PLAIN, "int4", "int8", "fp8", "nvfp4", "mxfp4")
CASES = tuple(
    Case(*fields, is_head=is_head, is_expert=is_expert, is_uneven=is_uneven)
    for fields in product(NAMES, BOTH, (0, 16, 32, 64, 128), NAMES, BOTH)
    for is_head, is_expert, is_uneven in product(BOTH, BOTH, BOTH)
    if is_head + is_expert + is_uneven <= 1
)


def test_the_runtimes_and_the_exports() -> None:
    assert tuple(RUNTIMES) == ("transformers", "vLLM", "vLLM CPU", "SGLang", "llama.cpp", "OpenVINO")
    kinds = get_args(Export.model_fields["kind"].annotation)
    assert set(kinds) <= set(EXPORTS)
    assert {name for name, export in facts().exports.items() if export.files == "gguf"} == {
        name for name in EXPORTS if name.startswith("gguf")
    }


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=list(RUNTIMES))
def test_every_export_has_rules_and_what_loads_has_a_command(runtime: Runtime) -> None:
    assert {export for rule in runtime.rules for export in rule.exports} == set(EXPORTS)
    for rule in runtime.rules:
        kinds = {facts().exports[export].files for export in rule.exports}
        assert rule.outcome not in LOADS or kinds <= set(runtime.commands), rule


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=list(RUNTIMES))
def test_every_fact_has_a_source(runtime: Runtime) -> None:
    assert runtime.version
    for rule in runtime.rules:
        assert rule.reason.endswith("."), rule
        assert rule.source, rule
        assert not rule.source.endswith("."), rule
        if rule.how == "not-tried":
            assert rule.outcome == "not-tried", rule


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=list(RUNTIMES))
def test_rules_use_the_words_of_the_recipe_and_flags_of_their_runtime(runtime: Runtime) -> None:
    known = {PLAIN, *FORMATS}
    for rule in runtime.rules:
        assert known.issuperset((rule.weights or ()) + (rule.activations or ()))
        assert rule.flags is None or rule.flags in runtime.ways
        assert rule.capabilities is None or (
            runtime.device == "cuda" and set(rule.capabilities) <= set(facts().generations)
        )
    assert known.issuperset(runtime.kv_flags)


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=list(RUNTIMES))
def test_no_rule_is_hidden_by_the_rules_before_it(runtime: Runtime) -> None:
    capabilities = tuple(facts().generations) if runtime.device == "cuda" else (None,)
    reached = {
        id(rule_for(runtime, export, case, capability, flags))
        for export, case, capability, flags in product(EXPORTS, CASES, capabilities, runtime.ways)
    }
    assert [rule for rule in runtime.rules if id(rule) not in reached] == []


def test_a_word_the_table_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate({"exports": ["gguf"], "outcome": "maybe", "reason": "-", "how": "ran", "source": "-"})
    with pytest.raises(ValidationError):
        Rule.model_validate(
            {"exports": ["gguf"], "wieghts": ["int4"], "outcome": "loads", "reason": "-", "how": "ran", "source": "-"}
        )


def test_commands_quote_the_folder() -> None:
    def of(name: str, kind: str, *flags: str) -> str:
        return command(RUNTIMES[name], Output(exporter=kind, folder="/my models/it's", bytes=0), flags)

    quoted = """'/my models/it'"'"'s'"""
    file = """'/my models/it'"'"'s'/*.gguf"""
    assert of("vLLM", "compressed-tensors") == f"vllm serve {quoted}"
    assert of("vLLM", "compressed-tensors", "", "--a b") == f"vllm serve {quoted} --a b"
    assert of("SGLang", "rotated-bf16") == f"python -m sglang.launch_server --model-path {quoted}"
    assert of("llama.cpp", "gguf") == f"llama-server -m {file}"
    assert of("llama.cpp", "compressed-tensors") == ""
    python = of("transformers", "compressed-tensors")
    assert """from_pretrained("/my models/it's")""" in python
    compile(python, "snippet", "exec")
    for name, kind in (("transformers", "gguf"), ("transformers", "rotated-bf16"), ("OpenVINO", "gguf")):
        compile(of(name, kind), "snippet", "exec")
