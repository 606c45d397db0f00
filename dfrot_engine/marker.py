"""dfrot.json, the marker of an output folder: the recipe that wrote it, its files' hashes, a proof that failed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dfrot_engine.report_file import REPORT
from dfrot_engine.whole_file import write_text

MARKER = "dfrot.json"
#: Beside a checkpoint whose proof failed; says why, for people.
FAILED = "FAILED.txt"
#: The model card, which people edit.
CARD = "README.md"
#: Beside the card, which shows them.
TOKEN_FIGURE, BLOCK_FIGURE, OUTPUT_FIGURE = (
    f"figures/{name}.png" for name in ("token_error", "token_error_by_block", "block_error")
)
#: What comes to a folder after its export.
ADDED = (MARKER, REPORT, CARD, FAILED, TOKEN_FIGURE, BLOCK_FIGURE, OUTPUT_FIGURE)
#: What the names of files end with that nothing may load any more.
NOT_LOADED = ".failed"
# What a run writes once more when everything else is there, with paths of this computer.
_UNSEALED = (MARKER, CARD, REPORT)
_PIECE_BYTES = 1 << 22
# What programs look for when they load a folder; renamed, nothing loads it.
_LOADED = ("config.json", "*.gguf")


def read_marker(folder: Path) -> dict[str, Any]:
    """The marker's content; empty where there is none."""
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def change_marker(folder: Path, changes: Mapping[str, Any]) -> None:
    """Raises: DiskError: the folder cannot be written."""
    write_text(folder / MARKER, json.dumps({**read_marker(folder), **changes}, indent=2) + "\n")


def seal(folder: Path) -> None:
    """Note the SHA-256 of every file of a folder in its marker."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    change_marker(folder, {"files": {name: file_hash(folder / name) for name in names if name not in _UNSEALED}})


def broken_files(folder: Path) -> dict[str, str]:
    """Files that are no longer what the marker says → "is missing" or "has changed"."""
    found: dict[str, str] = {}
    for name, expected in read_marker(folder).get("files", {}).items():
        path = folder / name
        if not path.is_file():
            found[name] = "is missing"
        elif file_hash(path) != expected:
            found[name] = "has changed since it was written"
    return found


def file_hash(path: Path) -> str:
    """SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def has_failed(folder: Path) -> bool:
    """Whether the proof of what is in the folder has failed."""
    return read_marker(folder).get("proof", {}).get("passed") is False


def mark_passed(folder: Path, kind: str) -> None:
    """Note that the proof found nothing wrong.

    Args:
        kind: of the proof, "full" or "quick".
    """
    change_marker(folder, {"proof": {"passed": True, "kind": kind}})


def mark_failed(folder: Path, reasons: Sequence[str]) -> None:
    """Say in the folder that its proof failed, and see to it that nothing loads it by accident.

    Raises:
        DiskError: the folder cannot be written.
    """
    change_marker(folder, {"proof": {"passed": False, "reasons": list(reasons)}})
    text = "The proof of this checkpoint failed. It is not what the recipe says; do not use it.\n\n"
    text += "".join(f"- {reason}\n" for reason in reasons)
    text += "\nIts config.json and GGUF files were renamed, so that no program loads it by accident.\n"
    write_text(folder / FAILED, text)
    for pattern in _LOADED:
        for path in folder.glob(pattern):
            path.rename(path.with_name(path.name + NOT_LOADED))
