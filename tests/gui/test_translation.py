"""Every text the window shows is translated, by the rules of dfrot_gui.translation."""

from __future__ import annotations

import importlib.util
import re
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from PySide6.QtWidgets import QApplication

from dfrot_gui.translation import LANGUAGES, install, num, tr, translations_dir

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """packaging/translations.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("translations", ROOT / "packaging" / "translations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def german(qapp: QApplication) -> Iterator[None]:
    install(qapp, "de")
    yield
    install(qapp, "en")


class Message(NamedTuple):
    source: str
    forms: tuple[str, ...]
    is_unfinished: bool


def messages(language: str) -> list[Message]:
    tree = ElementTree.parse(translations_dir() / f"dfrot_{language}.ts")
    found = []
    for one in tree.iter("message"):
        translation = one.find("translation")
        assert translation is not None
        forms = tuple(form.text or "" for form in translation.iter("numerusform")) or (translation.text or "",)
        found.append(Message(one.findtext("source", ""), forms, translation.get("type") is not None))
    return found


def test_the_files_hold_what_the_code_holds(tool: ModuleType, tmp_path: Path) -> None:
    shutil.copytree(translations_dir(), tmp_path / "translations")
    tool.update(tmp_path / "translations")
    for path in sorted(translations_dir().iterdir()):
        again = tmp_path / "translations" / path.name
        assert again.read_bytes() == path.read_bytes(), f"{path.name} is old: run python packaging/translations.py"
    assert {path.stem for path in translations_dir().glob("*.qm")} == {f"dfrot_{code}" for code in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    open_ones = [one.source for one in messages(language) if one.is_unfinished or not all(one.forms)]
    assert not open_ones


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_keep_placeholders_keys_and_line_ends(language: str) -> None:
    for one in messages(language):
        for form in one.forms:
            missing = set(fields(one.source)) ^ set(fields(form))
            is_singular = len(one.forms) > 1 and form == one.forms[0]
            assert missing <= ({("%n", None)} if is_singular else set()), one.source
            assert len(re.findall("&[^& ]", form)) == len(re.findall("&[^& ]", one.source)), one.source
            assert form.count("\n") == one.source.count("\n"), one.source
            assert (form[:1].isspace(), form[-1:].isspace()) == (one.source[:1].isspace(), one.source[-1:].isspace())


def fields(text: str) -> list[tuple[str | None, str | None]]:
    if re.search(r"\{\W", text):  # not a template
        return []
    names = [(name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name is not None]
    return sorted({*names, *(("%n", None) for _ in re.findall("%L?n", text))}, key=str)


def test_a_text_is_translated_and_filled(german: None) -> None:
    assert tr("Weights") == "Gewichte"
    assert tr("no such text {share:,.1f}", share=1234.5) == "no such text 1.234,5"
    assert num("1,234.5") == "1.234,5"


def test_the_language_follows_the_setting(qapp: QApplication) -> None:
    assert install(qapp, "de") == "de"
    assert tr("Weights") == "Gewichte"
    assert install(qapp, "en") == "en"
    assert tr("Weights") == "Weights"
    assert num("1,234.5") == "1,234.5"
