"""Will it load? One row for each runtime and each generation of GPUs that differs, with the command to copy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from dfrot_engine import Verdict
from dfrot_gui.icons import icon
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, badge, box, clear, col, hline, label, row
from dfrot_gui.widgets.basic import BadgeKind
from dfrot_gui.widgets.page import ElidedLabel

BADGES: dict[str, BadgeKind] = {
    "loads": "good",
    "loads-differently": "warn",
    "not-tried": "neutral",
    "refused": "bad",
}
HEADER = (mark("Runtime"), mark("On"), mark("Verdict"), mark("Bits"), mark("Why"))
EMPTY = mark("Nothing is written, so there is nothing to load. Add files to write to see which runtimes take them.")
COPY, COPIED = "copy", "check"
_WHY = len(HEADER) - 1
_ROW_HEIGHT = 32  # of the button, so that rows without one are as high
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_HEAD = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom


class VerdictTable(QWidget):
    """Shows the verdicts of a plan; `set_verdicts` exchanges them as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Verdict, ...] | None = None
        self.copy_buttons: list[Button] = []
        self.badges: list[QLabel] = []
        self._layout = col()
        self.setLayout(self._layout)
        self.setAccessibleName(tr("Will it load?"))

    def set_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        if tuple(verdicts) == self._shown:
            return
        self._shown = tuple(verdicts)
        # A grid never forgets its rows, so each table has one of its own.
        clear(self._layout)
        self.copy_buttons, self.badges = [], []
        if not verdicts:
            self._layout.addWidget(label(tr(EMPTY), "small", wrap=True))
            return
        grid = _grid()
        exports = dict.fromkeys(one.export for one in verdicts)
        for export in exports:
            _add_head(grid, export if len(exports) > 1 else "")
            for one in verdicts:
                if one.export == export:
                    self._add_row(grid, one)
        self._layout.addWidget(box(grid))

    def texts(self) -> list[tuple[str, ...]]:
        """The cells as they are shown, row by row."""
        return [_cells(one) for one in self._shown or ()]

    def _add_row(self, grid: QGridLayout, one: Verdict) -> None:
        line = grid.rowCount()
        runtime, generation, words, bits, reason = _cells(one)
        grid.setRowMinimumHeight(line, px(_ROW_HEIGHT))
        grid.addWidget(label(runtime), line, 0, _LEFT)
        here = (badge(tr("This computer"), "accent"),) if one.is_this_computer else ()
        grid.addWidget(box(row(label(generation, "muted"), *here, None, spacing=8)), line, 1)
        told = badge(words, BADGES[one.outcome])
        told.setAccessibleName(f"{_who(one)}: {words}")
        told.setToolTip(f"{one.source}\n{one.version}".strip())
        self.badges.append(told)
        grid.addWidget(told, line, 2, _LEFT)
        grid.addWidget(label(bits, "small"), line, 3, _LEFT)
        why = ElidedLabel(reason, "small")
        why.setAccessibleName(reason)
        grid.addWidget(why, line, _WHY)
        if one.command:
            grid.addWidget(self._copy_button(one), line, len(HEADER), Qt.AlignmentFlag.AlignRight)

    def _copy_button(self, one: Verdict) -> Button:
        button = Button("", COPY, "ghost", tip=one.command)
        button.setAccessibleName(tr("Copy the command for {who}", who=_who(one)))
        button.setAccessibleDescription(f"{tr(one.words)}. {one.full_reason}")
        button.clicked.connect(partial(self._copy, button, one.command))
        self.copy_buttons.append(button)
        return button

    def _copy(self, button: Button, command: str) -> None:
        QGuiApplication.clipboard().setText(command)
        for one in self.copy_buttons:
            one.setIcon(icon(COPIED if one is button else COPY))
        button.setAccessibleDescription(tr("Copied"))


def _grid() -> QGridLayout:
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(14)
    grid.setVerticalSpacing(2)
    grid.setColumnStretch(_WHY, 1)
    return grid


def _add_head(grid: QGridLayout, export: str) -> None:
    line = grid.rowCount()
    grid.setRowMinimumHeight(line, px(_ROW_HEIGHT) if export else 0)
    for column, title in enumerate(HEADER):
        text = f"{tr(title)} · {export}" if export and column == 0 else tr(title)
        grid.addWidget(label(text, "caps"), line, column, _HEAD)
    grid.addWidget(hline(), line + 1, 0, 1, len(HEADER) + 1)


def _who(one: Verdict) -> str:
    return tr("{runtime} on {generation}", runtime=one.runtime, generation=one.generation)


def _cells(one: Verdict) -> tuple[str, ...]:
    return tr(one.runtime), tr(one.generation), tr(one.words), one.bits, one.full_reason
