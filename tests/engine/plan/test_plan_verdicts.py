"""Will it load? What the plan says, and that it never contradicts the plan's problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine import Plan, RunOptions, make_plan
from dfrot_engine import plan as plan_module
from dfrot_engine.exporters.limits import LIMITS
from dfrot_engine.formats import FORMATS
from dfrot_engine.verdicts.table import facts
from dfrot_engine.verdicts.types import EVERY_RUNTIME, LOADS
from tests.engine.plan.conftest import found
from tests.engine.runs import tiny_recipe
from tests.engine.verdicts.asking import ask, linear, row
from tests.tiny_models import save_tiny_model

KIND = "compressed-tensors"
TAKES_ASYMMETRIC = "No runtime but transformers takes asymmetric"
CANNOT_UNPACK = "transformers cannot load asymmetric weights"


def test_every_export_is_judged_by_every_runtime(plan: Callable[..., Plan]) -> None:
    exports = [{"kind": kind, "subfolder": kind} for kind in LIMITS]
    made = plan(("exports", exports))
    names = {runtime.name for runtime in facts().runtimes}
    for output in made.outputs:
        rows = [one for one in made.verdicts if one.export == output.exporter]
        assert {one.runtime for one in rows} == names
        assert {output.folder in one.command for one in rows if one.command} == {True}


def test_nothing_written_nothing_judged(plan: Callable[..., Plan]) -> None:
    assert plan(("exports", [])).verdicts == ()
    assert plan(("model.id_or_path", "no/such/folder")).verdicts == ()


def test_they_follow_the_recipe_and_go_into_the_json(plan: Callable[..., Plan]) -> None:
    made = plan(("activations", {"format": "int4"}))
    assert row(made.verdicts, "vLLM CPU").words == "16-bit activations"
    assert row(plan().verdicts, "vLLM CPU").words == "loads"
    assert Plan.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(("capabilities", "generation"), [((89,), "Turing–Ada (sm75–sm89)"), ((), "CPU")])
def test_this_computer_is_marked(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, capabilities: tuple[int, ...], generation: str
) -> None:
    monkeypatch.setattr(plan_module, "gpu_capabilities", lambda: capabilities)
    fields = (("weights", {"format": "int4", "granularity": "per-channel"}), ("activations", {"format": "int4"}))
    marked = [one.generation for one in plan(*fields).verdicts if one.is_this_computer and one.runtime != "SGLang"]
    assert set(marked) == {generation}


def test_a_quantized_head_is_judged_as_the_warning_says(plan: Callable[..., Plan]) -> None:
    made = plan(("skip", []))
    warning = found(made, "skip")
    assert warning.severity == "warning"
    assert "transformers and newer versions of vLLM do" in warning.message
    assert row(made.verdicts, "transformers").outcome == "loads"
    assert {one.linear for one in made.verdicts if one.runtime.startswith("vLLM")} == {"lm_head"}
    assert {one.outcome for one in made.verdicts if one.runtime.startswith("vLLM")} == {"not-tried"}


@pytest.mark.parametrize("name", ["int3", "int4", "int8", "fp8"])
def test_the_flag_of_the_kv_cache_has_one_home(plan: Callable[..., Plan], name: str) -> None:
    made = plan(("kv_cache", {"format": name}))
    flag = facts().runtime("vLLM").kv_flags.get(name)
    assert (flag is None) is (name == "int3")
    command = row(made.verdicts, "vLLM", 80).command
    assert (flag or "stays at 16 bits") in found(made, "kv_cache").remedy
    assert command.endswith(flag or "output")


NAMES = ("int3", "int4", "int8", "fp8", "nvfp4", "mxfp4")


def schemes() -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Format × symmetry × granularity of weights, with format × symmetry of activations."""
    weights: list[dict[str, Any]] = [
        {"format": name} | symmetry | granularity
        for name, symmetry, granularity in product(
            NAMES, ({}, {"symmetric": False}), ({"group_size": 32}, {"granularity": "per-channel"})
        )
        if not FORMATS[name].is_float or (not symmetry and granularity == {"granularity": "per-channel"})
    ]
    activations: list[dict[str, Any]] = [
        {"format": name} | symmetry
        for name, symmetry in product(NAMES, ({}, {"symmetric": False}))
        if not FORMATS[name].is_float or not symmetry
    ]
    for weight in weights:
        fixed: dict[str, Any] = {"format": weight["format"]} if FORMATS[weight["format"]].group_size else weight
        yield fixed, None
        yield from ((fixed, activation) for activation in activations)


def test_verdicts_and_limits_agree_on_every_scheme(plan: Callable[..., Plan]) -> None:
    """What an export refuses is refused here in the same words; what limits say of runtimes is what the table says."""
    said: set[str] = set()
    for weights, activations in schemes():
        fields = [("weights", weights), ("rotation.r1.kind", "none")]
        made = plan(*fields, *([("activations", activations)] if activations else []))
        own = {problem.message for problem in made.errors}
        if not own:
            assert {one.runtime for one in made.verdicts} == {runtime.name for runtime in facts().runtimes}
            continue
        (only,) = made.verdicts
        assert (only.runtime, only.outcome, only.command) == (EVERY_RUNTIME, "refused", "")
        assert only.reason in own
        judged = ask(linear(weights, activations))
        loading = {one.runtime for one in judged if one.outcome in LOADS}
        for message in own:
            if message.startswith(TAKES_ASYMMETRIC):
                said.add(TAKES_ASYMMETRIC)
                assert loading <= {"transformers"}, message
            if message.startswith(CANNOT_UNPACK):
                said.add(CANNOT_UNPACK)
                assert "transformers" not in loading, message
            if message.startswith("This export does not write"):
                name = message.split()[5]
                assert name not in facts().exports[KIND].formats
    assert said == {TAKES_ASYMMETRIC, CANNOT_UNPACK}
    assert "transformers" in {
        one.runtime
        for one in ask(linear({"format": "int4"}, {"format": "int4", "symmetric": False}))
        if one.outcome in LOADS
    }


@pytest.mark.parametrize("preset", ["w4a16", "w8a8"])
def test_experts_are_judged_as_the_warning_says(preset: str, tmp_path: Path) -> None:
    model = save_tiny_model("mixtral", tmp_path / "model")
    recipe = tiny_recipe(model, preset, evaluation=None, rotation__r1__kind="hadamard")
    made = make_plan(recipe, RunOptions(output_dir=tmp_path / "out", device="cpu"))
    warned = any("transformers leaves them at 16 bits" in problem.message for problem in made.problems)
    assert warned is (preset == "w8a8")
    words = row(made.verdicts, "transformers").words
    assert words == ("16-bit activations" if warned else "loads")


def test_what_is_written_is_what_the_table_says(plan: Callable[..., Plan]) -> None:
    for name in FORMATS:
        made = plan(("weights", {"format": name}), ("activations", {"format": name}), ("rotation.r1.kind", "none"))
        assert (not made.errors) is (name in facts().exports[KIND].formats), name
