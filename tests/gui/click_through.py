"""A whole session with the window under X, as a program: ``python -m tests.gui.click_through FOLDER``.

The mouse is the display's own where xdotool is installed, else Qt's. Every page is saved as a picture in the folder.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from PySide6.QtCore import QEventLoop, QPoint, QPointF, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from dfrot_gui import translation
from dfrot_gui.app import make_application, make_window
from dfrot_gui.main_window import HISTORY, RECIPE, RESULTS, RUN, MainWindow
from dfrot_gui.pages.history_page import HistoryPage
from dfrot_gui.settings import Settings
from dfrot_gui.theme import Mode, Theme
from tests.gui.user import model_page, result_page, run_page

#: Few and short, so that the sample model needs a minute.
NUMBERS = {
    "calibration.num_samples": 4,
    "calibration.seq_len": 128,
    "rotation.r1.sample_rows": 2_048,
    "rotation.r1.steps": 10,
    "evaluation.seq_len": 128,
    "evaluation.num_windows": 2,
}
#: For what takes half a minute on a computer that has nothing else to do.
PATIENCE_S = 300.0
STOPS_MS = 15_000
MODES: tuple[Mode, ...] = ("dark", "light")


class Session:
    """The window, a mouse and a camera."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._app = make_application([])
        Theme.get().install(self._app, "dark")
        settings = Settings(folder / "settings.ini")
        translation.install(self._app, "en")
        settings.output_root = folder / "output"
        self.window: MainWindow = make_window(settings, lambda _: "stop")
        self.window.move(0, 0)
        self.window.resize(1_360, 880)
        self.window.show()
        self._number = 0

    def let_live(self, seconds: float) -> None:
        loop = QEventLoop()
        QTimer.singleShot(round(1_000 * seconds), loop.quit)
        loop.exec()

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                sys.exit(f"Waited in vain for {what}; {self.window.runs.state.message}")
            self.let_live(0.05)

    def click(self, widget: QWidget, at: QPoint | None = None) -> None:
        assert widget.isVisible(), widget.accessibleName()
        assert widget.isEnabled(), widget.accessibleName()
        place = at or QPoint(min(12, widget.width() // 2), widget.height() // 2)
        if shutil.which("xdotool"):
            point = widget.mapToGlobal(place)
            line = ["xdotool", "mousemove", "--sync", str(point.x()), str(point.y()), "click", "1"]
            subprocess.run(line, check=True, timeout=10)
        else:
            QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=place)
        self.let_live(0.3)

    def picture(self, name: str) -> None:
        """In both themes."""
        self._number += 1
        for mode in MODES:
            Theme.get().set_mode(mode)
            self.let_live(0.2)
            self.window.grab().save(str(self._folder / f"{self._number:02}-{name}-{mode}.png"))
        Theme.get().set_mode("dark")


def go_through(session: Session) -> None:
    window = session.window
    choose(session)
    page = run_page(window)
    session.click(window.recipe_page.start_button)
    session.wait_for("the Run page", lambda: window.stack.currentIndex() == RUN)
    session.wait_for("the first block to be rounded", lambda: bool(window.runs.state.blocks), PATIENCE_S)
    session.picture("run-going")
    session.wait_for("the end", lambda: not window.runs.is_active, PATIENCE_S)
    assert window.runs.state.status == "finished", window.runs.state.message
    session.wait_for("the results", lambda: window.stack.currentIndex() == RESULTS)
    results = result_page(window)
    for button in results.views.buttons:
        session.click(button)
        if button.text() == "Text":
            session.click(results.text.ask_button)
            session.wait_for("both answers", lambda: results.text.process.state.generation is not None, PATIENCE_S)
            assert all(answer.toPlainText() for answer in results.text.answers.values())
        if button.text() == "Sensitivity":
            session.click(results.sensitivity.measure_button)
            session.wait_for("the map", results.sensitivity.map.isVisible, PATIENCE_S)
        session.picture(f"results-{button.text().lower().replace(' ', '-')}")
    session.click(window.sidebar.buttons[RUN])
    chart = page.map
    at = chart.mapFromScene(chart.view.mapViewToScene(QPointF(0, 15)))
    session.click(chart.viewport(), at)
    assert chart.pin is not None
    assert chart.pin[0] == 15
    assert page.map_card.details.isVisible()
    assert page.map_card.details.token is not None
    assert len(page.map_card.details.token.errors) == 2
    page.picker.pick_block(15)
    session.let_live(0.5)
    session.picture("run-token")
    session.click(window.sidebar.buttons[HISTORY])
    history = cast(HistoryPage, window.stack.widget(HISTORY))
    session.wait_for("the list of runs", history.isVisible)
    session.let_live(1)
    session.picture("history")
    window.close()
    session.wait_for("the window to close", lambda: not window.isVisible(), 15)


def choose(session: Session) -> None:
    """The model and the recipe."""
    window = session.window
    facts = model_page(window).facts
    session.wait_for("the sample", facts.use_button.isEnabled, 60)
    session.picture("model")
    session.click(facts.use_button)
    session.wait_for("the Recipe page", lambda: window.stack.currentIndex() == RECIPE)
    page = window.recipe_page
    session.click(next(one for one in page.preset_choice.buttons if one.text() == "W8A8"))
    assert window.recipe.recipe.name == "w8a8"
    for field, number in NUMBERS.items():
        window.recipe.set(field, number)
    session.wait_for("the plan", page.start_button.isEnabled, 60)
    session.picture("recipe")


def main() -> int:
    session = Session(Path(sys.argv[1]))
    try:
        go_through(session)
    finally:  # a thread that is left behind ends the program badly, and hides why
        session.window.runs.stop()
        session.window.runs.wait(STOPS_MS)
    print(QApplication.platformName(), "xdotool" if shutil.which("xdotool") else "QTest", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
