"""Parts of charts: ranges that stay while data change little, numbers on axes, what a chart without data shows."""

from __future__ import annotations

import pyqtgraph as pg
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from dfrot_gui.charts.activation_map import ActivationMapChart
from dfrot_gui.charts.refinement_loss import RefinementLossChart
from dfrot_gui.charts.sensitivity_map import SensitivityMap
from dfrot_gui.run_parts import Point


@pytest.fixture
def chart(qtbot: QtBot) -> RefinementLossChart:
    chart = RefinementLossChart()
    qtbot.addWidget(chart)
    chart.resize(640, 400)
    chart.show()
    qtbot.waitExposed(chart)
    return chart


def right_end(chart: RefinementLossChart, last: int) -> float:
    """Where the view ends that shows so many points."""
    chart.set_points([Point(step, 5.0 + last - step) for step in range(last + 1)])
    QApplication.processEvents()
    chart.grab()
    (_, right), _ = chart.view.viewRange()
    return right


def test_a_growing_curve_leaves_the_range_as_it_is_until_it_is_full(chart: RefinementLossChart) -> None:
    first = right_end(chart, 1_000)
    ends = [right_end(chart, last) for last in range(1_010, 1_100, 10)]
    assert first < ends[-1]
    assert len(set(ends)) < 5, "not a new range for each"
    assert all(last < end for last, end in zip(range(1_010, 1_100, 10), ends, strict=True))
    assert all(end < 1.15 * last for last, end in zip(range(1_010, 1_100, 10), ends, strict=True))


def test_much_less_data_and_a_wish_to_see_everything_take_the_whole_view(chart: RefinementLossChart) -> None:
    right_end(chart, 1_000)
    with_room = right_end(chart, 1_030)
    chart.reset_view()
    assert right_end(chart, 1_030) < with_room
    assert right_end(chart, 100) < 115


@pytest.mark.parametrize("kind", [ActivationMapChart, SensitivityMap])
def test_a_map_without_data_shows_its_sentence_alone(qtbot: QtBot, kind: type[ActivationMapChart]) -> None:
    chart = kind()
    qtbot.addWidget(chart)
    chart.show()
    qtbot.waitExposed(chart)
    assert not any(bar.isVisible() for bar in chart.scene().items() if isinstance(bar, pg.ColorBarItem))
    assert chart._empty.isVisible()


def test_large_numbers_of_a_plain_axis_are_written_out(qtbot: QtBot) -> None:
    axis = RefinementLossChart().plot_item.getAxis("left")
    assert axis.tickStrings([5_700_000.0, 5_650_000.0], 1.0, 50_000.0) == ["5,700,000", "5,650,000"]
    assert axis.tickStrings([0.5, 1.0], 1.0, 0.5) == ["0.5", "1.0"]
    assert "e+" in axis.tickStrings([5.7e12], 1.0, 1e11)[0]
