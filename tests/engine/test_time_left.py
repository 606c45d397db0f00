from __future__ import annotations

import pytest

from dfrot_engine.events import Event, RemainingTime, StageAdvanced, StageFinished, StageStarted
from dfrot_engine.plan_types import StageEstimate
from dfrot_engine.time_left import with_remaining_time


class Play:
    """A run in made-up time: events cost nothing unless `pause_s` passes inside a report."""

    def __init__(self, **planned: float | None) -> None:
        self.now = 0.0
        self.pause_s = 0.0
        self.said: list[float] = []
        stages = [
            StageEstimate(stage=name, summary="", peak_memory_bytes=0, disk_bytes=0, seconds=seconds)
            for name, seconds in planned.items()
        ]
        self._report = with_remaining_time(self._take, stages, lambda: self.now)

    def _take(self, event: Event) -> None:
        self.now, self.pause_s = self.now + self.pause_s, 0.0
        if isinstance(event, RemainingTime):
            self.said.append(event.seconds)

    def start(self, stage: str, steps: int) -> None:
        self._report(StageStarted(stage=stage, steps=steps))

    def advance(self, after_s: float, stage: str, step: int, steps: int) -> None:
        self.now += after_s
        self._report(StageAdvanced(stage=stage, step=step, steps=steps))

    def finish(self, stage: str, seconds: float, *, reused: bool = False) -> None:
        self._report(StageFinished(stage=stage, seconds=seconds, reused=reused))


def test_a_stage_goes_on_at_the_pace_of_its_first_block_and_the_rest_of_the_plan_is_scaled_by_it() -> None:
    """Planned 10 s a block, one took 30: three times slower, and so is the evaluation."""
    play = Play(quantize=100.0, evaluate=20.0)
    play.start("quantize", 10)
    play.advance(15.0, "quantize", 0, 10)
    assert play.said == []
    play.advance(15.0, "quantize", 1, 10)
    assert play.said == [9 * 30.0 + 3 * 20.0]
    play.advance(10.0, "quantize", 1, 10)  # inside the second block nothing new is known
    play.advance(0.0, "quantize", 2, 10)
    assert play.said[1:] == [8 * 20.0 + 2 * 20.0]


def test_blocks_of_an_earlier_run_took_no_time_now() -> None:
    play = Play(quantize=100.0)
    play.start("quantize", 10)
    play.advance(1.0, "quantize", 6, 10)
    play.advance(9.0, "quantize", 7, 10)
    assert play.said == [pytest.approx(3 * 10.0)]


def test_pauses_do_not_count() -> None:
    play = Play(quantize=100.0)
    play.start("quantize", 4)
    play.pause_s = 1_000.0
    play.advance(5.0, "quantize", 0, 4)
    play.advance(5.0, "quantize", 1, 4)
    assert play.said == [pytest.approx(3 * 10.0)]


def test_finished_stages_say_how_fast_the_computer_is_and_reused_ones_say_nothing() -> None:
    play = Play(calibrate=10.0, rotate=50.0, quantize=40.0, evaluate=10.0)
    play.finish("calibrate", 99.0, reused=True)
    play.start("rotate", 1)
    play.now += 100.0
    play.finish("rotate", 100.0)
    play.start("quantize", 4)
    play.advance(0.0, "quantize", 0, 4)
    play.advance(20.0, "quantize", 1, 4)
    assert play.said == [pytest.approx(60.0 + 10.0 * (100.0 + 80.0) / (50.0 + 40.0))]


def test_unknown_plans_and_fast_steps_are_no_trouble() -> None:
    play = Play(load=None, quantize=None)
    play.start("quantize", 100)
    for step in range(1, 100):
        play.advance(0.1, "quantize", step, 100)
    assert len(play.said) == 4  # at most every two seconds
    assert play.said[-1] == pytest.approx(0.1 * 20, rel=0.2)
