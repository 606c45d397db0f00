"""JSON objects that come from outside: read with distrust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dfrot_engine.errors import ModelError
from dfrot_engine.outside_files import MOST_JSON_BYTES, load_json, read_bytes

MODEL_FIELD = "model.id_or_path"
DOWNLOAD_AGAIN = "The file is damaged; download or copy the model again."


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ModelError: missing, not readable, not JSON, or not an object; names the file.
    """
    try:
        data = read_bytes(path, MOST_JSON_BYTES)
    except FileNotFoundError:
        raise ModelError(f"{path} is missing.", "Download or copy the model again.", MODEL_FIELD) from None
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror}.", "Check its permissions.", MODEL_FIELD) from None
    return parse_json_object(data, str(path))


def parse_json_object(data: bytes, name: str) -> dict[str, Any]:
    """Bytes → object; a key given twice is refused, since readers disagree about which one counts.

    Raises:
        ModelError: not UTF-8, not JSON, nested without end, or not an object; says `name`.
    """
    try:
        value = load_json(data, _without_duplicates)
    except ValueError as error:
        reason = str(error).partition("\n")[0][:200]
        raise ModelError(f"{name} is not valid JSON: {reason}.", DOWNLOAD_AGAIN, MODEL_FIELD) from None
    if not isinstance(value, dict):
        raise ModelError(f"{name} holds no JSON object.", DOWNLOAD_AGAIN, MODEL_FIELD)
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"'{twice[:80]}' is there twice")
    return items
