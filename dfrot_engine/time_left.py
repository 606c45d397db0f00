"""How long a run will still take: the stage that runs at the pace of its finished steps, the others by the plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from dfrot_engine.events import Event, RemainingTime, StageAdvanced, StageFinished, StageStarted
from dfrot_engine.plan_types import StageEstimate
from dfrot_engine.progress import Report

_EVERY_S = 2.0


def with_remaining_time(
    report: Report, stages: Sequence[StageEstimate], clock: Callable[[], float] = time.monotonic
) -> Report:
    """A report that adds the remaining time when a step of a stage is finished, at most every two seconds."""
    pace = _Pace({stage.stage: stage.seconds or 0.0 for stage in stages})
    said = clock()
    waited = 0.0  # inside reports, where pauses land

    def report_with_remaining_time(event: Event) -> None:
        nonlocal said, waited
        now = clock()
        left_s = pace.take(event, now - waited)
        report(event)
        if left_s is not None and now - said >= _EVERY_S:
            said = now
            report(RemainingTime(seconds=round(left_s, 1)))
        waited += clock() - now

    return report_with_remaining_time


class _Pace:
    """What the events say about time.

    Args:
        planned: seconds of each stage, in order.
    """

    def __init__(self, planned: Mapping[str, float]) -> None:
        self._planned = dict(planned)
        self._waiting = list(planned)
        self._stage = ""
        self._started = self._planned_so_far = self._spent = 0.0
        self._first = self._last = -1

    def take(self, event: Event, now: float) -> float | None:
        """Seconds left, where the event finishes a step and steps have been timed; `now` in seconds without pauses."""
        match event:
            case StageStarted():
                self._stage, self._started, self._first = event.stage, now, -1
                self._waiting = [stage for stage in self._waiting if stage != event.stage]
            case StageFinished():
                self._waiting = [stage for stage in self._waiting if stage != event.stage]
                if not event.reused:
                    self._spent += event.seconds
                    self._planned_so_far += self._planned.get(event.stage, 0.0)
            case StageAdvanced() if event.stage == self._stage:
                if self._first < 0:
                    self._first = self._last = event.step  # what an earlier run left took no time now
                if event.step > self._last:
                    self._last = event.step
                    return self._left(event.step, event.steps, now)
            case _:
                pass
        return None

    def _left(self, step: int, steps: int, now: float) -> float:
        own = (now - self._started) / (step - self._first)
        # This computer may be slower than planned for, and so far it is all that is known of it.
        whole_stage = own * (steps - self._first)
        share = (steps - self._first) / max(1, steps)
        planned = self._planned_so_far + share * self._planned.get(self._stage, 0.0)
        slower = (self._spent + whole_stage) / planned if planned else 1.0
        return own * (steps - step) + slower * sum(self._planned[stage] for stage in self._waiting)
