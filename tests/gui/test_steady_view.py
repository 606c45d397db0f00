"""A chart keeps its range while its data change little, and shows everything when asked."""

from __future__ import annotations

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from dfrot_gui.charts.refinement_loss import RefinementLossChart
from dfrot_gui.run_parts import Point


def right_end(chart: RefinementLossChart, last: int) -> float:
    """Where the view ends that shows so many points."""
    chart.set_points([Point(step, 5.0 + last - step) for step in range(last + 1)])
    QApplication.processEvents()
    chart.grab()
    (_, right), _ = chart.view.viewRange()
    return right


def test_a_growing_curve_leaves_the_range_as_it_is_until_it_is_full(qtbot: QtBot) -> None:
    chart = RefinementLossChart()
    qtbot.addWidget(chart)
    chart.resize(640, 400)
    chart.show()
    qtbot.waitExposed(chart)
    first = right_end(chart, 1_000)
    ends = [right_end(chart, last) for last in range(1_010, 1_100, 10)]
    assert first < ends[-1]
    assert len(set(ends)) < 5, "not a new range for each"
    assert all(last < end for last, end in zip(range(1_010, 1_100, 10), ends, strict=True))
    assert all(end < 1.15 * last for last, end in zip(range(1_010, 1_100, 10), ends, strict=True))


def test_much_less_data_and_a_wish_to_see_everything_take_the_whole_view(qtbot: QtBot) -> None:
    chart = RefinementLossChart()
    qtbot.addWidget(chart)
    chart.resize(640, 400)
    chart.show()
    qtbot.waitExposed(chart)
    right_end(chart, 1_000)
    with_room = right_end(chart, 1_030)
    chart.reset_view()
    assert right_end(chart, 1_030) < with_room
    assert right_end(chart, 100) < 115
