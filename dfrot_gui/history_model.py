"""The runs of this computer behind Qt: found and read in the background, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from dfrot_engine import DFRotError, RunInfo
from dfrot_engine.events import JOURNAL
from dfrot_engine.run_index import RunNote, read_notes
from dfrot_engine.run_list import read_info
from dfrot_gui.background import Latest
from dfrot_gui.history_table import RunTable

# So many runs at a time that the table fills as one watches, and the window hears of it a few times a second.
CHUNK = 8

_Stamp = tuple[int, int]


@dataclass(frozen=True)
class _Found:
    notes: tuple[RunNote, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class _Read:
    infos: tuple[tuple[RunInfo, _Stamp | None], ...]
    rest: tuple[RunNote, ...]


@dataclass
class _Known:
    """What was read of a journal that has not changed since."""

    stamp: _Stamp
    info: RunInfo


@dataclass
class _Memory:
    notes: dict[str, RunNote] = field(default_factory=dict)
    known: dict[str, _Known] = field(default_factory=dict)


class HistoryModel(QObject):
    """Pages listen to `changed` and read `table`; `refresh` looks again, and reads only what is new.

    Args:
        find: the notes of all runs; it is given what to tell of damaged ones.
        read: what the run of a note has come to.
    """

    changed = Signal()

    def __init__(
        self,
        find: Callable[[Callable[[str], None]], tuple[RunNote, ...]] = read_notes,
        read: Callable[[RunNote], RunInfo] = read_info,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._find = find
        self._read = read
        self._memory = _Memory()
        self._reader = Latest(self, parallel=1)
        self._reader.answered.connect(self._take)
        self._reader.failed.connect(self._fail)
        self.table = RunTable(self)
        self.skipped: tuple[str, ...] = ()
        self.error: DFRotError | None = None
        self.is_loaded = False

    @property
    def is_busy(self) -> bool:
        return self._reader.is_busy

    @property
    def num_missing(self) -> int:
        """How many runs were found and not yet read."""
        return len(self._memory.notes) - len(self.table.runs)

    def refresh(self) -> None:
        """Look for runs; `changed` is emitted as they are found."""
        self._reader.ask(self._look)
        self.changed.emit()

    def notes(self, runs: Iterable[RunInfo]) -> tuple[RunNote, ...]:
        """The notes of runs of the table."""
        return tuple(self._memory.notes[run.key] for run in runs if run.key in self._memory.notes)

    def _look(self) -> _Found:
        skipped: list[str] = []
        return _Found(self._find(skipped.append), tuple(skipped))

    def _take(self, answer: _Found | _Read) -> None:
        if isinstance(answer, _Found):
            self.skipped, self.error, self.is_loaded = answer.skipped, None, True
            self._memory.notes = {note.key: note for note in answer.notes}
            self.table.keep(self._memory.notes)
            self._read_on(answer.notes)
            return
        for info, stamp in answer.infos:
            if stamp is not None and info.status != "running":
                self._memory.known[info.key] = _Known(stamp, info)
        self.table.put([info for info, _ in answer.infos])
        self._read_on(answer.rest)

    def _read_on(self, notes: Sequence[RunNote]) -> None:
        if notes:
            chunk, rest, read = tuple(notes[:CHUNK]), tuple(notes[CHUNK:]), self._read
            known = dict(self._memory.known)
            self._reader.ask(lambda: _Read(tuple(_info(note, known, read) for note in chunk), rest))
        self.changed.emit()

    def _fail(self, error: DFRotError) -> None:
        self.error, self.is_loaded = error, True
        self.changed.emit()


def _info(note: RunNote, known: dict[str, _Known], read: Callable[[RunNote], RunInfo]) -> tuple[RunInfo, _Stamp | None]:
    stamp = _stamp(note.work_dir)
    before = known.get(note.key)
    if before is not None and before.stamp == stamp:
        return before.info, stamp
    return read(note), stamp


def _stamp(work_dir: Path) -> _Stamp | None:
    try:
        found = (work_dir / JOURNAL).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
