"""Tables of a run: plain rows first, a Qt model over them second."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QFont

from dfrot_engine import MassiveToken, ProofRow
from dfrot_engine.charts import TokenErrors
from dfrot_engine.proof.table import shown
from dfrot_engine.proof.types import TITLES
from dfrot_gui.theme import series_label
from dfrot_gui.translation import num, tr

Value = str | int | float
Index = QModelIndex | QPersistentModelIndex

SORT_ROLE = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class Table:
    """Header and rows; strings align left, numbers right; `bold_row` is the row that matters, -1 for none."""

    header: tuple[str, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    bold_row: int = -1

    def save_csv(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.header)
            writer.writerows(self.rows)


def comparison_table(errors: TokenErrors | None, own: str) -> Table:
    """Error of every rotation that was measured; `own` is the recipe's kind."""
    if errors is None:
        return Table()
    kinds = list(errors.series)
    rows = tuple((series_label(kind), one.mean, one.p999, one.massive_mean) for kind, one in errors.series.items())
    bold_row = kinds.index(own) if own in kinds else -1
    return Table((tr("Rotation"), tr("Mean"), tr("99.9 %"), tr("Massive")), rows, bold_row)


def massive_table(tokens: Sequence[MassiveToken]) -> Table:
    """One row per massive token, with its error under every rotation."""
    kinds = list(dict.fromkeys(kind for token in tokens for kind in token.errors))
    rows = tuple(
        (
            token.block,
            token.site,
            token.position,
            shown_text(token.text),
            token.value,
            *(token.errors.get(kind, float("nan")) for kind in kinds),
        )
        for token in tokens
    )
    return Table(
        (tr("Block"), tr("Site"), tr("Position"), tr("Text"), tr("Largest |h|"), *map(series_label, kinds)), rows
    )


def proof_table(rows: Sequence[ProofRow]) -> Table:
    """One row per thing that was checked of what was written."""
    shown_rows = tuple(
        (
            tr(TITLES[row.check]),
            row.output or tr("model"),
            num(shown(row.figure)),
            num(shown(row.limit)),
            tr(row.verdict),
        )
        for row in rows
    )
    return Table((tr("Proof"), tr("Of"), tr("Found"), tr("Limit"), tr("Result")), shown_rows)


def shown_text(text: str) -> str:
    """A token's text with its white space made visible."""
    return text.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣") or tr("(empty)")


def shown_value(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return "–"
    if isinstance(value, int):
        return num(f"{value:,}")
    return num(f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4f}")


class TableModel(QAbstractTableModel):
    """Shows a Table; `set_table` exchanges it as a whole."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.table = Table()

    def set_table(self, table: Table) -> None:
        if table == self.table:
            return
        self.beginResetModel()
        self.table = table
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        return 0 if parent.isValid() else len(self.table.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        return 0 if parent.isValid() else len(self.table.header)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        value = self.table.rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return shown_value(value)
        if role == SORT_ROLE:
            return value
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return alignment(isinstance(value, str))
        if role == Qt.ItemDataRole.FontRole and index.row() == self.table.bold_row:
            font = QFont()
            font.setWeight(QFont.Weight.DemiBold)
            return font
        return None

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self.table.header):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.table.header[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return alignment(bool(self.table.rows) and isinstance(self.table.rows[0][section], str))
        return None


def alignment(is_text: bool) -> Qt.AlignmentFlag:
    """Words at the left, numbers at the right."""
    side = Qt.AlignmentFlag.AlignLeft if is_text else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter
