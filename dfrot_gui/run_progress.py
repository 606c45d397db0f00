"""How far a run is and how long it will take; numbers from a RunState, and the words for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from dfrot_engine.events import uptime_s
from dfrot_gui.run_parts import StageState
from dfrot_gui.run_state import RunState

# Shares of a typical run, used where the plan gave no seconds.
TYPICAL_SECONDS: Mapping[str, float] = {
    "load": 3.0,
    "calibrate": 25.0,
    "rotate": 30.0,
    "quantize": 30.0,
    "export": 3.0,
    "prove": 15.0,
    "evaluate": 15.0,
}
MIN_SECONDS_FOR_ESTIMATE = 5.0
MIN_FRACTION_FOR_ESTIMATE = 0.03


class RunClock:
    """The time by the engine's clock: what it said last, and what has passed since.

    That clock never jumps within a run; the computer's may be set while the run goes on.
    """

    def __init__(self) -> None:
        self._heard: datetime | None = None
        self._then = datetime.now(UTC)
        self._then_s = uptime_s()

    def hear(self, time: datetime | None) -> None:
        """Take the time of the last event; of a run in another process the first may be long ago."""
        if time is not None and time != self._heard:
            self._then = time if self._heard else max(time, datetime.now(UTC))
            self._then_s = uptime_s()
            self._heard = time

    def now(self) -> datetime:
        return self._then + timedelta(seconds=uptime_s() - self._then_s)


def elapsed_s(state: RunState, now: datetime | None = None) -> float:
    """Seconds since the start without pauses, up to `now` while active, else up to the last event."""
    until = now if now and state.is_active else state.last_heard
    if state.started is None or until is None:
        return 0.0
    pause_s = max(0.0, (until - state.paused_since).total_seconds()) if state.paused_since else 0.0
    return max(0.0, (until - state.started).total_seconds() - state.paused_s - pause_s)


def overall_fraction(state: RunState, estimates: Mapping[str, float] = TYPICAL_SECONDS) -> float:
    """Share of the whole run that is done, 0 to 1, each stage weighed by its estimated seconds."""
    total = sum(_weight(stage, estimates) for stage in state.stages)
    if state.status == "finished" or not total:
        return 1.0 if state.status == "finished" else 0.0
    return sum(_weight(stage, estimates) * stage.fraction for stage in state.stages) / total


def remaining_s(
    state: RunState, now: datetime | None = None, estimates: Mapping[str, float] = TYPICAL_SECONDS
) -> float | None:
    """Seconds still to go, or None while there is too little to go by.

    What the engine said last, less the time since. Before it has timed a step, the running stage goes on at its own
    pace; later stages take their estimate times how much slower or faster this computer has been than estimated so far.
    """
    spent_s = elapsed_s(state, now)
    if state.is_active and state.left_s is not None:
        return max(0.0, state.left_s - (spent_s - state.left_since_s))
    if not state.is_active or spent_s < MIN_SECONDS_FOR_ESTIMATE:
        return None
    expected_s = sum(_weight(stage, estimates) * _fresh_fraction(stage) for stage in state.stages)
    if expected_s <= 0:
        return None
    pace = spent_s / expected_s
    own_s = spent_s - sum(one.seconds for one in state.stages if one.status == "done")
    left_s = 0.0
    for stage in state.stages:
        fresh = _fresh_fraction(stage)
        if stage.status == "running" and fresh > MIN_FRACTION_FOR_ESTIMATE:
            left_s += own_s * (1.0 - stage.fraction) / fresh
        else:
            left_s += pace * _weight(stage, estimates) * (1.0 - stage.fraction)
    return left_s


def _weight(stage: StageState, estimates: Mapping[str, float]) -> float:
    return estimates.get(stage.name) or TYPICAL_SECONDS.get(stage.name, 5.0)


def _fresh_fraction(stage: StageState) -> float:
    """The share of a stage done in this run, without what an earlier run left."""
    if stage.status == "reused" or not stage.steps:
        return 1.0 if stage.status == "done" else 0.0
    return max(0.0, stage.fraction - stage.skipped_steps / stage.steps)
