"""The rows of a trial side by side, the recommended one marked, each with a button that takes it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGraphicsOpacityEffect, QGridLayout, QLabel, QWidget

from dfrot_engine import TrialRow
from dfrot_engine.units import duration_text
from dfrot_gui.theme import series_label
from dfrot_gui.translation import mark, num, tr
from dfrot_gui.widgets import Button, badge, box, clear, hline, label, row, set_role

HEADER = (mark("Rotation"), mark("Block error"), mark("Token error"), mark("99.9 %"), mark("Massive"), mark("Time"))
TIPS = {
    "Block error": mark("How far what a block adds to a token is off after rounding; the advice rests on it"),
    "Token error": mark("Mean error of a token's activations, ‖x − Q(x)‖/‖x‖"),
    mark("99.9 %"): mark("One token in a thousand has a larger error"),
    "Massive": mark("Mean error of the massive tokens"),
    "Time": mark("For building and measuring it here, with fewer refinements than in a run"),
}
_FADED = 0.45
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class TrialTable(QWidget):
    """`chosen` is emitted with the kind of the row whose button was pressed."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._rows: tuple[TrialRow, ...] = ()
        self.buttons: dict[str, Button] = {}
        self.badges: dict[str, QLabel] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(4)
        for column in range(len(HEADER)):
            self._grid.setColumnStretch(column, 4 if column == 0 else 2)
        self._fade = QGraphicsOpacityEffect(self, opacity=_FADED)
        self._fade.setEnabled(False)
        self.setGraphicsEffect(self._fade)
        self.setAccessibleName(tr("Rotations that were tried"))

    def show_rows(self, rows: Sequence[TrialRow], recommended: str, own: str) -> None:
        """Show the rows; `own` is the kind the recipe has now."""
        if tuple(rows) != self._rows:
            self._rows = tuple(rows)
            self._build()
        for kind, button in self.buttons.items():
            self.badges[kind].setVisible(kind == recommended)
            button.setText(tr("Chosen") if kind == own else tr("Use this"))
            button.setEnabled(kind != own)

    def set_faded(self, is_faded: bool) -> None:
        """Whether the rows are of an earlier recipe."""
        self._fade.setEnabled(is_faded)

    @property
    def is_faded(self) -> bool:
        return self._fade.isEnabled()

    def texts(self) -> list[list[str]]:
        """The cells as they are shown, row by row."""
        return [_cells(one) for one in self._rows]

    def _build(self) -> None:
        clear(self._grid)
        self.buttons, self.badges = {}, {}
        for column, title in enumerate(HEADER):
            head = label(tr(title), "caps")
            head.setToolTip(tr(TIPS.get(title, "")))
            self._grid.addWidget(head, 0, column, Qt.AlignmentFlag.AlignLeft if column == 0 else _RIGHT)
        self._grid.addWidget(hline(), 1, 0, 1, len(HEADER) + 1)
        for number, one in enumerate(self._rows, start=2):
            self._add_row(number, one)

    def _add_row(self, number: int, one: TrialRow) -> None:
        name, *values = _cells(one)
        self.badges[one.kind] = badge(tr("Recommended"), "good")
        self._grid.addWidget(box(row(label(name), self.badges[one.kind], None, spacing=10)), number, 0)
        for column, value in enumerate(values, start=1):
            cell = label(value)
            if column > 1:
                set_role(cell, "muted")
            self._grid.addWidget(cell, number, column, _RIGHT)
        button = Button(tr("Use this"), kind="ghost")
        button.setAccessibleName(tr("Use {name}", name=name))
        button.clicked.connect(partial(self.chosen.emit, one.kind))
        self.buttons[one.kind] = button
        self._grid.addWidget(button, number, len(HEADER), _RIGHT)


def _cells(one: TrialRow) -> list[str]:
    errors = one.token_error
    numbers = (errors.mean, errors.p999, errors.massive_mean) if errors else (None, None, None)
    return [
        series_label(one.kind),
        num(f"{100 * one.block_error:.2f} %"),
        *("–" if number is None else num(f"{number:.4f}") for number in numbers),
        duration_text(one.seconds),
    ]
