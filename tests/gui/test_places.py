"""Where to look: sites and blocks to pick, and a token of the map in full."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from dfrot_engine.charts import ActivationMap
from dfrot_gui.charts.activation_map import ActivationMapChart
from dfrot_gui.charts.linear_error import MOST_BARS, LinearErrorChart
from dfrot_gui.errors_by_place import ErrorsByPlace
from dfrot_gui.pages.run_page import RunPage
from dfrot_gui.pages.site_picker import SitePicker, site_titles
from dfrot_gui.recipe_form.editors import ChoiceEditor
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_parts import ChartFile
from dfrot_gui.run_tables import shown_text
from tests.gui import fake_charts, fake_engine
from tests.gui.history_runs import NOON
from tests.gui.test_run_page import past_run


@pytest.fixture
def runs() -> RunModel:
    return RunModel((sys.executable, fake_engine.__file__))


@pytest.fixture
def page(qtbot: QtBot, runs: RunModel, tmp_path: Path) -> RunPage:
    """A finished run, as History opens it."""
    page = RunPage(runs)
    qtbot.addWidget(page)
    page.resize(1_136, 1_400)
    page.show()
    runs.open(past_run(tmp_path))
    QApplication.processEvents()
    return page


def click_cell(chart: ActivationMapChart, block: int, position: int) -> None:
    at = chart.mapFromScene(chart.view.mapViewToScene(QPointF(position, block)))
    QTest.mouseClick(chart.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(round(at.x()), round(at.y())))


def choose(editor: ChoiceEditor, text: str) -> None:
    editor.setCurrentText(text)
    editor.activated.emit(editor.currentIndex())


def test_a_click_pins_a_token_with_its_neighbours_and_errors(page: RunPage) -> None:
    details = page.map_card.details
    assert not details.isVisible()
    click_cell(page.map, 12, 28)
    assert details.isVisible()
    token = details.token
    assert token is not None
    assert (token.block, abs(token.position - 28) <= 1) == (12, True), "a cell is narrower than a pixel"
    page.map.set_pin((12, 28))
    token = details.token
    assert token is not None
    assert token.is_massive
    assert token.context[1] == shown_text(token.texts[28])
    assert token.context[0].startswith("… ")
    assert len(token.context[0]) > 10
    assert list(token.errors) == ["Attention input", "MLP input"]
    assert token.errors["MLP input"]["none"] == pytest.approx(0.26 * 1.5)
    assert "RH 0.4900" in details.accessibleName()
    QTest.mouseClick(details.close_button, Qt.MouseButton.LeftButton)
    assert not details.isVisible()
    assert page.map.pin is None


def test_arrows_move_enter_pins_and_escape_lets_go(page: RunPage) -> None:
    chart = page.map
    chart.setFocus(Qt.FocusReason.TabFocusReason)
    assert chart.focusPolicy() == Qt.FocusPolicy.StrongFocus
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_PageDown):
        QTest.keyClick(chart, key)
    assert chart.cursor_cell == (1, 34)
    assert "block 1 · position 34" in chart.tip.text()
    assert chart.tip.isVisible()
    QTest.keyClick(chart, Qt.Key.Key_Return)
    assert chart.pin == (1, 34)
    assert page.map_card.details.isVisible()
    for key in (Qt.Key.Key_End, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Up):
        QTest.keyClick(chart, key)
    assert chart.cursor_cell == (0, fake_charts.NUM_TOKENS - 1), "it stops at the edges"
    QTest.keyClick(chart, Qt.Key.Key_Escape)
    assert chart.pin is None
    assert not page.map_card.details.isVisible()


def test_a_token_that_was_not_kept_and_an_old_run_say_so(qtbot: QtBot, page: RunPage, tmp_path: Path) -> None:
    page.map.set_pin((3, 5))
    assert "has not kept this token" in page.map_card.details.accessibleName()
    old = RunModel()
    work = past_run(tmp_path / "old")
    for name in ("site_errors", "cell_errors"):
        (work / "charts" / f"{name}.npz").unlink()
    found = fake_charts.activation_map()
    ActivationMap(found.value, found.is_massive, found.tokens).save(work / "charts" / "activation_map.npz")
    other = RunPage(old)
    qtbot.addWidget(other)
    other.show()
    old.open(work)
    assert not other.picker.sites.isEnabled()
    assert len(other.errors.kinds) == 4
    other.map.set_pin((3, 28))
    assert "before errors of single tokens were kept" in other.map_card.details.accessibleName()
    choose(other.picker.blocks, "Block 3")
    assert len(other.errors.kinds) == 4, "all blocks' errors, since those of one are not known"
    assert "block 3" not in other._error_card.subtitle_label.text()


def test_the_picked_place_drives_errors_map_and_linears(qtbot: QtBot, page: RunPage) -> None:
    everywhere = page.errors.errors
    assert page._block_stack.currentIndex() == 0
    choose(page.picker.sites, "MLP input")
    qtbot.waitUntil(lambda: page.errors.errors is not everywhere)
    one = page.errors.errors
    assert one is not None
    assert one.series["hadamard"].rank[-1] == 40 * 50 * fake_charts.NUM_BLOCKS
    assert np.allclose(page.map.values, 1.2 * fake_charts.activation_map().value)
    assert "MLP input" in page.map_card.subtitle_label.text()
    page.map.set_pin((12, 28))
    assert list(page.map_card.details.token.errors) == ["MLP input"]  # type: ignore[union-attr]
    choose(page.picker.blocks, "Block 7")
    qtbot.waitUntil(lambda: "block 7" in page._error_card.subtitle_label.text())
    one = page.errors.errors
    assert one is not None
    assert one.series["hadamard"].rank[-1] == 40 * 50
    assert page._error_card.subtitle_label.text().startswith("MLP input, block 7.")
    assert page._block_stack.currentIndex() == 1
    assert {name for name, _ in page.linears.shown()} == set(fake_engine.LINEARS)
    assert "Block 7" in page._linear_card.subtitle_label.text()
    QTest.mouseClick(page.all_blocks, Qt.MouseButton.LeftButton)
    choose(page.picker.sites, "All inputs")
    QApplication.processEvents()
    assert page._block_stack.currentIndex() == 0
    assert page.errors.errors is everywhere


def test_a_click_on_a_block_shows_its_linears(page: RunPage) -> None:
    chart = page.blocks
    at = chart.mapFromScene(chart.view.mapViewToScene(QPointF(4.2, 0.08)))
    QTest.mouseClick(chart.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(round(at.x()), round(at.y())))
    assert page.picker.block == 4
    assert page._block_stack.currentIndex() == 1


def test_linears_come_worst_first_and_experts_by_their_number(qtbot: QtBot) -> None:
    chart = LinearErrorChart()
    qtbot.addWidget(chart)
    errors = {f"mlp.experts.{number}.down_proj": number / 100 for number in range(1, 40)}
    chart.set_errors(errors | {"block": 9.0})
    assert chart.shown()[0] == ("mlp.experts.39.down_proj", 0.39)
    assert len(chart.shown()) == MOST_BARS
    assert len(chart.table().rows) == 39
    assert "0.3900" in chart.readout(0.1, 0.2)
    assert chart.readout(0.1, 20) == ""


def test_titles_of_sites() -> None:
    assert site_titles(("attention", "mlp")) == ("Attention input", "MLP input")
    assert site_titles(("attention, mlp",)) == ("Block input",)
    assert site_titles(("mlp", "mlp")) == ("MLP input 1", "MLP input 2")


def test_what_was_picked_stays_while_the_run_goes_on(qtbot: QtBot) -> None:
    picker = SitePicker()
    qtbot.addWidget(picker)
    picker.set_places((), 30)
    picker.pick_block(7)
    picker.set_places(("attention", "mlp"), 30)
    assert (picker.site, picker.block) == (None, 7)
    choose(picker.sites, "MLP input")
    picker.set_places(("attention", "mlp"), 30)
    assert (picker.site, picker.block) == (1, 7)
    picker.set_places(("attention, mlp",), 12)
    assert (picker.site, picker.block) == (None, None)


def test_a_file_that_is_replaced_all_the_time_is_read_all_the_same(qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "site_errors.npz"
    fake_charts.site_errors().save(path)
    reader = ErrorsByPlace()
    answers: list[int] = []
    reader.known.connect(lambda: answers.append(1))
    files = (ChartFile("site_errors.npz", "rotate", NOON + timedelta(seconds=number)) for number in range(1_000))
    for _ in range(5):
        reader.at((path, next(files)), 1, 7)
        time.sleep(0.1)  # the file is read meanwhile, and replaced before the answer is taken
        reader.at((path, next(files)), 1, 7)
        QApplication.processEvents()
    assert len(answers) >= 3
    (found,) = {one.rank[-1] for one in reader.at((path, next(files)), 1, 7).series.values()}  # type: ignore[union-attr]
    assert found == 40 * 50
    qtbot.waitUntil(lambda: not reader.is_reading, timeout=5_000)
