"""Names, atomic writes, fingerprints and the lock of the work folder; nobody else builds paths inside it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dfrot_engine.errors import DiskError
from dfrot_engine.events import JOURNAL, EventBase
from dfrot_engine.whole_file import LEFTOVERS, unwritten, whole_file, write_text
from dfrot_engine.work_lock import locked, unusable
from dfrot_engine.work_names import STAGE_FOLDERS

_FINGERPRINT = "fingerprint"


class WorkDir:
    """One run's folder. Every file appears whole or not at all; what a kill leaves behind is a draft nobody reads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._marks: dict[str, dict[str, Any]] = self.read_json("stages.json") or {}

    @staticmethod
    @contextmanager
    def open(root: Path) -> Iterator[WorkDir]:
        """Create the folder if it is missing, lock it against other runs, and mend what a kill has left half done.

        Raises:
            DiskError: it cannot be written, or another run is using it.
        """
        with locked(root):
            yield _mended(root)

    @property
    def journal(self) -> Path:
        return self.root / JOURNAL

    @property
    def rotations(self) -> Path:
        return self.root / "rotations.safetensors"

    def chart(self, name: str) -> Path:
        return self.root / "charts" / f"{name}.npz"

    def relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def draft_output(self, subfolder: str) -> Path:
        """Where an export is built before it moves to its final place."""
        return self.root / "export" / (subfolder or "main")

    def is_done(self, stage: str, fingerprint: str) -> bool:
        return self._marks.get(stage, {}).get(_FINGERPRINT) == fingerprint

    def forget(self, *stages: str) -> None:
        """They are about to write their files anew: from now on what is there belongs to no finished stage."""
        if self._marks.keys() & set(stages):
            self._marks = {name: mark for name, mark in self._marks.items() if name not in stages}
            self._save_marks()

    def mark_done(self, stage: str, fingerprint: str, **facts: Any) -> None:
        self._marks[stage] = {_FINGERPRINT: fingerprint, **facts}
        self._save_marks()

    def _save_marks(self) -> None:
        self.write_json("stages.json", self._marks)

    def facts(self, stage: str) -> dict[str, Any]:
        """What was noted when the stage was marked done, such as its seconds."""
        return {key: value for key, value in self._marks.get(stage, {}).items() if key != _FINGERPRINT}

    def read_json(self, name: str) -> Any:
        """The content, or None if there is no such file or it is not JSON."""
        try:
            return json.loads((self.root / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def write_json(self, name: str, content: Any) -> None:
        self.write_text(name, json.dumps(content, indent=1))

    def write_text(self, name: str, text: str) -> None:
        write_text(self.root / name, text)

    def append_event(self, event: EventBase) -> None:
        """Add a line to the journal, a whole one or none.

        Raises:
            DiskError: the disk is full.
        """
        line = event.model_dump_json().encode() + b"\n"
        try:
            with self.journal.open("ab", buffering=0) as file:
                before = file.tell()
                if file.write(line) < len(line):  # the rest did not fit; the next line would be glued to it
                    file.truncate(before)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise unwritten(self.journal, error, len(line)) from error

    def block_path(self, stage: str, name: str) -> Path:
        return self.root / stage / f"{name}.safetensors"

    def has_block(self, stage: str, name: str, fingerprint: str) -> bool:
        """Whether this file is there, sound, and of this fingerprint."""
        try:
            with safe_open(self.block_path(stage, name), "pt") as file:
                return (file.metadata() or {}).get(_FINGERPRINT) == fingerprint
        except (OSError, SafetensorError):
            return False

    def has_blocks(self, stage: str, number: int, fingerprint: str) -> bool:
        """Whether the first blocks of a stage are there; one may have been removed, or replaced by another recipe."""
        return all(self.has_block(stage, f"{index:05}", fingerprint) for index in range(number))

    def save_block(
        self, stage: str, name: str, tensors: dict[str, Tensor], fingerprint: str, facts: dict[str, str] | None = None
    ) -> int:
        """Write one file; returns its bytes."""
        path = self.block_path(stage, name)
        kept = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        with whole_file(path, sum(tensor.nbytes for tensor in kept.values())) as draft:
            save_file(kept, draft, metadata={_FINGERPRINT: fingerprint} | (facts or {}))
        return path.stat().st_size

    def load_block(
        self, stage: str, name: str, endings: tuple[str, ...] = ("",)
    ) -> tuple[dict[str, Tensor], dict[str, str]]:
        """(tensors, facts) of one file; of the tensors only those whose names end so.

        Raises:
            DiskError: missing or damaged.
        """
        path = self.block_path(stage, name)
        try:
            with safe_open(path, "pt") as file:
                keys = [key for key in file.keys() if key.endswith(endings)]  # noqa: SIM118
                return {key: file.get_tensor(key) for key in keys}, file.metadata() or {}
        except (OSError, SafetensorError) as error:
            raise DiskError(
                f"{path} cannot be read: {error}.", "Delete the work folder and run again.", "options.work_dir"
            ) from None

    def drop_intermediate_files(self) -> None:
        """Delete what only a resumed run needs; the journal, charts, rotations and report stay."""
        for stage in ("calibrate", "quantize"):
            self._marks.get(stage, {})[_FINGERPRINT] = ""  # not done any more; what was noted about it stays true
        self._save_marks()  # first: a kill may leave files that no mark vouches for, but no mark without its files
        for folder in STAGE_FOLDERS:
            shutil.rmtree(self.root / folder, ignore_errors=True)


def _mended(root: Path) -> WorkDir:
    """The folder without the drafts and the torn last line that a kill has left."""
    try:
        for pattern in LEFTOVERS:
            for left in root.rglob(pattern):
                left.unlink(missing_ok=True)
        cut_torn_line(root / JOURNAL)
        return WorkDir(root)
    except OSError as error:
        raise unusable(root, error) from None


def cut_torn_line(journal: Path) -> None:
    """Drop what follows the last newline: the next line would be glued to it, and both would be lost."""
    if not journal.is_file():
        return
    with journal.open("rb+") as file:
        size = position = file.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - 65_536)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
        if position < size:
            file.truncate(position)
