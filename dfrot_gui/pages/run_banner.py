"""How a run ended, and what to do next."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal

from dfrot_engine.units import duration_text
from dfrot_gui.run_progress import elapsed_s
from dfrot_gui.run_state import RunState, Status
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, IconLabel, col, label, row
from dfrot_gui.widgets.basic import CardKind

_LOOKS: dict[Status, tuple[CardKind, str, str]] = {
    "finished": ("good", "check-circle", mark("Finished")),
    "cancelled": ("warn", "stop-circle", mark("Stopped")),
    "interrupted": ("warn", "warning", mark("Interrupted")),
    "failed": ("bad", "x-circle", mark("Failed")),
}


class RunBanner(Card):
    """Hidden while a run goes on; `field_requested` names the recipe field a failure belongs to."""

    resume_requested = Signal()
    results_requested = Signal()
    field_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__(kind="warn", margins=(16, 10, 12, 10))
        self._icon = IconLabel("warning", 20, "warn")
        self._title = label("", "h2")
        self._message = label("", wrap=True, selectable=True)
        self._remedy = label("", "small", wrap=True, selectable=True)
        self._field = ""
        self.field_button = Button(tr("Show field"), kind="ghost", tip=tr("Go to the field this belongs to"))
        self.resume_button = Button(
            tr("Resume"), "play", "primary", tip=tr("Go on; everything finished so far is kept")
        )
        self.results_button = Button(tr("Show results"), "chart-line", "primary")
        self.field_button.clicked.connect(lambda: self.field_requested.emit(self._field))
        self.resume_button.clicked.connect(self.resume_requested)
        self.results_button.clicked.connect(self.results_requested)
        line = row(spacing=12)
        line.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignVCenter)
        line.addLayout(col(self._title, self._message, self._remedy, spacing=2), 1)
        for button in (self.field_button, self.resume_button, self.results_button):
            line.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.add(line)
        self.hide()

    def show_state(self, state: RunState, can_resume: bool) -> None:
        look = _LOOKS.get(state.status)
        self.setVisible(look is not None)
        if look is None:
            return
        kind, icon, title = look
        is_finished = state.status == "finished"
        self.set_kind(kind)
        self._icon.set_icon(icon, kind)
        self._title.setText(
            tr("Finished in {duration}", duration=duration_text(elapsed_s(state))) if is_finished else tr(title)
        )
        self._message.setText("" if is_finished else tr(state.message))
        self._remedy.setText(tr(state.remedy))
        for text in (self._message, self._remedy):
            text.setVisible(bool(text.text()))
        self._field = state.field
        self.field_button.setVisible(bool(state.field))
        self.resume_button.setVisible(can_resume)
        self.results_button.setVisible(is_finished)
        self.setAccessibleName(f"{self._title.text()}. {tr(state.message)} {tr(state.remedy)}".strip())
