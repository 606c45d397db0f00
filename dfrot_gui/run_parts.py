"""A run state and its pieces: stages, chart files, and lists that grow without being copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar, overload

from dfrot_engine import (
    BlockQuantized,
    Evaluated,
    GenerationResult,
    MassiveToken,
    MassiveTokensFound,
    ProofRow,
    SensitivityResult,
    TrialResult,
    TrialRow,
)
from dfrot_engine.serve_check.types import ServeCheck

StageStatus = Literal["waiting", "running", "done", "reused"]
Status = Literal["idle", "running", "paused", "stopping", "finished", "cancelled", "failed", "interrupted"]

#: Points of a long curve that are drawn; charts are narrower.
THINNED = 1_000

T = TypeVar("T")


class Series(Sequence[T], Generic[T]):
    """An immutable sequence with an O(1) `appended`: old and new share one list, each sees only its own length."""

    __slots__ = ("_items", "_length")

    def __init__(self, items: Sequence[T] = ()) -> None:
        self._items = list(items)
        self._length = len(self._items)

    def appended(self, item: T, keep: int = 0) -> Series[T]:
        """A series one longer; with `keep`, the oldest are dropped once there are twice as many."""
        if keep and self._length >= 2 * keep:
            return Series(self[-keep:]).appended(item)
        new: Series[T] = Series.__new__(Series)
        new._items = self._items if len(self._items) == self._length else self._items[: self._length]
        new._items.append(item)
        new._length = self._length + 1
        return new

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return iter(self._items[: self._length])

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return self._items[: self._length][index]
        return self._items[range(self._length)[index]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Series) and self[:] == other[:]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Series({self[:]!r})"


@dataclass(frozen=True, slots=True)
class Point:
    step: int
    value: float


class Curve(Sequence[Point]):
    """An immutable curve with what a page asks of it ready at hand, however long it grows.

    Attributes:
        thinned: at most `2 * THINNED` points that look the same: of each stretch its lowest and its highest.
        lowest, highest: the first of the lowest and of the highest values; None before any that is a number.
    """

    __slots__ = ("_points", "highest", "lowest", "thinned")

    def __init__(self, points: Sequence[Point] = ()) -> None:
        self._points = Series(points)
        numbers = [point for point in points if point.value == point.value]
        self.lowest = min(numbers, key=lambda point: point.value, default=None)
        self.highest = max(numbers, key=lambda point: point.value, default=None)
        self.thinned: Series[Point] = Series()
        for point in points:
            self.thinned = _thinned(self.thinned, point)

    def appended(self, point: Point) -> Curve:
        new: Curve = Curve.__new__(Curve)
        new._points = self._points.appended(point)
        new.thinned = _thinned(self.thinned, point)
        is_number = point.value == point.value
        is_lowest = is_number and (self.lowest is None or point.value < self.lowest.value)
        is_highest = is_number and (self.highest is None or point.value > self.highest.value)
        new.lowest = point if is_lowest else self.lowest
        new.highest = point if is_highest else self.highest
        return new

    def __len__(self) -> int:
        return len(self._points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points)

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> list[Point]: ...
    def __getitem__(self, index: int | slice) -> Point | list[Point]:
        return self._points[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve) and self._points == other._points

    __hash__ = None  # type: ignore[assignment]


def _thinned(points: Series[Point], point: Point) -> Series[Point]:
    """One point more; where that makes too many, only the lowest and highest of every four stay."""
    if len(points) < 2 * THINNED:
        return points.appended(point)
    kept: list[Point] = []
    for start in range(0, len(points), 4):
        stretch = [one for one in points[start : start + 4] if one.value == one.value]
        if stretch:
            ends = (min(stretch, key=lambda one: one.value), max(stretch, key=lambda one: one.value))
            kept += sorted(ends[: 1 if ends[0] is ends[1] else 2], key=lambda one: one.step)
    return Series(kept).appended(point)


@dataclass(frozen=True, slots=True)
class LogLine:
    time: datetime
    stage: str
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.time.astimezone():%H:%M:%S}  {self.stage:<9} {self.message}"


@dataclass(frozen=True, slots=True)
class StageWarning:
    """A warning, and the stage that gave it; "" for one of the plan."""

    stage: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ChartFile:
    """An array file, relative to the work folder. `time` tells a rewritten file from the one before."""

    path: str
    stage: str
    time: datetime


@dataclass(frozen=True, slots=True)
class StageState:
    """One stage; `step` of `steps` are done, of which `skipped_steps` were there from an earlier run."""

    name: str
    status: StageStatus = "waiting"
    step: int = 0
    steps: int = 0
    skipped_steps: int = 0
    started: datetime | None = None
    paused_s: float = 0.0
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def fraction(self) -> float:
        if self.status in ("done", "reused"):
            return 1.0
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    def steps_per_second(self, now: datetime) -> float | None:
        """Pace of the steps done in this run, pauses left out; None before the first."""
        if self.started is None or self.step <= self.skipped_steps:
            return None
        spent_s = (now - self.started).total_seconds() - self.paused_s
        return (self.step - self.skipped_steps) / spent_s if spent_s > 0 else None


@dataclass(frozen=True, slots=True)
class RunState:
    """Everything the pages show. `curves` are keyed by the measured name, `blocks` by block index.

    `tried` and `trial` are a trial's rows so far and its result, `written` and `generation` the answers to a prompt.
    `left_s` is what the engine said would remain, at `left_since_s` after the start without pauses.
    """

    status: Status = "idle"
    run_id: str = ""
    recipe_name: str = ""
    model: str = ""
    device: str = ""
    output_dir: str = ""
    num_blocks: int = 0
    stages: tuple[StageState, ...] = ()
    stage: str = ""
    label: str = ""
    is_pause_requested: bool = False
    curves: Mapping[str, Curve] = field(default_factory=dict)
    blocks: Mapping[int, BlockQuantized] = field(default_factory=dict)
    massive: MassiveTokensFound | None = None
    charts: Mapping[str, ChartFile] = field(default_factory=dict)
    evaluated: tuple[Evaluated, ...] = ()
    proof: tuple[ProofRow, ...] = ()
    tried: tuple[TrialRow, ...] = ()
    trial: TrialResult | None = None
    sensitivity: SensitivityResult | None = None
    written: Mapping[str, str] = field(default_factory=dict)
    generation: GenerationResult | None = None
    served: ServeCheck | None = None
    warnings: tuple[StageWarning, ...] = ()
    log: Series[LogLine] = field(default_factory=Series[LogLine])
    message: str = ""
    remedy: str = ""
    field: str = ""
    details: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    started: datetime | None = None
    last_heard: datetime | None = None
    paused_since: datetime | None = None
    paused_s: float = 0.0
    left_s: float | None = None
    left_since_s: float = 0.0

    @property
    def is_active(self) -> bool:
        return self.status in ("running", "paused", "stopping")

    @property
    def has_stopped_early(self) -> bool:
        """Stopped before the end; the same recipe started again goes on from there."""
        return self.status in ("cancelled", "failed", "interrupted")

    @property
    def loss(self) -> Curve:
        return self.curves.get("rotate/loss", Curve())

    @property
    def massive_tokens(self) -> tuple[MassiveToken, ...]:
        return self.massive.tokens if self.massive else ()

    @property
    def block_errors(self) -> dict[int, dict[str, float]]:
        return {index: block.relative_error for index, block in sorted(self.blocks.items())}

    @property
    def peak_bytes(self) -> int:
        curves = (self.curves.get(name, Curve()) for name in ("memory/ram", "memory/gpu"))
        measured = [curve.highest.value for curve in curves if curve.highest]
        return int(max([*measured, *(stage.peak_bytes for stage in self.stages)], default=0))

    def metric(self, name: str) -> Evaluated | None:
        """The latest value of a metric such as "perplexity"."""
        return next((one for one in reversed(self.evaluated) if one.metric == name), None)
