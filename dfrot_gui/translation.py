"""Words in the user's language.

`tr` translates where a text is shown, and fills its placeholders in afterwards. Tables that are built at import hold
sources marked with `mark`, and whoever shows them calls `tr` on them; so nothing is translated before the language is
known.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from dfrot_engine.resources import resources_dir

#: The one context of all texts.
CONTEXT = "dfrot"
SYSTEM = "system"
#: Languages that are complete, by their own names. English has a file for its plurals alone.
LANGUAGES = {"en": "English", "de": "Deutsch"}


def tr(source: str, /, n: int | None = None, **values: Any) -> str:
    """A text in the user's language.

    Args:
        source: the English text, written here in full or marked elsewhere; with placeholders by name, as str.format has
            them. Numbers in them get the decimal point and the separators of the language.
        n: the number that decides between singular and plural; the text says it as %n.
    """
    text = QCoreApplication.translate(CONTEXT, source, None, -1 if n is None else n)
    return _FORMATTER.vformat(text, (), values) if values else text


def mark(source: str) -> str:
    """A text of a table, to be translated by whoever shows it; returned as it is."""
    return source


def num(text: str) -> str:
    """A number, formatted as in English, with the decimal point and the separators of the language."""
    locale = QLocale()
    return text.translate(str.maketrans({".": locale.decimalPoint(), ",": locale.groupSeparator()}))


def translations_dir() -> Path:
    return resources_dir() / "translations"


def language_of(choice: str) -> str:
    """The language of a choice: one of LANGUAGES, or what the system speaks, where we do; else English."""
    if choice in LANGUAGES:
        return choice
    spoken = (name.replace("_", "-").split("-")[0] for name in QLocale.system().uiLanguages())
    return next((code for code in spoken if code in LANGUAGES), "en")


def install(app: QCoreApplication, choice: str = SYSTEM) -> str:
    """Let the application speak a language, numbers included, and say which; called before any widget is made."""
    for old in app.findChildren(QTranslator):
        app.removeTranslator(old)
        old.deleteLater()
    language = language_of(choice)
    system = QLocale.system()
    QLocale.setDefault(system if system.name().startswith(language) else QLocale(language))
    qt_folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    for name, folder in ((f"qtbase_{language}", qt_folder), (f"dfrot_{language}", str(translations_dir()))):
        translator = QTranslator(app)
        if translator.load(name, folder):
            app.installTranslator(translator)
    return language


class _Formatter(string.Formatter):
    """str.format, with numbers as the language writes them."""

    def format_field(self, value: Any, format_spec: str) -> str:
        text = super().format_field(value, format_spec)
        return num(text) if isinstance(value, int | float) else text


_FORMATTER = _Formatter()
