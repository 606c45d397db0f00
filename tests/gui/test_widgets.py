from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton

from dfrot_engine import Problem
from dfrot_engine.units import format_bytes, format_count, format_duration, format_parameters
from dfrot_gui.settings import Settings
from dfrot_gui.widgets import Button, KpiCard, Legend, LogView, PathField, ProblemList, Segmented, StageBar, box
from dfrot_gui.widgets.flow import FlowLayout
from dfrot_gui.widgets.reflow import ReflowGrid


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format_bytes(817), "817 B"),
        (format_bytes(538_123_456), "538 MB"),
        (format_bytes(2_470_000_000), "2.5 GB"),
        (format_bytes(999_960_000), "1.0 GB"),
        (format_parameters(134_515_008), "135 M"),
        (format_parameters(1_235_814_400), "1.24 B"),
        (format_count(2_900_000), "2.9M"),
        (format_count(214), "214"),
        (format_duration(0.2), "1 s"),
        (format_duration(840), "14 min"),
        (format_duration(5400), "1 h 30 min"),
    ],
)
def test_units(shown: str, expected: str) -> None:
    assert shown == expected


def test_arrows_move_a_segmented_choice(qtbot) -> None:
    choice = Segmented(["a", "b", "c"], name="Letters")
    qtbot.addWidget(choice)
    with qtbot.waitActive(choice):
        choice.show()
        choice.activateWindow()
    choice.buttons[0].setFocus()
    with qtbot.waitSignal(choice.changed) as signal:
        QTest.keyClick(choice.buttons[0], Qt.Key.Key_Right)
    assert signal.args == ["b"]
    assert [button.focusPolicy() == Qt.FocusPolicy.StrongFocus for button in choice.buttons] == [False, True, False]


def test_setting_a_choice_is_silent(qtbot) -> None:
    choice = Segmented(["a", "b"])
    qtbot.addWidget(choice)
    with qtbot.assertNotEmitted(choice.changed):
        choice.set_current("b")
        choice.set_current("neither")
    assert choice.current() == ""


def test_a_stage_bar_says_where_the_run_is(qtbot) -> None:
    bar = StageBar()
    qtbot.addWidget(bar)
    bar.set_stages(["calibrate", "rotate"])
    bar.set_current("rotate", 0.5, {"calibrate"})
    assert bar.accessibleDescription() == "Stage 2 of 2: Rotate"
    bar.resize(400, 30)
    assert not bar.grab().isNull()


def test_a_log_follows_its_end_until_the_user_scrolls_up(qtbot) -> None:
    log = LogView()
    qtbot.addWidget(log)
    log.resize(200, 80)
    log.show()
    for number in range(50):
        log.add_line(str(number))
    bar = log.verticalScrollBar()
    assert bar.value() == bar.maximum()
    bar.setValue(0)
    log.add_line("more")
    assert bar.value() == 0


def test_problems_are_listed_errors_first_and_lead_to_their_fields(qtbot) -> None:
    problems = ProblemList()
    qtbot.addWidget(problems)
    warning = Problem(field="a", severity="warning", message="Slow.")
    error = Problem(field="b", severity="error", message="Wrong.", remedy="Mend it.")
    problems.set_problems([warning, error])
    assert problems.problems == (error, warning)
    with qtbot.waitSignal(problems.activated) as signal:
        problems.findChildren(Button)[0].click()
    assert signal.args == ["b"]
    problems.set_problems([])
    assert problems.isHidden()


def test_a_path_is_told_once(qtbot, tmp_path: Path) -> None:
    field = PathField(name="Folder")
    qtbot.addWidget(field)
    paths: list[str] = []
    field.changed.connect(paths.append)
    field.edit.setText(str(tmp_path))
    field.edit.editingFinished.emit()
    field.edit.editingFinished.emit()
    assert paths == [str(tmp_path)]


def test_a_number_is_read_out_with_its_name(qtbot) -> None:
    card = KpiCard("Loss")
    qtbot.addWidget(card)
    card.set_value("0.01", "-58 %", "good")
    assert card.accessibleName() == "Loss: 0.01. -58 %"


def test_a_legend_switches_series(qtbot) -> None:
    legend = Legend(["none", "dfrot"])
    qtbot.addWidget(legend)
    item = legend.findChildren(QAbstractButton)[1]
    with qtbot.waitSignal(legend.toggled) as signal:
        item.click()
    assert signal.args == ["dfrot", False]


def test_a_flow_goes_on_in_the_next_line(qtbot) -> None:
    flow = FlowLayout(spacing=6)
    for text in ("one", "two", "three"):
        flow.addWidget(Button(text))
    holder = box(flow)
    qtbot.addWidget(holder)
    assert flow.heightForWidth(120) > flow.heightForWidth(1000)


def test_a_grid_takes_fewer_columns_when_it_is_narrow(qtbot) -> None:
    cards = [KpiCard(str(number)) for number in range(4)]
    grid = ReflowGrid(cards, columns=(4, 2), min_width=150, spacing=10)
    qtbot.addWidget(grid)
    grid.resize(700, 200)
    grid.show()
    assert len({card.y() for card in cards}) == 1
    grid.resize(400, 300)
    QTest.qWait(10)
    assert len({card.y() for card in cards}) == 2


def test_settings_come_back(tmp_path: Path) -> None:
    path = tmp_path / "settings.ini"
    first = Settings(path)
    assert (first.theme, first.open_run, first.last_model) == ("system", None, "")
    first.theme, first.open_run, first.output_root = "dark", tmp_path / "run", tmp_path
    first.sync()
    again = Settings(path)
    assert (again.theme, again.open_run, again.output_root) == ("dark", tmp_path / "run", tmp_path)
