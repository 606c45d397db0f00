"""What the budget for hidden states, long sequences and this computer's speed make of a plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dfrot_engine import speed
from dfrot_engine.memory import split_budget
from dfrot_engine.plan import Plan, StageEstimate
from tests.engine.checkpoint.folders import save_model

MANY = (("calibration.num_samples", 20_000), ("solver.kind", "qronos"))
HIDDEN_BYTES = 20_000 * 128 * 64 * 4  # of the tiny model, in float32


def stage(made: Plan, name: str) -> StageEstimate:
    return next(one for one in made.stages if one.stage == name)


# What attention gives in both streams is held besides the four where there is room, and not at all where there is none.
@pytest.mark.parametrize(("name", "streams"), [("calibrate", 4), ("quantize", 6)])
def test_what_the_budget_does_not_hold_goes_to_the_disk(name: str, streams: int, plan: Callable[..., Plan]) -> None:
    rich, poor = (stage(plan(*MANY, memory=memory), name) for memory in (100 * HIDDEN_BYTES, HIDDEN_BYTES))
    assert rich.peak_memory_bytes - poor.peak_memory_bytes == pytest.approx((streams - 1) * HIDDEN_BYTES, rel=0.01)
    # Both streams in front of a block and behind it are written anyway, for a resumed run.
    assert poor.disk_bytes - rich.disk_bytes == pytest.approx(3 * HIDDEN_BYTES if name == "calibrate" else 0, rel=0.01)


def test_a_solver_takes_longer_where_attention_is_run_again(plan: Callable[..., Plan]) -> None:
    rich, some, poor = (
        stage(plan(*MANY, memory=memory), "quantize").seconds or 0.0
        for memory in (100 * HIDDEN_BYTES, 5 * HIDDEN_BYTES, HIDDEN_BYTES)
    )
    assert 1.2 * rich < poor < 3 * rich
    assert some == pytest.approx((rich + poor) / 2, rel=0.02)  # half of the sequences


def test_peak_does_not_grow_with_the_tokens_beyond_the_budget(plan: Callable[..., Plan]) -> None:
    made = [
        plan(("solver.kind", "gptq"), ("calibration.num_samples", n), memory=10**7) for n in (5_000, 20_000, 80_000)
    ]
    peaks = {stage(one, "quantize").peak_memory_bytes for one in made}
    assert len(peaks) == 1


@pytest.mark.parametrize("config", [{}, {"sliding_window": 64}], ids=["causal", "window"])
def test_a_long_sequence_goes_through_a_block_whole(config: dict, plan: Callable[..., Plan], tmp_path: Path) -> None:
    """Of the same tokens, short sequences go in batches of 2,048; a window's mask takes a byte for each pair."""
    model = str(save_model(tmp_path / "long", max_position_embeddings=8_192, **config))
    peaks = [
        stage(
            plan(
                ("model.id_or_path", model),
                ("rotation.r1.sample_rows", 256),
                ("calibration.seq_len", length),
                ("calibration.num_samples", 65_536 // length),
                memory=0,
            ),
            "calibrate",
        ).peak_memory_bytes
        for length in (512, 2_048, 8_192)
    ]
    heads, mask = 6_144 * 4 * 64 * 2, (8_192**2 - 2_048**2 if config else 0)
    assert peaks[2] - peaks[1] >= heads + mask
    assert peaks[0] <= peaks[1] <= peaks[0] + 2_048**2


def test_seconds_follow_the_speed_of_this_computer(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    usual = stage(plan(*MANY), "quantize").seconds or 0
    fast = speed.core_flops()
    monkeypatch.setattr("dfrot_engine.plan_estimates.core_flops", lambda: fast / 10)
    assert stage(plan(*MANY), "quantize").seconds == pytest.approx(10 * usual, rel=0.05)


def test_the_speed_is_tried_once_and_quickly() -> None:
    assert speed.core_flops() == speed.core_flops()
    assert 1e8 < speed.core_flops() < 1e13


def test_the_budget_is_split_in_one_place() -> None:
    assert split_budget(0, 10) == (False, 0)
