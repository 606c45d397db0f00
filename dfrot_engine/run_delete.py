"""Deleting a run with its files, and with nothing that is not its own. Imports no torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dfrot_engine.errors import DFRotError, DiskError
from dfrot_engine.events import JOURNAL
from dfrot_engine.marker import ADDED, NOT_LOADED
from dfrot_engine.plan_places import is_own_output
from dfrot_engine.recipe import Recipe
from dfrot_engine.run_index import RunNote, forget_note, read_notes
from dfrot_engine.run_record import read_run
from dfrot_engine.whole_file import DRAFT
from dfrot_engine.work_lock import is_in_use, locked
from dfrot_engine.work_names import LOCK, OWN_NAMES, OWNER, WRITTEN

#: A run without a journal is none, so that what a kill leaves could not be deleted any more.
_TO_THE_END = ("", JOURNAL, OWNER, LOCK)


@dataclass(frozen=True)
class Deletion:
    """What would be deleted with a run.

    Args:
        paths: files, links and folders of its own, in the order in which they go.
        folders: the work folder and the output folders, which go as well once they are empty.
        num_bytes: of all files.
        kept: a sentence for everything that stays.
    """

    note: RunNote
    paths: tuple[Path, ...]
    folders: tuple[Path, ...]
    num_bytes: int
    kept: tuple[str, ...]


def deletion_of(note: RunNote) -> Deletion:
    """Look what is the run's own, without touching anything.

    Raises:
        DFRotError: the run is going on, or its folders cannot be read.
    """
    try:
        return _deletion(note)
    except OSError as error:
        message = f"{error.filename or note.work_dir} cannot be looked at: {error.strerror or error}."
        raise DiskError(message, "Check the folder's permissions.") from None


def _deletion(note: RunNote) -> Deletion:
    work_dir = note.work_dir
    if read_run(work_dir) is None:
        kept = (f"{work_dir} stays: no run left its journal there.",) if work_dir.exists() else ()
        return Deletion(note, (), (), 0, kept)
    if is_in_use(work_dir):
        raise DiskError("This run is going on; it cannot be deleted.", "Stop it first, or wait until it has ended.")
    paths, folders, kept = _outputs(note)
    own = [work_dir / name for name in OWN_NAMES if _is_there(work_dir / name)]
    own += [path for path in work_dir.glob(f"*{DRAFT}") if path not in own]
    others = sorted(path.name for path in work_dir.iterdir() if path not in own)
    if others:
        kept.append(_stays(work_dir, others))
    everything = (*paths, *sorted(own, key=_turn))
    folders = sorted((*folders, work_dir), key=lambda path: -len(path.parts))
    return Deletion(note, everything, tuple(folders), sum(map(_bytes, everything)), tuple(kept))


def _turn(path: Path) -> int:
    return _TO_THE_END.index(path.name) if path.name in _TO_THE_END else 0


def delete_run(deletion: Deletion) -> None:
    """Delete what was found and take the run off the list. A kill leaves a run that can be deleted again.

    Raises:
        DFRotError: the run has started meanwhile, or a file cannot be deleted; the run then stays on the list.
    """
    try:
        if deletion.paths and (deletion.note.work_dir / JOURNAL).is_file():
            with locked(deletion.note.work_dir):
                for path in deletion.paths:
                    _remove(path)
                for name in (OWNER, LOCK):  # made by the lock itself if they were not there before
                    (deletion.note.work_dir / name).unlink(missing_ok=True)
        for folder in deletion.folders:
            with suppress(OSError):  # not empty: what is in it is not ours
                folder.rmdir()
    except OSError as error:
        message = f"{error.filename or deletion.note.work_dir} cannot be deleted: {error.strerror or error}."
        raise DiskError(message, "Check the folder's permissions, and delete the run again.") from None
    forget_note(deletion.note.key)


def _outputs(note: RunNote) -> tuple[list[Path], list[Path], list[str]]:
    """(files, folders, what stays) of the output folders that this very run has written."""
    recipe = _recipe(note.work_dir)
    files: list[Path] = []
    folders: list[Path] = []
    kept: list[str] = []
    for folder, names in _written(note.work_dir).items():
        if not folder.is_dir():
            continue
        if recipe is None or not is_own_output(folder, recipe):
            kept.append(f"{folder} stays: it does not hold this run's files any more.")
            continue
        user = _other_user(note, folder)
        if user:
            kept.append(f"{folder} stays: the run {user} has written the same files there.")
            continue
        listed = (*names, *(name + NOT_LOADED for name in names), *ADDED)
        own = [path for name in dict.fromkeys(listed) if (path := _inside(folder, name)) is not None]
        files += own
        folders += [folder, *(one for path in own for one in path.parents if one.is_relative_to(folder))]
    ours = {*files, *folders, note.work_dir}
    for folder in dict.fromkeys(folders):
        others = sorted(path.name for path in folder.iterdir() if path not in ours)
        if others:
            kept.append(_stays(folder, others))
    if not files and not kept and _is_there(note.output_dir):
        kept.append(f"{note.output_dir} stays: the run has no list of what it wrote there.")
    return files, list(dict.fromkeys(folders)), kept


def _other_user(note: RunNote, folder: Path) -> str:
    """Another run of the list that counts the folder among its outputs; the marker is the same for equal recipes."""
    others = (one for one in read_notes(lambda _: None) if one.key != note.key)
    return next((one.key for one in others if folder in _written(one.work_dir)), "")


def _written(work_dir: Path) -> dict[Path, tuple[str, ...]]:
    """Output folders and the names of the files that were written there, as the export has listed them."""
    try:
        content = json.loads((work_dir / WRITTEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    listed = content.items() if isinstance(content, dict) else ()
    return {
        Path(folder): tuple(name for name in names if isinstance(name, str))
        for folder, names in listed
        if Path(folder).is_absolute() and isinstance(names, list)
    }


def _inside(folder: Path, name: str) -> Path | None:
    """The file of a listed name if it is there, and really below the folder: a list may have been tampered with."""
    if "\0" in name:
        return None
    path = folder / name  # an absolute name is a path of its own
    is_below = path.parent.resolve().is_relative_to(folder.resolve())
    return path if is_below and _is_there(path) and (path.is_symlink() or path.is_file()) else None


def _recipe(work_dir: Path) -> Recipe | None:
    try:
        return Recipe.load(work_dir / "recipe.toml")
    except DFRotError:
        return None


def _stays(folder: Path, names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{folder} stays with what no run has put there: {shown}."


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _bytes(path: Path) -> int:
    return sum(one.lstat().st_size for one in _files(path))


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            yield from _files(entry)
    else:
        yield path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
