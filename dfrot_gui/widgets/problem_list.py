"""Problems as a list: what is wrong, what to do, and a way to the field it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from dfrot_gui.translation import tr
from dfrot_gui.widgets.basic import Button, Card, IconLabel, clear, col, label, row


class ProblemLike(Protocol):
    """What is shown of a problem; `dfrot_engine.Problem` is one."""

    @property
    def field(self) -> str: ...
    @property
    def severity(self) -> Literal["error", "warning"]: ...
    @property
    def message(self) -> str: ...
    @property
    def remedy(self) -> str: ...


class ProblemList(QFrame):
    """Hidden while there is no problem; `activated` names the field the user wants to go to.

    Args:
        fold_after: so many are shown until the user asks for the rest.
    """

    activated = Signal(str)

    def __init__(self, *, name: str = "", fold_after: int = 3) -> None:
        super().__init__()
        self.setAccessibleName(name or tr("Problems"))
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(8)
        self._problems: tuple[ProblemLike, ...] = ()
        self._fold_after = fold_after
        self.hide()

    @property
    def problems(self) -> tuple[ProblemLike, ...]:
        return self._problems

    def set_problems(self, problems: Sequence[ProblemLike]) -> None:
        """Errors first, then warnings, each in the given order."""
        ordered = tuple(sorted(problems, key=lambda problem: problem.severity != "error"))
        if ordered == self._problems:
            return
        self._problems = ordered
        self._build(is_folded=len(ordered) > self._fold_after + 1)
        self.setVisible(bool(ordered))

    def _build(self, *, is_folded: bool) -> None:
        clear(self._layout)
        for problem in self._problems[: self._fold_after if is_folded else None]:
            self._layout.addWidget(self._row(problem))
        if is_folded:
            button = Button(
                tr("Show {number} more", number=len(self._problems) - self._fold_after), "caret-down", "fold"
            )
            button.setCheckable(False)
            button.clicked.connect(lambda: self._build(is_folded=False))
            self._layout.addWidget(button)

    def _row(self, problem: ProblemLike) -> QWidget:
        is_error = problem.severity == "error"
        card = Card(kind="bad" if is_error else "warn", margins=(12, 9, 12, 9))
        card.setAccessibleName(
            f"{tr('Error') if is_error else tr('Warning')}: {problem.message} {problem.remedy}".strip()
        )
        icon = IconLabel("x-circle" if is_error else "warning", 16, "bad" if is_error else "warn")
        texts = col(label(problem.message, wrap=True, selectable=True), spacing=1)
        if problem.remedy:
            texts.addWidget(label(problem.remedy, "small", wrap=True, selectable=True))
        line = row(spacing=10)
        line.addWidget(icon, 0, Qt.AlignmentFlag.AlignTop)
        line.addLayout(texts, 1)
        if problem.field:
            button = Button(tr("Show field"), kind="ghost", tip=tr("Go to the field {field}", field=problem.field))
            button.clicked.connect(lambda _=False, field=problem.field: self.activated.emit(field))
            line.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        card.add(line)
        return card
