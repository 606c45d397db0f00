"""What a run says: frozen events, one JSON line each. The journal of a run is a file of these lines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dfrot_engine.errors import DFRotError
from dfrot_engine.generation.types import GenerationResult, Side
from dfrot_engine.proof.types import ProofRow
from dfrot_engine.sensitivity.types import SensitivityResult
from dfrot_engine.serve_check.types import ServeCheck
from dfrot_engine.trial.types import TrialResult, TrialRow

JOURNAL = "events.jsonl"
#: The longest that are written, of a trial or a sensitivity pass, have some hundred thousand.
MOST_LINE_BYTES = 50_000_000


_BOOT = getattr(time, "CLOCK_BOOTTIME", None)  # goes on while the computer sleeps, which the monotonic clock may not
_STARTED = datetime.now(UTC)


def uptime_s() -> float:
    """Seconds on a clock that nobody sets; only differences mean anything."""
    return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)


_STARTED_S = uptime_s()


def _now() -> datetime:
    """The time of day as it was when the process started, and what has passed since: it never jumps within a run."""
    return _STARTED + timedelta(seconds=uptime_s() - _STARTED_S)


class EventBase(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    time: AwareDatetime = Field(default_factory=_now)


class RunStarted(EventBase):
    event: Literal["run_started"] = "run_started"
    run_id: str
    recipe_name: str
    model: str
    stages: tuple[str, ...]
    num_blocks: int
    device: str
    output_dir: str


class StageStarted(EventBase):
    event: Literal["stage_started"] = "stage_started"
    stage: str
    steps: int


class StageAdvanced(EventBase):
    """`step` of the stage's `steps` are done; `label` says what is being done, for people."""

    event: Literal["stage_advanced"] = "stage_advanced"
    stage: str
    step: int
    steps: int
    label: str = ""


class StageFinished(EventBase):
    event: Literal["stage_finished"] = "stage_finished"
    stage: str
    seconds: float = 0.0
    peak_bytes: int = 0
    reused: bool = False


class Measured(EventBase):
    """One point of a curve: "rotate/loss" (step = refinement), "memory/ram" and "memory/gpu" (step: seconds)."""

    event: Literal["measured"] = "measured"
    name: str
    step: int
    value: float
    unit: str = ""


class RemainingTime(EventBase):
    """How long the whole run will still take from now, by the pace of the running stage's finished steps."""

    event: Literal["remaining_time"] = "remaining_time"
    seconds: float


class BlockQuantized(EventBase):
    """relative_error: ‖ŷ − y‖/‖y‖ of each linear on its own inputs, and of the "block" output since the embedding.

    recovery: error of what the block adds, on held-out sequences, before and after its recovery; None without.
    """

    event: Literal["block_quantized"] = "block_quantized"
    block: int
    relative_error: dict[str, float]
    seconds: float
    bytes: int
    recovery: tuple[float, float] | None = None


class MassiveToken(BaseModel):
    """One massive token: where it is and how well each rotation quantizes it (relative errors)."""

    model_config = ConfigDict(frozen=True)
    block: int
    site: str
    sample: int
    position: int
    text: str
    value: float
    errors: dict[str, float] = {}


class MassiveTokensFound(EventBase):
    """count is over all sites; tokens is a selection, the largest value first."""

    event: Literal["massive_tokens_found"] = "massive_tokens_found"
    count: int
    rows: int
    tokens: tuple[MassiveToken, ...]


class ChartSaved(EventBase):
    """An array file for a chart; path is relative to the work folder. A later event of the same name replaces it."""

    event: Literal["chart_saved"] = "chart_saved"
    name: str
    path: str


class Evaluated(EventBase):
    event: Literal["evaluated"] = "evaluated"
    dataset: str
    metric: str
    value: float
    baseline: float | None = None


class Proved(EventBase):
    """One row of the proof of what was written, as soon as it is known."""

    event: Literal["proved"] = "proved"
    row: ProofRow


class RotationTried(EventBase):
    """One row of a trial, as soon as it is measured."""

    event: Literal["rotation_tried"] = "rotation_tried"
    row: TrialRow


class TrialFinished(EventBase):
    """What a trial came to; its process says `run_ended` after it."""

    event: Literal["trial_finished"] = "trial_finished"
    result: TrialResult


class SensitivityFinished(EventBase):
    """What a sensitivity pass came to; its process says `run_ended` after it."""

    event: Literal["sensitivity_finished"] = "sensitivity_finished"
    result: SensitivityResult


class TextWritten(EventBase):
    """The next piece of a model's answer to a prompt, a token or a few."""

    event: Literal["text_written"] = "text_written"
    side: Side
    text: str


class GenerationFinished(EventBase):
    """The answers as a whole; their process says `run_ended` after it."""

    event: Literal["generation_finished"] = "generation_finished"
    result: GenerationResult


class ServeChecked(EventBase):
    """What a runtime made of a folder; its process says `run_ended` after it."""

    event: Literal["serve_checked"] = "serve_checked"
    result: ServeCheck


class Warned(EventBase):
    event: Literal["warned"] = "warned"
    message: str
    remedy: str = ""


class Logged(EventBase):
    """A plain line for the log."""

    event: Literal["logged"] = "logged"
    stage: str
    message: str


class PauseChanged(EventBase):
    event: Literal["pause_changed"] = "pause_changed"
    paused: bool


class RunEnded(EventBase):
    event: Literal["run_ended"] = "run_ended"
    status: Literal["finished", "cancelled", "failed"]
    message: str = ""
    remedy: str = ""
    field: str = ""
    outputs: tuple[str, ...] = ()


Event = Annotated[
    RunStarted
    | StageStarted
    | StageAdvanced
    | StageFinished
    | Measured
    | RemainingTime
    | BlockQuantized
    | MassiveTokensFound
    | ChartSaved
    | Evaluated
    | Proved
    | RotationTried
    | TrialFinished
    | SensitivityFinished
    | TextWritten
    | GenerationFinished
    | ServeChecked
    | Warned
    | Logged
    | PauseChanged
    | RunEnded,
    Field(discriminator="event"),
]

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def parse_event(line: str | bytes) -> Event:
    """One JSON line → event.

    Raises:
        DFRotError: the line is not an event.
    """
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        text = line if isinstance(line, str) else line.decode(errors="replace")
        raise DFRotError(
            f"Not a journal line: {text[:120]!r}.", "The journal may be damaged; start the run again."
        ) from None


def read_events(work_dir: Path, *, leave_out: Iterable[str] = ()) -> Iterator[Event]:
    """The journal of a run, oldest first; a last line cut short by a kill is left out.

    Args:
        leave_out: events that are not wanted, such as "measured"; most lines are curves, and passing over them makes
            reading ten times as fast. The last line comes whatever it is.
    """
    path = work_dir / JOURNAL
    if not path.is_file():  # nor where it is a pipe or a device
        return
    # Inside a text of the journal the quotes have backslashes, so that this is found in no label.
    unwanted = tuple(f'"event":"{name}"'.encode() for name in leave_out)
    passed: bytes | None = None
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE_BYTES):
            if len(line) == MOST_LINE_BYTES:
                raise DFRotError(f"{path} has a line without end.", "The journal is damaged; start the run again.")
            if not line.endswith(b"\n"):
                continue
            passed = line if any(mark in line for mark in unwanted) else None
            if passed is None:
                yield _parse_line(line, path)
    if passed is not None:
        yield _parse_line(passed, path)


def _parse_line(line: bytes, path: Path) -> Event:
    try:
        return parse_event(line)
    except DFRotError as error:
        raise DFRotError(f"{path}: {error.message}", error.remedy) from None
