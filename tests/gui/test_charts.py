"""Charts: right numbers in the files, right words under the mouse, nothing lost in drawing."""

from __future__ import annotations

import csv
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from dfrot_engine.charts import ActivationMap, TokenErrors
from dfrot_gui.charts.activation_map import ActivationMapChart
from dfrot_gui.charts.axis import log_ticks, number_text, whole_text
from dfrot_gui.charts.base import Plot
from dfrot_gui.charts.block_error import BlockErrorChart, merge_linears
from dfrot_gui.charts.card import ChartCard
from dfrot_gui.charts.menu import chart_menu
from dfrot_gui.charts.refinement_loss import RefinementLossChart
from dfrot_gui.charts.rotation_by_block import RotationByBlockChart
from dfrot_gui.charts.token_error import NUM_MARKS, TokenErrorChart, error_at, spread
from dfrot_gui.run_parts import Point
from dfrot_gui.run_state import RunState, fold
from dfrot_gui.theme import Theme
from tests.gui import fake_engine

CHARTS = (TokenErrorChart, ActivationMapChart, RefinementLossChart, BlockErrorChart, RotationByBlockChart)


@pytest.fixture(scope="module")
def state() -> RunState:
    return reduce(fold, fake_engine.whole_run(Path("/out")), RunState())


def filled(kind: type[Plot], state: RunState) -> Plot:
    chart = kind()  # type: ignore[call-arg]
    if isinstance(chart, TokenErrorChart | RotationByBlockChart):
        chart.set_errors(fake_engine.token_errors())
    elif isinstance(chart, ActivationMapChart):
        chart.set_map(fake_engine.activation_map())
    elif isinstance(chart, RefinementLossChart):
        chart.set_points(state.loss)
    elif isinstance(chart, BlockErrorChart):
        chart.set_errors(state.block_errors)
    return chart


def shown(qtbot: QtBot, chart: Plot) -> Plot:
    qtbot.addWidget(chart)
    chart.resize(640, 400)
    chart.show()
    qtbot.waitExposed(chart)
    QApplication.processEvents()
    return chart


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", CHARTS)
def test_every_chart_is_saved_as_picture_drawing_and_numbers(
    qtbot: QtBot, tmp_path: Path, state: RunState, kind: type[Plot]
) -> None:
    chart = shown(qtbot, filled(kind, state))
    for suffix in ("png", "svg", "csv"):
        chart.save(tmp_path / f"c.{suffix}")
    picture = QImage(str(tmp_path / "c.png"))
    assert picture.width() > 2 * chart.viewport().width()
    colors = {picture.pixel(x, y) for x in range(0, picture.width(), 3) for y in range(0, picture.height(), 3)}
    assert len(colors) > 8
    drawing = QSvgRenderer(str(tmp_path / "c.svg"))
    assert drawing.isValid()
    text = (tmp_path / "c.svg").read_text(encoding="utf-8")
    assert chart.title in text
    assert ("<image" in text) == issubclass(kind, ActivationMapChart), "shapes, and pixels for maps alone"
    assert len(read_csv(tmp_path / "c.csv")) > 20


@pytest.mark.parametrize("kind", CHARTS)
def test_every_chart_is_empty_filled_and_emptied(qtbot: QtBot, state: RunState, kind: type[Plot]) -> None:
    chart = shown(qtbot, kind())  # type: ignore[call-arg]
    assert chart.readout(1, 1) == ""
    assert chart.table().rows == ()
    full = filled(kind, state)
    qtbot.addWidget(full)
    if isinstance(full, TokenErrorChart | RotationByBlockChart):
        full.set_errors(None)
    elif isinstance(full, ActivationMapChart):
        full.set_map(None)
    elif isinstance(full, RefinementLossChart):
        full.set_points(())
    elif isinstance(full, BlockErrorChart):
        full.set_errors({})
    assert full.table().rows == ()


@pytest.mark.parametrize("kind", CHARTS)
def test_colours_follow_the_theme(qtbot: QtBot, state: RunState, kind: type[Plot]) -> None:
    theme = Theme.get()
    theme.install(QApplication.instance(), "light")  # type: ignore[arg-type]
    chart = shown(qtbot, filled(kind, state))
    before = chart.grab().toImage()
    theme.set_mode("dark")
    after = chart.grab().toImage()
    theme.set_mode("light")
    assert before.pixelColor(3, 3).lightness() > 200
    assert after.pixelColor(3, 3).lightness() < 60


@pytest.mark.parametrize("kind", CHARTS)
def test_a_closed_chart_no_longer_hears_of_themes(
    qtbot: QtBot, qapp: QApplication, state: RunState, kind: type[Plot]
) -> None:
    Theme.get().install(qapp, "light")
    chart = shown(qtbot, filled(kind, state))
    chart.close()
    Theme.get().set_mode("dark")  # an exception in a slot fails the test
    Theme.get().set_mode("light")


def test_token_error_reads_out_every_rotation(qtbot: QtBot) -> None:
    errors = fake_engine.token_errors()
    chart = TokenErrorChart()
    qtbot.addWidget(chart)
    chart.set_errors(errors)
    text = chart.readout(np.log10(500.0), 0.0)
    assert "rank 500 of 131,072" in text
    for name, kind in (("NR", "none"), ("RO", "random-orthogonal"), ("RH", "hadamard"), ("DFRot", "dfrot")):
        assert name in text
        assert f"{error_at(errors.series[kind], 500):.4f}" in text
    chart.set_kind_visible("none", False)
    assert "NR" not in chart.readout(np.log10(500.0), 0.0)
    assert [name for name, _ in chart.legend()] == ["RO", "RH", "DFRot"]


def test_token_error_shows_all_tokens_too(qtbot: QtBot) -> None:
    chart = TokenErrorChart()
    qtbot.addWidget(chart)
    chart.set_errors(fake_engine.token_errors())
    chart.set_worst_first(False)
    assert "50.0 % of tokens are better" in chart.readout(50.0, 0.0)
    assert chart.readout(150.0, 0.0) == ""


def test_token_error_table_holds_every_point_and_the_massive_ones(qtbot: QtBot) -> None:
    errors = fake_engine.token_errors()
    chart = TokenErrorChart()
    qtbot.addWidget(chart)
    chart.set_errors(errors)
    rows = chart.table().rows
    own = errors.series["dfrot"]
    assert [row[2] for row in rows if row[0] == "DFRot" and row[3] == 0] == pytest.approx(own.error.tolist())
    assert sum(1 for row in rows if row[0] == "DFRot" and row[3] == 1) == len(own.massive_error)


def test_zero_errors_do_not_blank_a_logarithmic_curve(qtbot: QtBot) -> None:
    errors = fake_engine.token_errors()
    one = errors.series["dfrot"]
    one.error[-5:] = 0
    chart = shown(qtbot, TokenErrorChart())
    assert isinstance(chart, TokenErrorChart)
    chart.set_errors(TokenErrors({"dfrot": one}))
    chart.grab()
    (_, _), (low, high) = chart.view.viewRange()
    assert np.isfinite([low, high]).all()


def test_marks_are_few_and_spread() -> None:
    ranks = np.arange(1.0, 5_000.0)
    chosen = ranks[spread(ranks, NUM_MARKS)]
    assert len(chosen) <= NUM_MARKS
    assert chosen[0] == 1
    assert chosen[-1] == 4_999
    assert list(spread(np.array([3.0, 9.0]), NUM_MARKS)) == [0, 1]
    assert len(spread(np.array([]), NUM_MARKS)) == 0


def test_activation_map_tells_token_block_and_value(qtbot: QtBot) -> None:
    chart = ActivationMapChart()
    qtbot.addWidget(chart)
    found = fake_engine.activation_map()
    chart.set_map(found)
    text = chart.readout(28.4, 11.7)
    assert "block 12 · position 28" in text
    assert "massive" in text
    assert f"{found.value[12, 28]:,.1f}" in text
    found.tokens[7] = "<b>"
    assert "&lt;b&gt;" in chart.readout(7.4, 0.4), "cells lie around their numbers"
    assert chart.readout(-1, 3) == ""
    assert chart.readout(3, 99) == ""


def test_a_massive_token_survives_a_chart_narrower_than_the_sequence(qtbot: QtBot) -> None:
    value = np.ones((4, 4_096), dtype=np.float32)
    value[:, 1_001] = 5_000
    chart = shown(qtbot, ActivationMapChart())
    assert isinstance(chart, ActivationMapChart)
    chart.set_map(ActivationMap(value, value > 100, np.array(["x"] * 4_096)))
    for width in (640, 320):
        chart.resize(width, 300)
        QApplication.processEvents()
        image = chart.drawn()
        assert image.shape[1] <= width
        assert image.max() == pytest.approx(np.log10(5_001.0), rel=1e-5)


def test_the_mouse_shows_a_read_out_and_leaving_hides_it(qtbot: QtBot, state: RunState) -> None:
    chart = shown(qtbot, filled(RefinementLossChart, state))
    centre = chart.view.sceneBoundingRect().center()
    chart.sceneObj.sigMouseMoved.emit(centre)  # type: ignore[union-attr]
    assert chart.tip.isVisible()
    assert "refinement" in chart.tip.text()
    chart.sceneObj.sigMouseMoved.emit(QPointF(-5, -5))  # type: ignore[union-attr]
    assert not chart.tip.isVisible()


def test_the_wheel_scrolls_the_page_and_zooms_only_with_ctrl(qtbot: QtBot, state: RunState) -> None:
    chart = shown(qtbot, filled(RefinementLossChart, state))
    before = chart.view.viewRange()
    for modifier, is_taken in ((Qt.KeyboardModifier.NoModifier, False), (Qt.KeyboardModifier.ControlModifier, True)):
        event = QWheelEvent(
            QPointF(300, 150),
            QPointF(300, 150),
            QPoint(),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            modifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(chart.viewport(), event)
        assert (chart.view.viewRange() != before) == is_taken


def test_refinement_loss_survives_nan_and_thousands_of_points(qtbot: QtBot) -> None:
    chart = shown(qtbot, RefinementLossChart())
    assert isinstance(chart, RefinementLossChart)
    points = [Point(step, float("nan") if step == 5 else 1 / (step + 1)) for step in range(5_000)]
    chart.set_points(points)
    chart.grab()
    assert "0.1" in chart.readout(9.0, 0.0)
    assert len(chart.table().rows) == 5_000


def test_experts_are_merged_by_their_worst() -> None:
    merged = merge_linears({"mlp.experts.0.down_proj": 0.1, "mlp.experts.7.down_proj": 0.3, "block": 0.2})
    assert merged == {"down_proj": 0.3, "block": 0.2}


def test_block_error_reads_out_the_output_first(qtbot: QtBot, state: RunState) -> None:
    chart = filled(BlockErrorChart, state)
    qtbot.addWidget(chart)
    text = chart.readout(3.2, 0.0)
    assert text.index("block output") < text.index("down_proj") < text.index("q_proj")
    assert "0.0520" in text
    assert chart.table().header[-1] == "block output"


def test_rotation_by_block_hides_what_the_legend_hides(qtbot: QtBot) -> None:
    chart = RotationByBlockChart()
    qtbot.addWidget(chart)
    chart.set_errors(fake_engine.token_errors())
    chart.set_kind_visible("none", False)
    assert "NR" not in chart.readout(4.0, 0.0)
    assert [name for name, _ in chart.legend()] == ["RO", "RH", "DFRot"]


def test_ticks_read_like_numbers() -> None:
    def labels(low: float, high: float, size: float, room: float) -> list[str]:
        return [number_text(10**tick) for tick in log_ticks(low, high, size, room)[0][1]]

    assert labels(-2.0, 0.0, 300.0, 21.0) == ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    assert labels(0.0, 5.0, 400.0, 58.0) == ["1", "10", "100", "1,000", "10,000", "100,000"]
    assert labels(-1.3, -0.8, 220.0, 21.0) == ["0.06", "0.08", "0.1", "0.12", "0.15"]
    assert labels(-1.3, -0.8, 110.0, 21.0) == ["0.07", "0.1", "0.15"]
    assert len(labels(-1.0, -0.95, 200.0, 21.0)) >= 2
    assert (whole_text(3.0), whole_text(2.5), whole_text(-1.0)) == ("3", "", "")


def test_a_card_offers_to_save_and_keeps_its_legend(qtbot: QtBot, state: RunState) -> None:
    card = ChartCard(filled(BlockErrorChart, state))
    qtbot.addWidget(card)
    card.show_legend()
    assert "q_proj" in card.legend_label.text()
    actions = [action.text() for action in chart_menu(card.chart, card).actions() if action.text()]
    assert actions[:3] == ["Save as PNG…", "Save as SVG…", "Save numbers as CSV…"]


def test_saving_where_nothing_can_be_written_says_so(qtbot: QtBot, tmp_path: Path, state: RunState) -> None:
    chart = shown(qtbot, filled(RefinementLossChart, state))
    for suffix in ("png", "svg", "csv"):
        with pytest.raises(OSError, match=r".+"):
            chart.save(tmp_path / "missing" / f"c.{suffix}")
