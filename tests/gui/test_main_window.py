from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QSystemTrayIcon

from dfrot_engine import Recipe, RunOptions, RunStarted
from dfrot_engine.events import JOURNAL
from dfrot_engine.work_lock import locked
from dfrot_gui.closing import Closing
from dfrot_gui.main_window import HISTORY, MODEL, RECIPE, RESULTS, RUN, MainWindow
from dfrot_gui.notify import RunNotifier
from dfrot_gui.pages.model_page import ModelPage
from dfrot_gui.recipe_model import RecipeModel
from dfrot_gui.run_model import PastRun
from dfrot_gui.run_state import RunState
from dfrot_gui.settings import Settings
from dfrot_gui.theme import Theme
from tests.gui.fakes import FakeRuns, FakeTray, assert_uncut, drop


def start(window: MainWindow) -> None:
    window.recipe_page.start_button.click()


def test_ctrl_numbers_go_to_the_pages(window: MainWindow) -> None:
    window.activateWindow()
    for step, key in (
        (HISTORY, Qt.Key.Key_5),
        (RESULTS, Qt.Key.Key_4),
        (RUN, Qt.Key.Key_3),
        (RECIPE, Qt.Key.Key_2),
        (MODEL, Qt.Key.Key_1),
    ):
        QTest.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
        assert window.stack.currentIndex() == step


def test_using_a_model_leads_to_the_recipe(
    window: MainWindow, model_page: ModelPage, recipe_model: RecipeModel
) -> None:
    model_page.model_used.emit("Qwen/Qwen3-0.6B", "main")
    assert window.stack.currentIndex() == RECIPE
    assert recipe_model.recipe.model.id_or_path == "Qwen/Qwen3-0.6B"


def test_start_shows_the_run_and_its_end_the_results(
    window: MainWindow, runs: FakeRuns, settings: Settings, recipe_model: RecipeModel
) -> None:
    window.go_to(RECIPE)
    start(window)
    assert runs.calls == ["start"]
    assert window.stack.currentIndex() == RUN
    assert settings.open_run == recipe_model.options.work_path
    assert not window.recipe_page.start_button.isEnabled()
    runs.end("finished")
    assert window.stack.currentIndex() == RESULTS
    assert settings.open_run is None


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_a_run_that_did_not_finish_stays_on_its_page(window: MainWindow, runs: FakeRuns, status: str) -> None:
    start(window)
    runs.end(status)
    assert window.stack.currentIndex() == RUN


def test_closing_is_asked_for_while_a_run_goes_on(window: MainWindow, runs: FakeRuns, answers: list[Closing]) -> None:
    start(window)
    answers.append("stay")
    window.close()
    assert window.isVisible()
    assert runs.calls == ["start"]


def test_stop_and_close_waits_for_the_run(
    qtbot, window: MainWindow, runs: FakeRuns, answers: list[Closing], settings: Settings
) -> None:
    start(window)
    answers.append("stop")
    window.close()
    assert window.isVisible()
    assert runs.calls == ["start", "stop"]
    assert not window.stack.isEnabled()
    runs.end("cancelled")
    qtbot.waitUntil(lambda: not window.isVisible())
    assert settings.open_run is not None, "the next start offers to go on"


def test_a_run_left_in_the_background_closes_the_window(
    qtbot, window: MainWindow, runs: FakeRuns, answers: list[Closing], settings: Settings
) -> None:
    start(window)
    answers.append("background")
    window.close()
    window.close()
    assert window.isVisible(), "until the engine has heard it"
    assert runs.calls == ["start", "detach"]
    runs.end("interrupted")
    qtbot.waitUntil(lambda: not window.isVisible())
    assert settings.open_run is not None, "the next start shows it"


def test_a_run_in_the_background_is_offered_and_shown(
    qtbot, make_window: Callable[[], MainWindow], runs: FakeRuns, settings: Settings, tmp_path: Path
) -> None:
    settings.open_run = interrupted_run(tmp_path / "work")
    with locked(settings.open_run):
        window = make_window()
        qtbot.waitUntil(window.notice.isVisible)
        assert "goes on in the background" in window.notice.text
        assert window.notice.button.text() == "Show"
        runs.can_start_again = False  # as the model says of a run that goes on
        window.notice.button.click()
    assert runs.calls == ["open work"]
    assert window.stack.currentIndex() == RUN


def test_an_ended_run_is_told_when_the_window_is_not_in_front(
    window: MainWindow, runs: FakeRuns, tray: FakeTray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "isActiveWindow", lambda: True)
    start(window)
    runs.end("finished")
    assert tray.shown == []
    monkeypatch.setattr(window, "isActiveWindow", lambda: False)
    for status, words in (("finished", "The run finished"), ("failed", "The run failed")):
        start(window)
        runs.end(status)
        assert tray.shown.pop()[0] == words
    window.showMinimized()
    tray.clicked()
    assert not window.isMinimized()


def test_without_a_tray_nothing_is_told(window: MainWindow, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    window.notifier = RunNotifier(window)
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: False)
    monkeypatch.setattr(window, "isActiveWindow", lambda: False)
    start(window)
    runs.end("finished")
    assert not window.findChildren(QSystemTrayIcon)


def past_run(folder: Path, status: str = "cancelled") -> PastRun:
    options = RunOptions(output_dir=folder.with_suffix(""))
    state = RunState(status=status)  # pyright: ignore[reportArgumentType]
    return PastRun(folder, Recipe.preset("w8a8"), options, state)


def test_a_past_run_is_opened_on_its_page(window: MainWindow, runs: FakeRuns, tmp_path: Path) -> None:
    window.open_past(past_run(tmp_path / "a.dfrot", "finished"), False)
    assert window.stack.currentIndex() == RESULTS
    window.open_past(past_run(tmp_path / "b.dfrot"), False)
    assert window.stack.currentIndex() == RUN
    assert runs.calls == ["show a.dfrot", "show b.dfrot"]


def test_a_past_run_goes_on(window: MainWindow, runs: FakeRuns, settings: Settings, tmp_path: Path) -> None:
    window.open_past(past_run(tmp_path / "a.dfrot"), True)
    assert runs.calls == ["show a.dfrot", "start again"]
    assert window.stack.currentIndex() == RUN
    assert settings.open_run == tmp_path / "a.dfrot"


def test_a_past_recipe_comes_to_the_recipe_page(window: MainWindow, recipe_model: RecipeModel, tmp_path: Path) -> None:
    window.use_recipe(past_run(tmp_path / "a.dfrot"))
    assert window.stack.currentIndex() == RECIPE
    assert recipe_model.recipe.name == "w8a8"
    recipe_model.undo()
    assert recipe_model.recipe.name == "w4a4"


def test_a_folder_dropped_anywhere_comes_to_the_model_page(window: MainWindow, tmp_path: Path) -> None:
    window.go_to(RESULTS)
    drop(window, tmp_path)
    assert window.stack.currentIndex() == MODEL
    assert window.model_page.rows.find(str(tmp_path)).isValid()


def test_closing_without_a_run_asks_nothing(window: MainWindow, answers: list[Closing], settings: Settings) -> None:
    window.close()
    assert not window.isVisible()
    assert not settings.geometry.isEmpty()


def interrupted_run(folder: Path) -> Path:
    folder.mkdir()
    event = RunStarted(
        run_id="1",
        recipe_name="w4a4",
        model="SmolLM2-135M",
        stages=("calibrate",),
        num_blocks=2,
        device="cpu",
        output_dir=str(folder),
    )
    (folder / JOURNAL).write_text(event.model_dump_json() + "\n", encoding="utf-8")
    return folder


def test_an_interrupted_run_is_offered_and_resumed(
    qtbot, make_window: Callable[[], MainWindow], runs: FakeRuns, settings: Settings, tmp_path: Path
) -> None:
    settings.open_run = interrupted_run(tmp_path / "work")
    window = make_window()
    qtbot.waitUntil(window.notice.isVisible)
    assert "SmolLM2-135M" in window.notice.text
    window.notice.button.click()
    assert runs.calls == ["open work", "start again"]
    assert window.stack.currentIndex() == RUN
    assert not window.notice.isVisible()


def test_not_now_forgets_the_run(
    qtbot, make_window: Callable[[], MainWindow], settings: Settings, tmp_path: Path
) -> None:
    settings.open_run = interrupted_run(tmp_path / "work")
    window = make_window()
    qtbot.waitUntil(window.notice.isVisible)
    window.notice.dismissed.emit()
    assert settings.open_run is None
    assert not window.notice.isVisible()


def test_a_run_whose_folder_is_gone_is_not_offered(
    qtbot, make_window: Callable[[], MainWindow], settings: Settings, tmp_path: Path
) -> None:
    settings.open_run = tmp_path / "gone"
    window = make_window()
    qtbot.waitUntil(lambda: settings.open_run is None)
    assert not window.notice.isVisible()


def test_appearance_is_switched_and_remembered(window: MainWindow, settings: Settings) -> None:
    window.sidebar.appearance.buttons[2].click()
    assert Theme.get().t.name == "dark"
    assert settings.theme == "dark"
    window.sidebar.appearance.buttons[1].click()
    assert Theme.get().t.name == "light"


def test_ticks_tell_what_is_done(window: MainWindow, runs: FakeRuns) -> None:
    ticks = [button.is_done for button in window.sidebar.buttons]
    assert ticks == [True, True, False, False, False]
    start(window)
    runs.end("finished")
    assert all(button.is_done for button in window.sidebar.buttons[:HISTORY])


def test_tab_reaches_every_area(window: MainWindow) -> None:
    window.activateWindow()
    window.sidebar.buttons[0].setFocus()
    seen: set[int] = set()
    names: set[str] = set()
    for _ in range(60):
        focused = window.focusWidget()
        assert focused is not None
        seen.add(id(focused))
        names.add(focused.accessibleName())
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    assert {"Search models", "Models", "Use this model", "Family", "Order", "Open folder…"} <= names
    assert len(seen) < 60, "Tab comes round"


def test_a_key_makes_the_focus_visible_and_a_click_does_not(window: MainWindow) -> None:
    window.activateWindow()
    button = window.sidebar.buttons[0]
    button.setFocus()
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Tab)
    focused = window.focusWidget()
    assert focused is not None
    assert focused.property("kbd") is True
    QTest.mouseClick(window.windowHandle(), Qt.MouseButton.LeftButton, pos=window.rect().center())
    button.setFocus()
    assert not button.property("kbd")


@pytest.mark.parametrize("size", [(1080, 700), (1360, 880)])
@pytest.mark.parametrize("step", [MODEL, RECIPE])
def test_no_text_is_cut_off(qtbot, window: MainWindow, step: int, size: tuple[int, int]) -> None:
    window.resize(*size)
    window.go_to(step)
    QTest.qWait(50)
    assert window.size().toTuple() == size
    assert_uncut(window.stack.currentWidget())


def test_the_window_loads_no_torch() -> None:
    heavy = "('torch', 'transformers', 'huggingface_hub', 'pyqtgraph')"
    code = f"import sys, dfrot_gui.app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


ALL_PAGES = """
import sys
from pathlib import Path
from PySide6.QtTest import QTest
from dfrot_gui.app import make_application, make_window
from dfrot_gui.settings import Settings

app = make_application([])
settings = Settings(Path(sys.argv[1]) / "settings.ini")
settings.output_root = Path(sys.argv[1]) / "out"
window = make_window(settings)
window.show()
for step in range(5):
    window.go_to(step)
    QTest.qWait(50)
for _ in range(400):
    if window.recipe.plan is not None and not window.recipe.is_planning:
        break
    QTest.qWait(50)
assert window.recipe.plan.model is not None, window.recipe.problems
window.close()
heavy = "torch", "transformers", "compressed_tensors", "datasets", "PySide6.QtNetwork"
print([name for name in heavy if name in sys.modules])
"""


def test_no_page_loads_torch(tmp_path: Path) -> None:
    """Neither building and showing every page nor planning a run; that is left to the engine's process."""
    command = [sys.executable, "-c", ALL_PAGES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_version_needs_no_window() -> None:
    command = [sys.executable, "-m", "dfrot_gui", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("DFRot Studio ")


def test_qt_keeps_the_references_to_none(window: MainWindow) -> None:
    widget = window.stack
    before = sys.getrefcount(None)
    for _ in range(1000):
        widget.update()
    assert sys.getrefcount(None) > before - 500
