"""What GPTQ and Qronos add to a plan."""

from __future__ import annotations

from collections.abc import Callable

from dfrot_engine.plan import Plan
from tests.engine.plan.conftest import found


def test_a_solver_that_needs_tokens_takes_longer_and_more_memory(plan: Callable[..., Plan]) -> None:
    many = ("calibration.num_samples", 10_000)
    nearest, gptq, qronos = (stage(plan(many, ("solver.kind", kind)), "quantize") for kind in ("rtn", "gptq", "qronos"))
    assert (nearest.seconds or 0) < (gptq.seconds or 0) < (qronos.seconds or 0)
    assert nearest.peak_memory_bytes <= gptq.peak_memory_bytes <= qronos.peak_memory_bytes
    assert [one.summary.rsplit(", ", 1)[1] for one in (nearest, gptq, qronos)] == ["round to nearest", "GPTQ", "Qronos"]


def test_more_tokens_take_longer(plan: Callable[..., Plan]) -> None:
    few, many = (
        stage(plan(("solver.kind", "gptq"), ("calibration.num_samples", number)), "quantize")
        for number in (1_000, 10_000)
    )
    assert (many.seconds or 0) > (few.seconds or 0)
    assert many.disk_bytes > few.disk_bytes


def test_too_few_tokens_are_named(plan: Callable[..., Plan]) -> None:
    few = (("calibration.num_samples", 1), ("calibration.seq_len", 16))
    problem = found(plan(("solver.kind", "gptq"), *few), "calibration.num_samples")
    assert problem.severity == "warning"
    assert "16 calibration tokens" in problem.message
    assert not [one for one in plan(*few).problems if "calibration tokens say" in one.message]


def test_a_solver_without_weights_to_round_is_named(plan: Callable[..., Plan]) -> None:
    problem = found(plan(("solver.kind", "qronos"), ("weights", None), ("exports", [])), "solver.kind")
    assert "no weights" in problem.message


def stage(made: Plan, name: str):
    return next(one for one in made.stages if one.stage == name)
