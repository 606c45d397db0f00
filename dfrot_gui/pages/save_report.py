"""Asking where a report goes, and collecting what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from dfrot_engine import DFRotError, Verdict
from dfrot_engine.report_file import read_report
from dfrot_gui.charts.base import Plot
from dfrot_gui.report import Report, pictures_of, save_report
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_tables import Table
from dfrot_gui.translation import mark, tr

FILTERS = {"html": mark("HTML page (*.html)"), "pdf": mark("PDF document (*.pdf)")}


def report_of(
    runs: RunModel,
    line: str,
    sentences: Sequence[str],
    kpis: dict[str, tuple[str, str]],
    charts: Sequence[Plot],
    verdicts: Sequence[Verdict],
    more: dict[str, Table],
) -> Report:
    """What is known of the run that is shown.

    Args:
        more: tables besides the run's own.
    """
    state = runs.state
    folders = [*(Path(folder) for folder in state.outputs), *([runs.work_dir] if runs.work_dir else [])]
    stored = next((found for folder in folders if (found := read_report(folder)) is not None), {})
    tables = {tr("Proof"): runs.proof.table, tr("Comparison"): runs.comparison.table, **more}
    return Report(
        line=line,
        sentences=sentences,
        kpis=kpis,
        protocol=stored.get("protocol", {}) if state.evaluated else {},
        tables=tables,
        pictures=pictures_of(charts),
        verdicts=verdicts,
        recipe=runs.recipe.to_toml() if runs.recipe else "",
        files=state.outputs,
        warnings=[f"{one.message} {one.remedy}".strip() for one in state.warnings],
    )


def ask_and_save(parent: QWidget, report: Report, name: str) -> Path | None:
    """Ask for a file and write it; the path that was written."""
    chosen, kind = QFileDialog.getSaveFileName(
        parent, tr("Save report"), f"{name}.html", ";;".join(map(tr, FILTERS.values()))
    )
    if not chosen:
        return None
    path = Path(chosen)
    if path.suffix.lower() not in (".html", ".htm", ".pdf"):
        suffix = next((one for one, words in FILTERS.items() if tr(words) == kind), "html")
        path = path.with_name(f"{path.name}.{suffix}")
    try:
        save_report(report, path)
    except (OSError, DFRotError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        QMessageBox.warning(
            parent, tr("Not saved"), tr("{name} could not be written: {reason}.", name=path.name, reason=reason)
        )
        return None
    return path
