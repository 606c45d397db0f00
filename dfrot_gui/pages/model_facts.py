"""The facts of the chosen model at the right of the model page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QProgressBar, QVBoxLayout

from dfrot_engine import AccessError, DFRotError, Plan, Problem
from dfrot_gui.background import Latest
from dfrot_gui.hub_actions import HubActions
from dfrot_gui.hub_search import ModelRow
from dfrot_gui.pages.account_dialog import open_page
from dfrot_gui.pages.model_download import ModelDownload
from dfrot_gui.pages.model_words import NAMES, revision_text, size_text, summary_values
from dfrot_gui.pages.revision_choice import MAIN, RevisionChoice
from dfrot_gui.quantities import format_bytes, format_parameters
from dfrot_gui.translation import tr
from dfrot_gui.widgets import (
    Button,
    Card,
    IconLabel,
    Notice,
    badge,
    box,
    clear,
    col,
    hline,
    label,
    row,
    scrolled,
    set_badge,
)

if TYPE_CHECKING:
    from dfrot_engine.checkpoint.source import ModelFacts

MAX_FILES = 8


class ModelLook(NamedTuple):
    """All that is read of a model before it is used: headers only, never weights."""

    facts: ModelFacts
    plan: Plan


#: (model, revision) → its headers and plan.
LookAt = Callable[[str, str], ModelLook]


class ModelFactsPanel(Card):
    """Looks a model up in the background and shows what it is, what it needs and whether it can be used."""

    used = Signal(str, str)  # model, revision
    sign_in_requested = Signal()

    def __init__(self, look_at: LookAt, memory_bytes: int, actions: HubActions, files: ModelDownload) -> None:
        super().__init__(margins=(20, 18, 8, 18), spacing=14)
        self.setAccessibleName(tr("Chosen model"))
        self._look_at = look_at
        self._memory_bytes = memory_bytes
        self._actions = actions
        self.download = files
        self._row: ModelRow | None = None
        self._looker = Latest(self)
        self._looker.answered.connect(self._show_look)
        self._looker.failed.connect(self._show_error)
        self.use_button = Button(tr("Use this model"), "check", "primary", tip=tr("Continue with the recipe (Ctrl+2)"))
        self.use_button.clicked.connect(self.use)
        self.notice = Notice(tr("Try again"), is_narrow=True)
        self.notice.activated.connect(self.look_again)
        self.revision = RevisionChoice(actions.revisions)
        self.revision.chosen.connect(self.look_again)
        self._build_head()
        self._build_access()
        self._build_facts()
        self._build_memory()
        self.files = QVBoxLayout()
        self.files.setSpacing(9)
        self._files_box = box(col(label(tr("FILES"), "caps"), self.files, spacing=10))
        parts = (self._revision_box, self._facts_box, self._memory_box, self.notice, self._access_box, self._files_box)
        inner = col(*parts, None, spacing=14)
        inner.setContentsMargins(0, 0, 12, 0)
        area = scrolled(inner, on_card=True)
        self.add(self._head)
        self.add(area, 1)
        below = col(self.download, self.use_button, spacing=10)
        below.setContentsMargins(0, 0, 12, 0)
        self.add(below)
        self.show_row(None)

    @property
    def model(self) -> ModelRow | None:
        return self._row

    def show_row(self, model: ModelRow | None, revision: str = MAIN) -> None:
        """Show what the list knows of a model, and look up the rest."""
        self._row = model
        for part in (self._head, self._revision_box, self._facts_box):
            part.setVisible(False)
        is_remote = model is not None and model.kind == "hub"
        self.revision.set_model(model.source if model is not None and is_remote else "", revision)
        self._clear_look()
        self.use_button.setEnabled(False)
        if model is None:
            self._looker.drop()
            text = tr("Choose one in the list, or open a folder.")
            self.notice.show_message("inset", tr("No model chosen"), text, can_act=False)
            return
        self._head.show()
        self._revision_box.setVisible(is_remote)
        self._name.setText(model.name)
        self._name.setToolTip(model.source)
        self._owner.setText(model.owner)
        is_kept = model.is_downloaded and model.kind == "hub"
        state = (tr("Gated"), "warn") if model.is_gated else (tr("Downloaded"), "good") if is_kept else ("", "good")
        set_badge(self._badge, *state)
        self._fill_known(model)
        self.look_again()

    def look_again(self) -> None:
        if self._row is None:
            return
        self._clear_look()
        source, revision, look_at = self._row.source, self.revision.revision, self._look_at
        self.notice.show_message("inset", tr("Reading the model's headers…"), can_act=False)
        self._looker.ask(lambda: look_at(source, revision))

    def use(self) -> None:
        """Take the model if it is known to work."""
        if self._row is not None and self.use_button.isEnabled():
            self.used.emit(self._row.source, self.revision.revision)

    def _build_head(self) -> None:
        self._name = label("", "h2", wrap=True)
        self._owner = label("", "small", wrap=True)
        self._badge = badge("", "good")
        line = row(IconLabel("cube", 24, "accent"), (col(self._name, self._owner, spacing=1), 1), spacing=12)
        line.addWidget(self._badge, 0, Qt.AlignmentFlag.AlignVCenter)
        line.setContentsMargins(0, 0, 12, 0)
        self._head = box(line)

    def _build_access(self) -> None:
        self.page_button = Button(
            tr("Open licence page"), "arrow-square-out", tip=tr("Its conditions are accepted there")
        )
        self.page_button.clicked.connect(self._open_page)
        sign_in = Button(tr("Sign in…"), "sign-in", tip=tr("With an access token of your account"))
        sign_in.clicked.connect(self.sign_in_requested)
        self._access_box = box(row(self.page_button, sign_in, None, spacing=6))
        line = row(label(tr("Use revision"), "small"), (self.revision, 1), spacing=14)
        line.setContentsMargins(0, 0, 0, 0)
        self._revision_box = box(line)

    def _open_page(self) -> None:
        if self._row is not None:
            open_page(self._actions.page(self._row.source))

    def _clear_look(self) -> None:
        """Nothing of the model before, or of another revision, stays on screen."""
        for part in (self._memory_box, self._files_box, self._access_box):
            part.setVisible(False)
        self.use_button.setEnabled(False)
        self._show_download(None)

    def _show_download(self, facts: ModelFacts | None) -> None:
        model = self._row
        if model is None or model.kind != "hub":
            self.download.set_model("", MAIN, 0, is_kept=False)
            return
        missing = facts.download_bytes if facts is not None else 0
        total = sum(file.bytes for file in facts.files) if facts is not None else 0
        is_kept = model.is_downloaded or missing < total
        self.download.set_model(model.source, self.revision.revision, missing, is_kept=is_kept)

    def _build_facts(self) -> None:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        self._values: dict[str, tuple[QLabel, QLabel]] = {}
        for line, name in enumerate(NAMES):
            caption, value = label(tr(name), "small"), label("", wrap=True, selectable=True)
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            value.setAccessibleName(tr(name))
            grid.addWidget(caption, line, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(value, line, 1)
            self._values[name] = (caption, value)
        self._facts_box = box(col(hline(), grid, hline(), spacing=12))

    def _build_memory(self) -> None:
        self._memory_bar = QProgressBar()
        self._memory_bar.setTextVisible(False)
        self._peak = label("", "small")
        total = label(tr("of {size}", size=format_bytes(self._memory_bytes)), "small")
        line = row(self._peak, None, total)
        self._memory_box = box(col(label(tr("MEMORY ON THIS COMPUTER"), "caps"), self._memory_bar, line, spacing=9))

    def _fill_known(self, model: ModelRow) -> None:
        self._fill(
            {
                "Parameters": format_parameters(model.parameters) if model.parameters else "",
                "Architecture": model.architecture,
            }
        )

    def _fill(self, values: dict[str, str]) -> None:
        for name, (caption, value) in self._values.items():
            text = values.get(name, "")
            value.setText(text)
            caption.setVisible(bool(text))
            value.setVisible(bool(text))
        self._facts_box.setVisible(any(values.values()))

    def _show_look(self, look: ModelLook) -> None:
        facts, plan = look
        summary = plan.model
        values = {
            "Size": size_text(facts),
            "License": facts.license or tr("not stated"),
            "Revision": revision_text(facts),
        }
        self._fill(values | (summary_values(summary) if summary else {}))
        self._show_memory(plan)
        self._show_files(facts)
        self._show_verdict(plan)
        self._show_download(facts)
        self.revision.list_revisions()

    def _show_memory(self, plan: Plan) -> None:
        peak = max((stage.peak_memory_bytes for stage in plan.stages), default=0)
        self._memory_box.setVisible(peak > 0)
        self._memory_bar.setValue(min(100, round(100 * peak / self._memory_bytes)))
        self._memory_bar.setAccessibleName(
            tr("Estimated memory {size} of {total}", size=format_bytes(peak), total=format_bytes(self._memory_bytes))
        )
        self._peak.setText(tr("Peak about {size}", size=format_bytes(peak)))

    def _show_files(self, facts: ModelFacts) -> None:
        clear(self.files)
        is_remote = facts.download_bytes > 0
        for file in facts.files[:MAX_FILES]:
            icon = IconLabel("cloud-arrow-down", 15, "faint") if is_remote else IconLabel("check-circle", 15, "good")
            name = label(file.name, "mono", wrap=True)
            self.files.addLayout(row(icon, (name, 1), label(format_bytes(file.bytes), "small"), spacing=8))
        if len(facts.files) > MAX_FILES:
            self.files.addWidget(label(tr("and {number} more", number=len(facts.files) - MAX_FILES), "small"))
        self._files_box.setVisible(bool(facts.files))

    def _show_verdict(self, plan: Plan) -> None:
        problems = [problem for problem in plan.problems if problem.field.split(".")[0] == "model"]
        errors = [problem for problem in problems if problem.severity == "error"]
        self.use_button.setEnabled(not errors and plan.model is not None)
        if errors or plan.model is None:
            worst = errors[0] if errors else _unknown_model()
            self.notice.show_message("bad", worst.message, worst.remedy, can_act=False)
        elif problems:
            self.notice.show_message("warn", problems[0].message, problems[0].remedy, can_act=False)
        else:
            text = tr("Its rotations and the folding of its norms are known. Only headers have been read so far.")
            self.notice.show_message("good", tr("Ready to quantize"), text, can_act=False)

    def _show_error(self, error: DFRotError) -> None:
        self.use_button.setEnabled(False)
        self.notice.show_message("bad", error.message, error.remedy)
        self._access_box.setVisible(isinstance(error, AccessError))


def _unknown_model() -> Problem:
    return Problem(
        field="model.id_or_path",
        severity="error",
        message=tr("This model cannot be used."),
        remedy=tr("Choose another one."),
    )
