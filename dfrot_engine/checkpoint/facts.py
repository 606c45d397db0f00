"""What is known of a model before a weight is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfrot_engine.checkpoint.headers import TensorHeader

#: progress(done bytes, total bytes, label) of making a model's files local; what it raises stops the work.
Progress = Callable[[int, int, str], None]

#: Files beside the weights that travel with a model; never code, never pickles.
COMPANIONS = (
    "*.json",
    "*.txt",
    "*.model",
    "*.jinja",
    "README.md",
    "LICENSE*",
    "NOTICE*",
    "USE_POLICY.md",
)
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LARGEST_CARD_BYTES = 1_000_000


@dataclass(frozen=True)
class ModelFile:
    name: str
    bytes: int


@dataclass(frozen=True)
class ModelFacts:
    """A model from its config and headers.

    Args:
        id: name for people: a Hub id, a folder's or a GGUF file's name.
        revision: commit on the Hub; "" for local files.
        files: what a run needs of it.
        folder: where it lies; None while it still has to be downloaded or converted.
        download_bytes: bytes of `files` that are not on this computer yet.
        license: identifier as the publisher wrote it; "" if unknown.
    """

    id: str
    revision: str
    config: dict[str, Any]
    headers: dict[str, TensorHeader]
    files: tuple[ModelFile, ...]
    folder: Path | None
    download_bytes: int
    license: str
    gated: bool


def has_pickles(names: Iterable[str]) -> bool:
    return any(name.lower().endswith(PICKLE_SUFFIXES) for name in names)


def license_of(folder: Path) -> str:
    """The license named in the front matter of the folder's model card; "" if there is none."""
    try:
        with (folder / "README.md").open("rb") as file:
            text = file.read(LARGEST_CARD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    if front is None:
        return ""
    found = dict(re.findall(r"^(license|license_name):\s*[\"']?([\w.+-]+)", front[1], re.MULTILINE))
    return found.get("license_name") or found.get("license", "")
