"""Help: the box with versions, licences and diagnostics."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QTableWidget

from dfrot_engine import __version__
from dfrot_engine.doctor.finding import Finding
from dfrot_gui import about
from dfrot_gui.about import AboutBox
from dfrot_gui.help_box import HelpBox
from dfrot_gui.main_window import MainWindow
from dfrot_gui.settings import Settings

FOUND = (Finding("Packages", "torch", "missing", "not installed"), Finding("Computer", "CUDA", "slow", "none"))


def test_help_opens_the_box(qtbot, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "examine", lambda _folder: FOUND)
    window.sidebar.help.click()
    shown = window.findChild(HelpBox)
    assert isinstance(shown, HelpBox)
    shown.about_button.click()
    box = shown.findChild(AboutBox)
    assert isinstance(box, AboutBox)
    qtbot.waitUntil(box.copy.isEnabled)
    assert box.summary.text() == "To mend: torch. Could be better: CUDA."
    box.accept()
    shown.accept()


def test_diagnostics_are_copied_without_secrets(
    qtbot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qapp: QApplication
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "planted-name"))
    monkeypatch.setenv("HF_TOKEN", "an-odd-secret")
    planted = Finding("Hub", "planted", "ok", f"{tmp_path}/planted-name/models an-odd-secret")
    box = AboutBox("Studio", lambda: (*FOUND, planted))
    qtbot.addWidget(box)
    qtbot.waitUntil(box.copy.isEnabled)
    box.copy.click()
    text = QApplication.clipboard().text()
    assert __version__ in text
    assert "~/models [token]" in text
    assert "planted-name" not in text + box.findings.toPlainText()
    assert "odd-secret" not in text + box.findings.toPlainText()


def test_licences_are_one_click_away(qtbot) -> None:
    box = AboutBox("Studio", lambda: FOUND)
    qtbot.addWidget(box)
    box.show()
    box.views.buttons[1].click()
    table = box.findChild(QTableWidget)
    assert isinstance(table, QTableWidget)
    assert table.isVisible()
    names = {table.item(row, 0).text().lower() for row in range(table.rowCount())}  # pyright: ignore[reportOptionalMemberAccess]
    assert {"torch", "pyqtgraph"} <= names
    qtbot.waitUntil(box.copy.isEnabled)


def test_settings_are_the_users_alone(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "settings.ini")
    for name in ("a", "b"):
        settings.last_model = name
        settings.sync()
        assert (tmp_path / "settings.ini").stat().st_mode & 0o777 == 0o600
