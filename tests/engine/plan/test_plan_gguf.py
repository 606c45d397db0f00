"""What a GGUF file can and cannot hold, said by the plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine import Plan, RunOptions, make_plan
from dfrot_engine.checkpoint.headers import TensorHeader
from dfrot_engine.checkpoint.local import inspect_folder
from dfrot_engine.exporters.gguf_limits import folded_problems
from dfrot_engine.exporters.gguf_table import GGUF_KINDS, rope_of, window_of
from dfrot_engine.exporters.limits import file_problems
from dfrot_engine.recipe import Export, Recipe
from dfrot_engine.verdicts.table import facts
from tests.engine.exporters.tokenizers_of import trained_tokenizer
from tests.engine.plan.conftest import BASE, found
from tests.tiny_models import save_tiny_model

CODES: dict[str, Any] = {"kind": "gguf"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_model("llama", tmp_path_factory.mktemp("gguf") / "tiny", hidden_size=64)
    trained_tokenizer("gpt-2").save_pretrained(folder)
    return folder


@pytest.fixture
def gguf_plan(folder: Path, tmp_path: Path) -> Callable[..., Plan]:
    """Plans a recipe whose codes GGUF can hold, with some fields set."""

    def make(*fields: tuple[str, Any], model: Path = folder) -> Plan:
        recipe = BASE.with_field("model.id_or_path", str(model)).with_field("exports", [CODES])
        for field, value in fields:
            recipe = recipe.with_field(field, value)
        return make_plan(recipe, RunOptions(output_dir=tmp_path / "output", device="cpu"))

    return make


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("weights.symmetric", False)],
        [("weights.format", "int8")],
        [("skip", [])],
        [("overrides", [{"linears": "*.down_proj", "weights": {"format": "int8", "group_size": 32}}])],
    ],
)
def test_codes_that_gguf_holds(gguf_plan: Callable[..., Plan], fields: list[tuple[str, Any]]) -> None:
    assert gguf_plan(*fields).problems == ()


@pytest.mark.parametrize(
    ("fields", "field", "word"),
    [
        ([("weights.group_size", 16)], "weights.group_size", "32 columns"),
        ([("weights.granularity", "per-channel")], "weights.granularity", "32 columns"),
        ([("weights.format", "int3")], "weights.format", "int3"),
        ([("weights.format", "fp8")], "weights.format", "fp8"),
        ([("weights.format", "int8"), ("weights.symmetric", False)], "weights.symmetric", "asymmetric"),
        ([("weights", None)], "weights", "no codes"),
        ([("rotation.r4.kind", "hadamard")], "rotation.r4.kind", "cannot carry R4"),
        ([("exports", [CODES, {"subfolder": "packed"}])], "exports", "float16 scales"),
        (
            [("overrides", [{"linears": "*.up_proj", "weights": {"format": "int5", "group_size": 32}}])],
            "overrides.0.weights.format",
            "int5",
        ),
    ],
)
def test_what_gguf_cannot_hold(
    gguf_plan: Callable[..., Plan], fields: list[tuple[str, Any]], field: str, word: str
) -> None:
    problem = found(gguf_plan(*fields), field)
    assert problem.severity == "error"
    assert word in problem.message


def test_folded_files_ask_nothing_of_the_codes(gguf_plan: Callable[..., Plan]) -> None:
    for kind in ("gguf-f16", "gguf-q8_0"):
        fields = [("exports", [{"kind": kind}, {"subfolder": "packed"}]), ("weights.group_size", 16)]
        assert gguf_plan(*fields).problems == ()
        assert gguf_plan(*fields, ("rotation.r4.kind", "hadamard")).errors


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("activations", {"format": "int4"}, "8 bits in groups of 32"),
        ("kv_cache", {"format": "int4"}, "does not travel"),
        ("rotation.r3", True, "R3"),
    ],
)
def test_what_the_runtime_does_by_itself(gguf_plan: Callable[..., Plan], field: str, value: Any, word: str) -> None:
    problem = found(gguf_plan((field, value)), field)
    assert problem.severity == "warning"
    assert word in problem.message


@pytest.mark.parametrize(
    ("name", "changes", "word"),
    [
        ("gemma", {}, "not written for gemma"),
        ("phi3", {}, "not written for phi3"),
        ("mistral", {}, "looks back 8 tokens"),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}, "looks back 8 tokens"),
        ("qwen3", {"hidden_act": "gelu"}, "computes SiLU"),
        ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "scaled as 'yarn'"),
    ],
)
def test_models_that_gguf_cannot_describe(
    gguf_plan: Callable[..., Plan], name: str, changes: dict[str, Any], word: str, tmp_path: Path
) -> None:
    model = save_tiny_model(name, tmp_path / "tiny", hidden_size=64, **changes)
    trained_tokenizer("gpt-2").save_pretrained(model)
    problem = found(gguf_plan(model=model), "exports")
    assert problem.severity == "error"
    assert word in problem.message
    assert not gguf_plan(("exports", []), model=model).errors


def test_tensors_without_a_name_are_refused(folder: Path) -> None:
    facts = inspect_folder(folder, model_id="tiny")
    facts.headers["model.layers.0.mlp.extra.weight"] = TensorHeader("extra", "F32", (1,), "", 4)
    try:
        assert "no name for 'model.layers.0.mlp.extra.weight'" in folded_problems(Recipe(), facts)[0].message
    finally:
        del facts.headers["model.layers.0.mlp.extra.weight"]


def test_tokenizers_are_checked_before_the_run(gguf_plan: Callable[..., Plan], tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "tiny", hidden_size=64)  # its tokenizer merges nothing
    assert "merges nothing" in found(gguf_plan(model=model), "exports").message
    # Of a model on the Hub the plan does not see it; the run looks once more when it is there.
    recipe = Recipe(exports=(Export(kind="gguf-f16"),)).with_field("model.id_or_path", "someone/model")
    assert [problem.field for problem in file_problems(recipe, model)] == ["exports"]
    assert file_problems(recipe.with_field("exports", []), model) == []


@pytest.mark.parametrize("kind", GGUF_KINDS)
def test_every_runtime_is_judged(gguf_plan: Callable[..., Plan], kind: str) -> None:
    made = gguf_plan(("exports", [{"kind": kind}]))
    assert {one.runtime for one in made.verdicts} == {runtime.name for runtime in facts().runtimes}


def test_sizes(gguf_plan: Callable[..., Plan]) -> None:
    exports = [{"kind": kind, "subfolder": kind} for kind in (*GGUF_KINDS, "rotated-bf16")]
    codes, eight, half, dense = (output.bytes for output in gguf_plan(("exports", exports)).outputs)
    assert codes < half == dense
    assert 0.52 < eight / half < 0.54


def test_rope_of_old_and_new_configs() -> None:
    assert rope_of({}) == {"rope_type": "default", "rope_theta": 10_000.0}
    assert rope_of({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}}) == {
        "type": "linear",
        "factor": 2.0,
        "rope_type": "linear",
        "rope_theta": 5e5,
    }
    new = {"rope_type": "llama3", "rope_theta": 1e6}
    assert rope_of({"rope_parameters": new, "rope_theta": 1.0}) == new


def test_windows_as_long_as_the_model_are_none() -> None:
    assert window_of({"model_type": "mistral", "max_position_embeddings": 32_768}) == 4_096  # what the class takes
    assert window_of({"model_type": "mistral", "max_position_embeddings": 4_096}) is None
    assert window_of({"model_type": "mistral", "sliding_window": None}) is None
    assert window_of({"model_type": "qwen2", "sliding_window": 8, "max_position_embeddings": 512}) is None
