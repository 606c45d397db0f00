"""What compressed-tensors carries beside integers: R4 in Hadamard blocks, and 4-bit floats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dfrot_engine import Plan
from tests.engine.plan.conftest import found
from tests.tiny_models import save_tiny_model

R4_BLOCKS = {"kind": "block-descent", "block_size": 32}
R4_CARRIED = {"kind": "block-hadamard", "block_size": 32}


def test_compressed_tensors_carries_r4_in_hadamard_blocks(plan: Callable[..., Plan]) -> None:
    assert plan(("rotation.r4", R4_CARRIED)).errors == ()
    refined = plan(("rotation.r4", R4_BLOCKS), ("activations", {"format": "int4"}))
    assert "as Hadamard blocks" in found(refined, "rotation.r4.kind").message
    other = found(plan(("exports.0.kind", "rotated-bf16"), ("rotation.r4", R4_CARRIED)), "rotation.r4.kind")
    assert "nonsense" in other.message


@pytest.mark.parametrize(
    ("name", "words"),
    [("qwen3_moe", "experts"), ("gemma3", "vision tower"), ("starcoder2", "bias"), ("starcoder2-unbiased", "")],
)
def test_r4_is_not_carried_where_a_runtime_could_not_apply_it(
    name: str, words: str, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    model = save_tiny_model(name, tmp_path / name)
    fields = ("rotation.r4", R4_CARRIED | {"permute": False}), ("rotation.r1.kind", "none"), ("weights.group_size", 16)
    made = plan(*fields, ("model.id_or_path", str(model)))
    problems = [problem for problem in made.problems if problem.field == "rotation.r4.kind"]
    assert [words in problem.message for problem in problems] == [True] * bool(words)


@pytest.mark.parametrize("formats", [("nvfp4", None), ("nvfp4", "nvfp4"), ("mxfp4", None), ("mxfp4", "mxfp4")])
def test_4_bit_floats_are_written(formats: tuple[str, str | None], plan: Callable[..., Plan]) -> None:
    weights, activations = formats
    scheme = None if activations is None else {"format": activations}
    made = plan(("weights", {"format": weights}), ("activations", scheme), ("rotation.r1.kind", "none"))
    assert made.problems == ()
