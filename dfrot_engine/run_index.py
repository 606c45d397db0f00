"""Where the runs of this computer lie: a note for each work folder, whoever started the run. Imports no torch."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from platformdirs import user_data_path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from dfrot_engine.errors import DFRotError, DiskError
from dfrot_engine.options import RunOptions
from dfrot_engine.recipe import Recipe
from dfrot_engine.whole_file import write_text

ENVIRONMENT = "DFROT_RUNS"

_SUFFIX = ".json"
_MOST_BYTES = 65_536
_KEY_CHARACTERS = 12
_LOG = logging.getLogger(__name__)


class RunNote(BaseModel):
    """One work folder, and what is still to be said of its run when the folder is gone.

    Args:
        recipe: its name.
        formats: "W4 A4 KV4"; rotation: the kind of R1.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    work_dir: Path
    output_dir: Path
    model: str = Field(max_length=4_096)
    recipe: str = Field(max_length=4_096)
    formats: str = Field(default="", max_length=4_096)
    rotation: str = Field(default="", max_length=4_096)
    started: AwareDatetime

    @field_validator("work_dir", "output_dir")
    @classmethod
    def _is_whole_path(cls, path: Path) -> Path:
        if not path.is_absolute() or "\0" in str(path) or ".." in path.parts:
            raise ValueError("not a whole path")
        return path

    @property
    def key(self) -> str:
        """What the run is called: the same for every run in the same work folder."""
        return key_of(self.work_dir)


def index_dir() -> Path:
    """The folder of the notes; it need not be there."""
    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen).expanduser() if chosen else user_data_path("dfrot") / "runs"


def key_of(work_dir: Path) -> str:
    return hashlib.sha256(os.fsencode(_whole(work_dir))).hexdigest()[:_KEY_CHARACTERS]


def note_of(model: str, recipe: Recipe, options: RunOptions) -> RunNote:
    """The note of a run that starts now."""
    return RunNote(
        work_dir=_whole(options.work_path),
        output_dir=_whole(options.output_dir),
        model=model,
        recipe=recipe.name,
        formats=recipe.formats,
        rotation=recipe.rotation.r1.kind,
        started=datetime.now(UTC),
    )


def keep_note(note: RunNote) -> None:
    """Add a run, or replace what was noted of an earlier one in the same folder.

    Raises:
        DiskError: the folder cannot be written, or the disk is full.
    """
    write_text(_path(note.key), note.model_dump_json(indent=1))


def read_notes(on_skip: Callable[[str], None] = _LOG.warning) -> tuple[RunNote, ...]:
    """Every note, the run started last first; folders may be gone.

    Args:
        on_skip: told in a sentence of every note that is damaged.
    """
    notes: list[RunNote] = []
    for path in sorted(index_dir().glob(f"*{_SUFFIX}")):
        try:
            notes.append(_read(path))
        except DFRotError as error:
            on_skip(f"{path} is left out: {error.message}")
    return tuple(sorted(notes, key=lambda note: note.started, reverse=True))


def find_note(name: str) -> RunNote:
    """The note of a key, of the beginning of one, or of a work or output folder.

    Raises:
        DFRotError: none or several are meant.
    """
    folder = _whole(Path(name).expanduser())
    notes = read_notes(lambda _: None)
    found = [note for note in notes if folder in (note.work_dir, note.output_dir)]
    found = found or [note for note in notes if name and note.key.startswith(name)]
    if not found:
        raise DiskError(f"No run is called '{name}'.", "`dfrot runs` lists them.")
    if len(found) > 1:
        keys = ", ".join(note.key for note in found)
        raise DiskError(f"'{name}' stands for several runs: {keys}.", "Give one of these names.")
    return found[0]


def forget_note(key: str) -> None:
    """Take a run off the list; its files stay.

    Raises:
        DFRotError: the note cannot be removed.
    """
    path = _path(key)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(f"{path} cannot be removed: {error.strerror}.", "Check the folder's permissions.") from None


def _whole(path: Path) -> Path:
    """Absolute, without ".."; links stay as they are."""
    return Path(os.path.normpath(path.absolute()))


def _path(key: str) -> Path:
    assert key.isalnum()
    return index_dir() / f"{key}{_SUFFIX}"


def _read(path: Path) -> RunNote:
    try:
        if path.is_symlink() or not path.is_file():
            raise DiskError("it is no file.", "Remove it.")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DiskError(f"it cannot be read ({error.strerror}).", "Check its permissions.") from None
    if len(data) > _MOST_BYTES:
        raise DiskError("it is too long for a note of a run.", "Remove it.")
    try:
        note = RunNote.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DiskError(f"it is no note of a run ({where}: {first['msg']}).", "Remove it.") from None
    if note.key != path.stem:
        raise DiskError("its name does not belong to its folder.", "Remove it.")
    return note
