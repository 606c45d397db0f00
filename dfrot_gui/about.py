"""Help: what the program found on this computer, what it stands on, and a text to put into a report of a fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from dfrot_engine import DFRotError, __version__
from dfrot_engine.doctor.diagnostics import diagnostics
from dfrot_engine.doctor.examine import examine
from dfrot_engine.doctor.finding import FAULTS, Finding
from dfrot_engine.doctor.licences import licences
from dfrot_gui.background import Latest
from dfrot_gui.pages.result_tables import plain_table
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, LogView, Segmented, label, row

VIEWS = {"computer": mark("This computer"), "licences": mark("Licences")}
_HEADINGS = (mark("Package"), mark("Version"), mark("Licence"))
_WIDTHS = (210, 110)

#: What a look at this computer finds; takes seconds where the Hub does not answer.
Examine = Callable[[], tuple[Finding, ...]]


class AboutBox(QDialog):
    """Version, findings and licences; `examine` is asked off the GUI thread."""

    def __init__(self, product: str, examine: Examine, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("About {product}", product=product))
        self.resize(px(820), px(600))
        self._text = ""
        self.summary = label(tr("Looking at this computer…"), "muted", wrap=True)
        self.findings = LogView(name=tr(VIEWS["computer"]))
        self._stack = QStackedWidget()
        self._stack.addWidget(self.findings)
        self._stack.addWidget(_licence_table())
        self.views = Segmented(
            list(VIEWS), labels=[*map(tr, VIEWS.values())], current="computer", name=tr("What to show")
        )
        self.views.changed.connect(lambda view: self._stack.setCurrentIndex(list(VIEWS).index(view)))
        self.copy = Button(tr("Copy diagnostics"), "copy", tip=tr("Holds no token and no path of your home folder"))
        self.copy.setEnabled(False)
        self.copy.clicked.connect(lambda: QApplication.clipboard().setText(self._text))
        close = Button(tr("Close"), kind="primary")
        close.clicked.connect(self.accept)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 20, 24, 20)
        layout.setSpacing(12)
        layout.addWidget(label(f"{product} {__version__}", "h1"))
        layout.addWidget(label(tr("Apache-2.0 · quantizes language models with rotations · arXiv:2412.00648"), "small"))
        layout.addWidget(self.summary)
        layout.addLayout(row(self.views, None))
        layout.addWidget(self._stack, 1)
        layout.addLayout(row(self.copy, None, close))
        self._look = Latest(self, parallel=1)
        self._look.answered.connect(self._show)
        self._look.failed.connect(self._fail)
        self._look.ask(examine)

    def _show(self, findings: tuple[Finding, ...]) -> None:
        self._text = diagnostics(findings)
        faults = [finding for finding in findings if finding.status in FAULTS]
        slow = [finding for finding in findings if finding.status == "slow"]
        said = [tr("To mend: {names}.", names=_names(faults)) if faults else tr("Ready.")]
        said += [tr("Could be better: {names}.", names=_names(slow))] if slow else []
        self.summary.setText(" ".join(said))
        self.findings.setPlainText(self._text)
        self.copy.setEnabled(True)

    def _fail(self, error: DFRotError) -> None:
        self.summary.setText(str(error))


def _names(findings: Sequence[Finding]) -> str:
    return ", ".join(finding.name for finding in findings)


def show_about(product: str, output_root: Path, parent: QWidget) -> AboutBox:
    """Open the box over the window, which goes on meanwhile."""
    about = AboutBox(product, lambda: examine(output_root), parent)
    about.finished.connect(about.deleteLater)
    about.open()
    return about


def _licence_table() -> QTableWidget:
    rows = licences()
    table = QTableWidget(len(rows), len(_HEADINGS))
    plain_table(table, tr(VIEWS["licences"]))
    table.setHorizontalHeaderLabels([*map(tr, _HEADINGS)])
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
    table.horizontalHeader().setStretchLastSection(True)
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    for column, width in enumerate(_WIDTHS):
        table.setColumnWidth(column, width)
    for number, entry in enumerate(rows):
        for column, text in enumerate(entry):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            table.setItem(number, column, item)
    return table
