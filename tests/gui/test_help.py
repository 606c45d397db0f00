"""Help: a section for every page in every language, what README.md says, the choice of a language."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QApplication

from dfrot_engine.resources import resources_dir
from dfrot_gui import help_texts
from dfrot_gui.help_box import HelpBox
from dfrot_gui.help_texts import help_sections, sections_of
from dfrot_gui.main_window import HISTORY, RUN, MainWindow
from dfrot_gui.presets import presets
from dfrot_gui.settings import Settings
from dfrot_gui.sidebar import STEPS
from dfrot_gui.translation import LANGUAGES, install, tr


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest, qapp: QApplication) -> Iterator[str]:
    install(qapp, request.param)
    yield request.param
    install(qapp, "en")


def test_every_page_has_a_section_in_every_language(language: str) -> None:
    headings = list(help_sections())
    assert headings[: len(STEPS)] == [tr(step.title) for step in STEPS]
    own = sections_of((resources_dir() / "help" / f"{language}.md").read_text(encoding="utf-8"))
    assert len(own) == len(sections_of((resources_dir() / "help" / "en.md").read_text(encoding="utf-8")))
    assert all(len(text) > 200 for text in own.values())


def test_what_the_help_names_is_what_the_window_says(language: str) -> None:
    """Presets by their titles, and charts by theirs."""
    text = "\n".join(help_sections().values())
    for preset in presets():
        assert preset.title.removesuffix(" (paper)") in text
    charts = ("Quantization error of every token", "Mean error per block", "Massive activations", "Error per block")
    for title in (*charts, "Loss", "Sensitivity"):
        assert f"**{tr(title)}.**" in text
    for button in ("Try rotations", "Use this model", "Use this recipe", "Will it load?", "Quantize again"):
        assert f"*{tr(button)}*" in text


def test_sections_of_the_readme_are_shown_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "# Title\n\nWords.\n\n## FAQ\n\n### It does not load\n\nMemory.\n\n## Licence\n\nApache.\n"
    monkeypatch.setattr(help_texts, "readme", lambda: said)
    sections = help_sections()
    assert sections["FAQ"] == "### It does not load\n\nMemory."
    assert "Licence" not in sections


def test_help_opens_at_the_page_that_is_shown(window: MainWindow) -> None:
    for step in (RUN, HISTORY):
        window.go_to(step)
        window.sidebar.help.click()
        box = window.findChildren(HelpBox)[-1]
        assert box.topics.currentRow() == step
        assert re.search(STEPS[step].title, box.text.toPlainText())
        box.close()


def test_the_language_is_remembered(qtbot, settings: Settings) -> None:
    box = HelpBox("Studio", settings, 0)
    qtbot.addWidget(box)
    assert settings.language == "system"
    box.language.setCurrentIndex(box.language.findData("de"))
    box.language.activated.emit(box.language.currentIndex())
    assert settings.language == "de"
