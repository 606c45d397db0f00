"""Names, atomic writes, fingerprints and the lock of the work folder; nobody else builds paths inside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dfrot_engine.errors import DiskError
from dfrot_engine.events import JOURNAL, EventBase

_FINGERPRINT = "fingerprint"


class WorkDir:
    """One run's folder. Every file appears whole or not at all; what a kill leaves behind is a draft nobody reads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._marks: dict[str, dict[str, Any]] = self.read_json("stages.json") or {}

    @staticmethod
    @contextmanager
    def open(root: Path) -> Iterator[WorkDir]:
        """Create the folder if it is missing and lock it against other runs.

        Raises:
            DiskError: it cannot be written, or another run is using it.
        """
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(root / "lock")
            lock.acquire(timeout=0)
        except Timeout:
            raise DiskError(
                f"Another run is using {root}.",
                "Wait for it, stop it, or choose another output folder.",
                "options.output_dir",
            ) from None
        except OSError as error:
            raise DiskError(
                f"The work folder {root} cannot be written: {error.strerror}.",
                "Choose another folder.",
                "options.output_dir",
            ) from None
        try:
            yield WorkDir(root)
        finally:
            lock.release()

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

    def mark_done(self, stage: str, fingerprint: str, **facts: Any) -> None:
        self._marks[stage] = {_FINGERPRINT: fingerprint, **facts}
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
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)

    def append_event(self, event: EventBase) -> None:
        with self.journal.open("a", encoding="utf-8") as file:
            file.write(event.model_dump_json() + "\n")

    def block_path(self, stage: str, name: str) -> Path:
        return self.root / stage / f"{name}.safetensors"

    def has_block(self, stage: str, name: str, fingerprint: str) -> bool:
        """Whether this file is there, sound, and of this fingerprint."""
        try:
            with safe_open(self.block_path(stage, name), "pt") as file:
                return (file.metadata() or {}).get(_FINGERPRINT) == fingerprint
        except (OSError, SafetensorError):
            return False

    def save_block(
        self, stage: str, name: str, tensors: dict[str, Tensor], fingerprint: str, facts: dict[str, str] | None = None
    ) -> int:
        """Write one file; returns its bytes."""
        path = self.block_path(stage, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        save_file(
            {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()},
            draft,
            metadata={_FINGERPRINT: fingerprint} | (facts or {}),
        )
        size = draft.stat().st_size
        draft.replace(path)
        return size

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
        for folder in ("calibrate", "rotate", "quantize", "evaluate", "export"):
            shutil.rmtree(self.root / folder, ignore_errors=True)
        for stage in ("calibrate", "quantize"):
            self._marks.get(stage, {})[_FINGERPRINT] = ""  # not done any more; what was noted about it stays true
        self.write_json("stages.json", self._marks)
