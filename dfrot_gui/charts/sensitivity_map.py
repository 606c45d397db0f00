"""What rounding each linear alone costs, block by block; a click marks what is to keep 8 bits."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, Signal

from dfrot_engine import SensitivityResult
from dfrot_engine.sensitivity.types import KV_CACHE, SensitivityRow
from dfrot_gui.charts.axis import whole_text
from dfrot_gui.charts.base import Clicked, Plot, tip_html
from dfrot_gui.run_tables import Table
from dfrot_gui.theme import Theme, Tokens, ui_font
from dfrot_gui.translation import num, tr

# What costs less than this share of the worst is drawn as if it cost nothing.
_SMALLEST_SHARE = 1e-4


class SensitivityMap(Plot):
    """A heat map of log₁₀ KL, a row for each linear and a column for each block."""

    #: The full name of a linear.
    clicked = Signal(str)

    def __init__(self) -> None:
        super().__init__(
            tr("Sensitivity"),
            tr("Block"),
            "",
            empty=tr("How much each linear suffers from rounding is drawn here once it was measured."),
            x_text=whole_text,
            y_text=self._linear_text,
        )
        self.result: SensitivityResult | None = None
        self._rows: dict[tuple[int, str], SensitivityRow] = {}
        self._marked: frozenset[str] = frozenset()
        self._image = pg.ImageItem(axisOrder="row-major")
        self.plot_item.addItem(self._image)
        self._marks = self.add_symbols("text", symbol="o", size=8)
        colors = pg.colormap.get("inferno")
        self._bar = pg.ColorBarItem(values=(-4, 0), colorMap=colors, interactive=False, width=10, label="")
        self._bar.setImageItem(self._image, insert_in=self.plot_item)
        self.view.invertY(True)
        self.view.setDefaultPadding(0)
        self.sceneObj.sigMouseClicked.connect(self._mouse_clicked)  # type: ignore[union-attr]
        self.set_has_data(False)
        self.apply_theme(Theme.get().t)

    def set_has_data(self, has_data: bool) -> None:
        super().set_has_data(has_data)
        self._bar.setVisible(has_data)

    def set_result(self, result: SensitivityResult | None) -> None:
        self.result = result
        self._rows = {(row.block, row.linear): row for row in result.rows} if result else {}
        self.set_has_data(bool(self._rows))
        self.set_marked(())
        if not self._rows or result is None:
            self._image.clear()
            return
        values = np.full((len(result.linears), len(result.by_block)), np.nan)
        for number, linear in enumerate(result.linears):
            for block in range(values.shape[1]):
                row = self._rows.get((block, linear))
                values[number, block] = np.nan if row is None else max(row.kl, 0.0)
        top = max(float(np.nanmax(values)), 1e-12)
        shown = np.log10(np.maximum(values, _SMALLEST_SHARE * top)).astype(np.float32)
        levels = (math.log10(_SMALLEST_SHARE * top), math.log10(top))
        self._image.setImage(shown, autoLevels=False, levels=levels)
        self._image.setRect(QRectF(-0.5, -0.5, values.shape[1], values.shape[0]))
        self._bar.setLevels(levels)
        powers = range(math.ceil(levels[0]), math.floor(levels[1]) + 1)
        self._bar.axis.setTicks([[(power, num(f"{10.0**power:g}")) for power in powers]])
        self.plot_item.getAxis("left").setTicks([[(number, _short(one)) for number, one in enumerate(result.linears)]])
        self.reset_view()

    def set_marked(self, names: Collection[str]) -> None:
        """Put a dot on these linears."""
        self._marked = frozenset(names)
        linears = self.result.linears if self.result else ()
        cells = [(row.block, linears.index(row.linear)) for row in self._rows.values() if row.name in self._marked]
        self._marks.setData([block for block, _ in cells], [number for _, number in cells])

    def marked(self) -> frozenset[str]:
        return self._marked

    def reset_view(self) -> None:
        if self.result is not None:
            width, height = len(self.result.by_block), len(self.result.linears)
            self.view.setRange(xRange=(-0.5, width - 0.5), yRange=(-0.5, height - 0.5), padding=0)

    def row_at(self, x: float, y: float) -> SensitivityRow | None:
        """The measured linear under a point in view coordinates."""
        block, number = math.floor(x + 0.5), math.floor(y + 0.5)
        linears = self.result.linears if self.result else ()
        return self._rows.get((block, linears[number])) if 0 <= number < len(linears) else None

    def readout(self, x: float, y: float) -> str:
        row = self.row_at(x, y)
        if row is None or self.result is None:
            return ""
        total = sum(one.kl for one in self.result.rows)
        bits = (
            "–"
            if row.bits is None
            else tr("{bits}, marked for 8", bits=row.bits)
            if row.name in self._marked
            else str(row.bits)
        )
        rows = [
            ("", tr("KL divergence"), tr("{kl:.3g} nats a token", kl=row.kl)),
            ("", tr("of the sum"), num(f"{100 * row.kl / total:.1f} %") if total > 0 else "–"),
            ("", tr("bits"), bits),
        ]
        return tip_html(tr("block {block} · {short}", block=row.block, short=_short(row.linear)), rows)

    def table(self) -> Table:
        rows = tuple(
            (row.block, row.linear, "–" if row.bits is None else row.bits, row.kl)
            for row in (self.result.rows if self.result else ())
        )
        return Table(("block", "linear", tr("bits"), "kl_divergence"), rows)

    def apply_theme(self, t: Tokens) -> None:
        super().apply_theme(t)
        self.plot_item.showGrid(x=False, y=False)
        if hasattr(self, "_bar"):
            self._bar.axis.setTextPen(t.muted)
            self._bar.axis.setPen(pg.mkPen(t.line))
            self._bar.axis.setTickFont(ui_font(10))
            # The colours are those of both themes, so the dots are too: light, with a dark edge.
            self._marks.setSymbolBrush("#ffffff")
            self._marks.setSymbolPen(pg.mkPen("#000000", width=1.5))

    def _linear_text(self, value: float) -> str:
        linears = self.result.linears if self.result else ()
        number = round(value)
        return _short(linears[number]) if abs(value - number) < 1e-6 and 0 <= number < len(linears) else ""

    def _mouse_clicked(self, event: Clicked) -> None:
        point = self.clicked_point(event)
        row = self.row_at(point.x(), point.y()) if point else None
        if row is not None:
            self.clicked.emit(row.name)


def _short(linear: str) -> str:
    """ "mlp.down_proj" → "down_proj"."""
    return tr("KV cache") if linear == KV_CACHE else linear.rpartition(".")[2]
