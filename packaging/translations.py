"""Refreshes the translations: python packaging/translations.py [--folder resources/translations]

Finds every text of the window and every word of the engine that the window shows, lets Qt's own lupdate merge them into
the .ts files, which Qt Linguist or an editor completes, and compiles the .qm files that the program loads.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import PySide6  # noqa: E402

from dfrot_gui.translation import CONTEXT, LANGUAGES, translations_dir  # noqa: E402


class Text(NamedTuple):
    """One text to translate; `is_plural` where it has a form for each number."""

    source: str
    is_plural: bool


def texts() -> tuple[Text, ...]:
    """All texts, sorted, once each."""
    found = {text for path in sorted((ROOT / "dfrot_gui").rglob("*.py")) for text in texts_of(path.read_text())}
    return tuple(sorted(found | {Text(source, False) for source in engine_texts()}))


def texts_of(code: str) -> Iterator[Text]:
    """What a module gives to `tr` and `mark`."""
    for node in ast.walk(ast.parse(code)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"tr", "mark"}):
            continue
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield Text(first.value, len(node.args) > 1 or any(word.arg == "n" for word in node.keywords))


def engine_texts() -> tuple[str, ...]:
    """What the engine calls its fields, presets, stages and verdicts."""
    from dfrot_gui.engine_words import sources

    return sources()


def update(folder: Path) -> None:
    """Merge all texts into the .ts files of a folder and compile them."""
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "texts.py"
        listing.write_text(_listing(texts()), encoding="utf-8")
        for language in LANGUAGES:
            ts_path = folder / f"dfrot_{language}.ts"
            flags = ["-silent", "-locations", "none", "-no-obsolete", "-source-language", "en"]
            flags += ["-target-language", language, *(["-pluralonly"] if language == "en" else [])]
            _qt("lupdate", *flags, str(listing), "-ts", str(ts_path))
    compile_all(folder)


def compile_all(folder: Path) -> None:
    """Whole or not at all: a window that is open has the old files in its memory, page by page."""
    for path in sorted(folder.glob("*.ts")):
        draft = path.with_suffix(".qm.draft")
        _qt("lrelease", "-silent", str(path), "-qm", str(draft))
        draft.replace(path.with_suffix(".qm"))


def _listing(found: tuple[Text, ...]) -> str:
    """A module that lupdate understands."""
    lines = (
        f"QCoreApplication.translate({CONTEXT!r}, {_quoted(text.source)}{', None, 0' if text.is_plural else ''})"
        for text in found
    )
    return "\n".join(("from PySide6.QtCore import QCoreApplication", *lines, ""))


def _quoted(source: str) -> str:
    escaped = source.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _qt(tool: str, *arguments: str) -> None:
    """Qt's tools are programs beside the libraries."""
    program = Path(PySide6.__file__).parent / tool
    subprocess.run((str(program), *arguments), check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=translations_dir())
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    update(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
