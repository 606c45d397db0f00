"""Every text the window shows is translated, by the rules of dfrot_gui.translation."""

from __future__ import annotations

import ast
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


FONTS = ("Inter", "Noto Sans", "Cantarell", "Ubuntu")
#: Words that are names, keys or the engine's log, by file; what is said to the user is never here.
NO_TEXTS: dict[str, set[str]] = {
    "__main__.py": {"DFRot Studio "},
    "app.py": {"unexpected fault"},
    "background.py": {"answer arrived after the window was closed", "background work failed"},
    "charts/export.py": {" cannot be written"},
    "download.py": {"the download ended after the window was closed"},
    "help_texts.py": {"Questions"},
    "hub_search.py": {"LlamaForCausalLM"},
    "main_window.py": {"DFRot Studio", "MainWindow"},
    "pages/account_dialog.py": {"hf_…"},
    "pages/site_picker.py": {"attention, mlp"},
    "pages/token_details.py": {" …"},
    "result_words.py": {"Whip", "Cayley"},
    "run_parts.py": {"Series("},
    # The log is the engine's, in English.
    "run_state.py": {" with recipe ", "kept from an earlier run", "finished in ", "Warning: "},
    "theme.py": {"Householder", "Whip", "Cayley", "Fusion", "sans serif", "dejavu sans", *FONTS},
    "translation.py": {"English", "Deutsch"},
}
#: Calls whose words are always shown, whatever they look like elsewhere.
SHOWN_BY = {
    *("setText", "setToolTip", "setWindowTitle", "setAccessibleName", "setAccessibleDescription", "setPlaceholderText"),
    *("setInformativeText", "addAction", "addButton", "addItem", "label", "badge", "Button", "Card", "TableCard"),
    *("ChartCard", "KpiCard", "EmptyPage", "Notice", "Kpi", "Segmented", "BoolEditor", "set_subtitle", "show_message"),
}
WORDS = re.compile(r"[A-Za-z]{2,}[^A-Za-z_.:/]* [^ ]|^[A-Z][a-z]{2,}|…$")
MARKUP = re.compile(r"[<{;]|^(Ctrl|Esc)")


def modules() -> Iterator[tuple[str, ast.Module]]:
    folder = ROOT / "dfrot_gui"
    for path in sorted(folder.rglob("*.py")):
        if path.name not in {"style_sheet.py", "engine_words.py", "__init__.py"}:
            yield path.relative_to(folder).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def literals(tree: ast.AST) -> Iterator[str]:
    """Words in the code that are given neither to `tr` nor to `mark`, docstrings and assertions left out."""
    for node in ast.iter_child_nodes(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_marked = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"tr", "mark"}
        is_export = isinstance(node, ast.Assign) and "__all__" in [getattr(one, "id", "") for one in node.targets]
        if is_text or is_export or isinstance(node, ast.Assert):
            continue
        if is_marked:
            rest = [*node.args[1:], *(word.value for word in node.keywords)]  # pyright: ignore[reportAttributeAccessIssue]
            for one in (node.args[0], *rest):  # pyright: ignore[reportAttributeAccessIssue]
                yield from () if isinstance(one, ast.Constant) else literals(one)
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORDS.search(node.value):
            yield node.value
        yield from literals(node)


def test_no_sentence_bypasses_the_translation() -> None:
    sources = {one.source for one in messages("de")}
    bypassing = [
        (path, text)
        for path, tree in modules()
        for text in literals(tree)
        if text not in sources | NO_TEXTS.get(path, set()) and not MARKUP.search(text)
    ]
    assert bypassing == []


def test_what_widgets_are_given_is_translated() -> None:
    """Also where the same word is a key elsewhere."""
    bypassing = [
        (path, text)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in SHOWN_BY
        for argument in (*node.args, *(word.value for word in node.keywords))
        for text in literals(ast.Expression(argument))
        if text not in NO_TEXTS.get(path, set()) and not MARKUP.search(text)
    ]
    assert bypassing == []
