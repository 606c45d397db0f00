"""What a run has come to, read from its work folder: how it ended or was cut off, where, and how to go on. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from dfrot_engine.errors import DFRotError
from dfrot_engine.events import (
    JOURNAL,
    Evaluated,
    Event,
    RunEnded,
    RunStarted,
    StageAdvanced,
    StageFinished,
    StageStarted,
    Warned,
    read_events,
)
from dfrot_engine.options import RunOptions
from dfrot_engine.outside_files import read_json
from dfrot_engine.work_lock import is_in_use, owner

_UNREAD = ("measured", "remaining_time", "logged", "block_quantized", "massive_tokens_found")
KILLED = "Its journal has no end and nobody is at work on it: it was killed, crashed, or the computer went off."


class StageRecord(BaseModel):
    """One stage as the last start of the run left it; seconds of a stage that did not end go up to its last word."""

    name: str
    status: Literal["waiting", "going on", "not finished", "done", "kept"] = "waiting"
    seconds: float = 0.0
    peak_bytes: int = 0
    step: int = 0
    steps: int = 0
    label: str = ""


class RunRecord(BaseModel):
    """A run's journal in short.

    Args:
        status: "killed" where the journal has no end and no process holds the work folder.
        starts: how often it was started.
        seconds: from the last start to the last word.
        numbers: of the evaluation, by metric; `originals` the same of the original model.
        outputs: the folders that were written.
        resume: the command that goes on with it; "" for one that is finished or going on.
    """

    work_dir: Path
    recipe: str
    model: str
    device: str
    output_dir: str
    status: Literal["finished", "cancelled", "failed", "killed", "running"]
    message: str = ""
    remedy: str = ""
    starts: int
    started: datetime
    seconds: float
    stages: tuple[StageRecord, ...]
    numbers: dict[str, float]
    originals: dict[str, float] = {}
    outputs: tuple[str, ...] = ()
    warnings: tuple[str, ...]
    resume: str = ""

    @property
    def where(self) -> str:
        """The stage that did not end, and what it was at: "quantize, Block 3 of 30"; "" if every stage ended."""
        open_stages = (stage for stage in self.stages if stage.status in ("going on", "not finished"))
        return next((", ".join(filter(None, (one.name, one.label))) for one in open_stages), "")


def work_folder_of(folder: Path) -> Path | None:
    """The work folder of a run, given itself or the output folder beside it; None if there is none."""
    beside = folder.absolute().with_name(folder.absolute().name + ".dfrot")
    return next((one for one in (folder, beside) if (one / JOURNAL).is_file()), None)


def read_run(work_dir: Path) -> RunRecord | None:
    """What the journal tells; None if no run was ever started there."""
    events: list[Event] = []
    with suppress(DFRotError):  # what comes before a damaged line still stands
        events.extend(read_events(work_dir, leave_out=_UNREAD))
    starts = [index for index, event in enumerate(events) if isinstance(event, RunStarted)]
    # A run that was refused in its work folder has said so before it began.
    if not starts:
        return None
    last = events[starts[-1] :]
    begun, latest = last[0], last[-1]
    assert isinstance(begun, RunStarted)
    ended = latest if isinstance(latest, RunEnded) else None
    status = ended.status if ended else "running" if is_in_use(work_dir) else "killed"
    return RunRecord(
        work_dir=work_dir,
        recipe=begun.recipe_name,
        model=begun.model,
        device=begun.device,
        output_dir=begun.output_dir,
        status=status,
        message=ended.message if ended else KILLED if status == "killed" else "",
        remedy=ended.remedy if ended else "",
        starts=len(starts),
        started=begun.time,
        seconds=max(0.0, (latest.time - begun.time).total_seconds()),
        stages=_stages(begun, last, is_going_on=status == "running"),
        numbers={event.metric: event.value for event in last if isinstance(event, Evaluated)},
        originals={
            event.metric: event.baseline
            for event in last
            if isinstance(event, Evaluated) and event.baseline is not None
        },
        outputs=ended.outputs if ended else (),
        warnings=tuple(f"{event.message} {event.remedy}".strip() for event in last if isinstance(event, Warned)),
        resume="" if status in ("finished", "running") else _resume_command(work_dir),
    )


def _stages(begun: RunStarted, events: Iterable[Event], *, is_going_on: bool) -> tuple[StageRecord, ...]:
    stages = {name: StageRecord(name=name) for name in begun.stages}
    opened: dict[str, datetime] = {}
    heard = begun.time
    for event in events:
        heard = event.time
        match event:
            case StageStarted(stage=name, steps=steps):
                opened[name] = event.time
                stages[name] = StageRecord(name=name, status="going on" if is_going_on else "not finished", steps=steps)
            case StageAdvanced(stage=name) if name in opened:
                changes = {"step": event.step, "steps": event.steps, "label": event.label or stages[name].label}
                stages[name] = stages[name].model_copy(update=changes)
            case StageFinished(stage=name):
                opened.pop(name, None)
                facts = {"seconds": event.seconds, "peak_bytes": event.peak_bytes}
                stages[name] = StageRecord(name=name, status="kept" if event.reused else "done", **facts)
            case _:
                pass
    for name, since in opened.items():
        stages[name] = stages[name].model_copy(update={"seconds": max(0.0, (heard - since).total_seconds())})
    return tuple(stages.values())


def _resume_command(work_dir: Path) -> str:
    """From the recipe and the options the run left; "" when they are gone."""
    try:
        options = RunOptions.model_validate(read_json(work_dir / "options.json"))
    except (OSError, ValueError):
        return ""
    recipe = work_dir.absolute() / "recipe.toml"
    if not recipe.is_file():
        return ""
    command = shlex.join(["dfrot", "run", str(recipe), *options.flags()])
    # A model that is named by a relative path is found from where the run was started.
    folder = str(owner(work_dir).get("cwd", ""))
    return f"cd {shlex.quote(folder)} && {command}" if folder and folder != str(Path.cwd()) else command
