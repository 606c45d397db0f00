"""What recovery adds to a plan."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dfrot_engine import Plan
from tests.engine.plan.conftest import found

ON = ("recovery.kind", "scales")


def test_recovery_takes_time_and_memory(plan: Callable[..., Plan]) -> None:
    samples = ("calibration.num_samples", 64)
    without, short, long = (
        next(stage for stage in plan(samples, *fields).stages if stage.stage == "quantize")
        for fields in ((), (ON,), (ON, ("recovery.steps", 10_000)))
    )
    assert short.summary == f"{without.summary}; recovery in 100 steps a block"
    assert without.seconds is not None
    assert short.seconds is not None
    assert long.seconds is not None
    assert without.seconds <= short.seconds < long.seconds
    assert short.peak_memory_bytes > without.peak_memory_bytes


def test_too_few_sequences_to_hold_any_out(plan: Callable[..., Plan]) -> None:
    problem = found(plan(ON, ("calibration.num_samples", 3)), "calibration.num_samples")
    assert problem.severity == "warning"
    assert "3 calibration sequences" in problem.message
    assert not plan(ON, ("calibration.num_samples", 4)).problems
    assert not plan(("calibration.num_samples", 3)).problems


def test_nothing_to_recover(plan: Callable[..., Plan]) -> None:
    nothing = (("weights", None), ("exports", [{"kind": "rotated-bf16"}]))
    problem = found(plan(ON, *nothing), "recovery")
    assert problem.severity == "error"
    assert not plan(ON, *nothing, ("kv_cache.format", "int8"), ("exports", [])).errors


@pytest.mark.parametrize(
    ("fields", "severity", "words"),
    [
        ((("weights.group_size", 32), ("exports.0.kind", "gguf")), "error", "no adapter"),
        ((), None, ""),
    ],
)
def test_factors_need_files_that_an_adapter_can_lie_beside(
    plan: Callable[..., Plan], fields: tuple[tuple[str, object], ...], severity: str | None, words: str
) -> None:
    problems = [one for one in plan(("recovery.kind", "lora"), *fields).problems if one.field == "recovery"]
    assert [one.severity for one in problems] == ([severity] if severity else [])
    assert all(words in one.message for one in problems)
