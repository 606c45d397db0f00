"""The error each quantized block and each of its linears makes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Signal

from dfrot_gui.charts.axis import whole_text
from dfrot_gui.charts.base import Clicked, Plot, tip_html
from dfrot_gui.run_tables import Table
from dfrot_gui.theme import Theme, Tokens
from dfrot_gui.translation import mark, num, tr

OUTPUT = "block"
OUTPUT_LABEL = mark("block output")
# Linears of the same kind share a colour with 3:1 contrast on both cards; a kind that is not here gets the last one.
LINEAR_TOKENS = {
    "q_proj": "#3B82C4",
    "k_proj": "#178F86",
    "v_proj": "#3F9142",
    "qkv_proj": "#3B82C4",
    "o_proj": "#CC5FA0",
    "gate_proj": "#C77700",
    "up_proj": "#D9534F",
    "gate_up_proj": "#C77700",
    "down_proj": "#A0743C",
}
OTHER_TOKEN = "nr"


class BlockErrorChart(Plot):
    """‖ŷ − y‖/‖y‖ per block: the block's output as a wide line, its linears on their own inputs as thin ones."""

    #: A block that is to be shown linear by linear.
    clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__(
            tr("Error per block"),
            tr("Block"),
            tr("Relative error"),
            empty=tr("The error of every block is drawn here as it is quantized."),
            x_text=whole_text,
        )
        self._errors: dict[int, dict[str, float]] = {}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self.sceneObj.sigMouseClicked.connect(self._mouse_clicked)  # type: ignore[union-attr]
        self.set_has_data(False)

    def set_errors(self, errors: Mapping[int, Mapping[str, float]]) -> None:
        """`errors` by block, then by linear; "block" is the block's output."""
        merged = {block: merge_linears(by_linear) for block, by_linear in sorted(errors.items())}
        if merged == self._errors:
            return
        self._errors = merged
        names = self.names()
        if list(self._curves) != names:
            self.remove_drawn(tuple(self._curves.values()))
            self._curves = {name: self._curve(name) for name in names}
        for name, curve in self._curves.items():
            blocks = [block for block, by_name in merged.items() if np.isfinite(by_name.get(name, np.nan))]
            curve.setData(blocks, [merged[block][name] for block in blocks])
        self.set_has_data(bool(merged))

    def _mouse_clicked(self, event: Clicked) -> None:
        point = self.clicked_point(event)
        if point is not None and round(point.x()) in self._errors:
            self.clicked.emit(round(point.x()))

    def names(self) -> list[str]:
        """Kinds of linears, the block's output last, so that it is drawn over them."""
        found = dict.fromkeys(name for by_name in self._errors.values() for name in by_name)
        return [name for name in found if name != OUTPUT] + [name for name in found if name == OUTPUT]

    def readout(self, x: float, y: float) -> str:
        by_name = self._errors.get(round(x))
        if by_name is None:
            return ""
        ordered = sorted(by_name.items(), key=lambda item: (item[0] != OUTPUT, -item[1]))
        rows = [(self._color(name), self._label(name), num(f"{error:.4f}")) for name, error in ordered]
        return tip_html(tr("block {block}", block=round(x)), rows)

    def legend(self) -> list[tuple[str, str]]:
        return [(self._label(name), self._color(name)) for name in self.names()]

    def table(self) -> Table:
        names = self.names()
        rows = tuple(
            (block, *(by_name.get(name, float("nan")) for name in names)) for block, by_name in self._errors.items()
        )
        return Table(("block", *map(self._label, names)), rows)

    def _curve(self, name: str) -> pg.PlotDataItem:
        curve = self.add_curve(_token(name), 2.5 if name == OUTPUT else 1.0)
        if name == OUTPUT:
            # One block alone is a point, which a line does not show.
            curve.setSymbol("o")
            curve.setSymbolSize(5)
            curve.setSymbolPen(None)
            curve.setSymbolBrush(Theme.get().t.dfrot)
        return curve

    def apply_theme(self, t: Tokens) -> None:
        super().apply_theme(t)
        if output := getattr(self, "_curves", {}).get(OUTPUT):
            output.setSymbolBrush(t.dfrot)

    @staticmethod
    def _label(name: str) -> str:
        return tr(OUTPUT_LABEL) if name == OUTPUT else name

    @staticmethod
    def _color(name: str) -> str:
        return Theme.get().t.color(_token(name))


def merge_linears(by_linear: Mapping[str, float]) -> dict[str, float]:
    """Full names → kinds: the worst expert stands for all experts' linears of the same kind."""
    merged: dict[str, float] = {}
    for name, error in by_linear.items():
        kind = name.rsplit(".", 1)[-1]
        merged[kind] = max(error, merged.get(kind, error))
    return merged


def _token(name: str) -> str:
    return "dfrot" if name == OUTPUT else LINEAR_TOKENS.get(name, OTHER_TOKEN)
