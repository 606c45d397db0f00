"""Problems as a list: what is wrong, what to do, and a way to the field it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

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
    """Hidden while there is no problem; `activated` names the field the user wants to go to."""

    activated = Signal(str)

    def __init__(self, *, name: str = "Problems") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(8)
        self._problems: tuple[ProblemLike, ...] = ()
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
        clear(self._layout)
        for problem in ordered:
            self._layout.addWidget(self._row(problem))
        self.setVisible(bool(ordered))

    def _row(self, problem: ProblemLike) -> QWidget:
        is_error = problem.severity == "error"
        card = Card(kind="bad" if is_error else "warn", margins=(12, 9, 12, 9))
        card.setAccessibleName(f"{'Error' if is_error else 'Warning'}: {problem.message} {problem.remedy}".strip())
        icon = IconLabel("x-circle" if is_error else "warning", 16, "bad" if is_error else "warn")
        texts = col(label(problem.message, wrap=True, selectable=True), spacing=1)
        if problem.remedy:
            texts.addWidget(label(problem.remedy, "small", wrap=True, selectable=True))
        line = row(spacing=10)
        line.addWidget(icon, 0, Qt.AlignmentFlag.AlignTop)
        line.addLayout(texts, 1)
        if problem.field:
            button = Button("Show field", kind="ghost", tip=f"Go to the field {problem.field}")
            button.clicked.connect(lambda _=False, field=problem.field: self.activated.emit(field))
            line.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        card.add(line)
        return card
