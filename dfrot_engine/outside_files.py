"""Small files that somebody else may have written: never endless, never a pipe, nothing that cannot be said again."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: JSON of models: an index of hundreds of thousands of tensors has some ten megabytes.
MOST_JSON_BYTES = 100_000_000
#: Recipes, options, reports and markers.
MOST_SMALL_BYTES = 20_000_000


def read_bytes(path: Path, most_bytes: int = MOST_SMALL_BYTES) -> bytes:
    """Raises:
    OSError: as open, or it is no regular file, or longer than `most_bytes`.
    """
    check_regular(path)
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"it is longer than {most_bytes:,} bytes")
    return data


def check_regular(path: Path) -> os.stat_result:
    """Raises:
    OSError: as stat, or it is no regular file: a pipe would wait for ever and a device never end.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return found


def load_json(data: bytes, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Bytes → value.

    Raises:
        ValueError: not UTF-8, not JSON, nested too deeply, or with half characters that nobody can write down again.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=pairs)
        if rb"\ud" in data.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def read_json(path: Path) -> Any:
    """A small JSON file of a work or output folder.

    Raises:
        OSError, ValueError: as `read_bytes` and `load_json`.
    """
    return load_json(read_bytes(path))


def home_path(text: str) -> Path:
    """A path as somebody types it; a "~" of nobody stays as it is, where `Path.expanduser` would raise."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


def is_file(path: Path) -> bool:
    """Whether it is a regular file; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:  # too long, or in a folder that may not be entered
        return False


def short(value: Any, length: int = 80) -> str:
    """What stands in a message, however long it is."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}…"
