"""Files that appear whole or not at all, also when the power fails: drafted, flushed to the disk, then named."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from dfrot_engine.errors import DiskError
from dfrot_engine.units import format_bytes

DRAFT = ".draft"
#: What a kill may leave; safetensors writes a hidden file of its own before it takes the name it was given.
LEFTOVERS = (f"*{DRAFT}", ".tmp*")
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def whole_file(path: Path, num_bytes: int) -> Iterator[Path]:
    """Where to write a file; on leaving it takes its name. What goes wrong leaves the file that was there before.

    Args:
        num_bytes: about what is written, for the message when the disk is full.
    Raises:
        DiskError: the disk is full or the folder cannot be written.
    """
    draft = path.with_name(path.name + DRAFT)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        sync_file(draft)
        draft.replace(path)
        sync_folder(path.parent)
    except (OSError, SafetensorError) as error:  # a full disk comes as either
        raise unwritten(path, error, num_bytes) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Raises:
    DiskError: as `whole_file`.
    """
    data = text.encode()
    with whole_file(path, len(data)) as draft:
        draft.write_bytes(data)


def sync_file(path: Path) -> None:
    """Wait until the disk has it: a rename may reach the disk before the bytes do."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in it."""
    if os.name != "posix":  # Windows cannot open a folder, and its renames are journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until the disk has every file below the folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync_file(path)
    for path in (*(one for one in folder.rglob("*") if one.is_dir()), folder):
        sync_folder(path)


def unwritten(path: Path, error: Exception, num_bytes: int = 0) -> DiskError:
    """What to tell the user about a file that could not be written.

    Args:
        num_bytes: about what was to be written; 0 if nobody knows.
    """
    wanted = f"{format_bytes(num_bytes)} were to be written, " if num_bytes else ""
    return DiskError(
        f"Cannot write {path}: {_reason(error)} ({wanted}{_free(path)} are free).",
        "Free some space there, or see that you may write there, and run the same again: what is finished is kept.",
        "options.output_dir",
    )


def _reason(error: Exception) -> str:
    from_rust = _RUST_ERROR.search(str(error))
    if from_rust:
        return os.strerror(int(from_rust.group(1)))
    return getattr(error, "strerror", None) or str(error)


def _free(path: Path) -> str:
    there = next((one for one in path.absolute().parents if one.exists()), Path("/"))
    try:
        return format_bytes(shutil.disk_usage(there).free)
    except OSError:
        return "unknown numbers of bytes"
