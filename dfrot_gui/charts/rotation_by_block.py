"""Mean activation error of every block, one bar per rotation."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from dfrot_engine.charts import TokenErrors
from dfrot_gui.charts.axis import whole_text
from dfrot_gui.charts.base import Plot, tip_html
from dfrot_gui.run_tables import Table
from dfrot_gui.theme import Theme, Tokens, series_color, series_label
from dfrot_gui.translation import num, tr

GROUP_WIDTH = 0.8


class RotationByBlockChart(Plot):
    """Bars beside each other, block by block."""

    def __init__(self) -> None:
        super().__init__(
            tr("Mean error per block"),
            tr("Block"),
            tr("Mean relative error"),
            empty=tr("The mean error of every block is drawn here once the rotations have been compared."),
            x_text=whole_text,
        )
        self._means: dict[str, np.ndarray] = {}
        self._bars: dict[str, pg.BarGraphItem] = {}
        self.set_has_data(False)

    def set_errors(self, errors: TokenErrors | None) -> None:
        is_new = list(self._means) != (list(errors.series) if errors else [])
        for bar in self._bars.values():
            self.plot_item.removeItem(bar)
        self._means = {kind: np.nan_to_num(one.block_mean) for kind, one in errors.series.items()} if errors else {}
        width = GROUP_WIDTH / max(1, len(self._means))
        self._bars = {}
        for index, (kind, mean) in enumerate(self._means.items()):
            x = np.arange(len(mean)) - GROUP_WIDTH / 2 + width * (index + 0.5)
            bar = pg.BarGraphItem(x=x, height=mean, width=width * 0.86, pen=None)
            self.plot_item.addItem(bar)
            self._bars[kind] = bar
        self.apply_theme(Theme.get().t)
        self.set_has_data(bool(self._means))
        if is_new:
            self.reset_view()

    def set_kind_visible(self, kind: str, is_visible: bool) -> None:
        if kind in self._bars:
            self._bars[kind].setVisible(is_visible)

    def readout(self, x: float, y: float) -> str:
        block = round(x)
        t = Theme.get().t
        rows = [
            (series_color(t, kind), series_label(kind), num(f"{mean[block]:.4f}"))
            for kind, mean in self._means.items()
            if 0 <= block < len(mean) and self._bars[kind].isVisible()
        ]
        return tip_html(tr("block {block}", block=block), rows) if rows else ""

    def legend(self) -> list[tuple[str, str]]:
        t = Theme.get().t
        return [(series_label(kind), series_color(t, kind)) for kind, bar in self._bars.items() if bar.isVisible()]

    def table(self) -> Table:
        num_blocks = max((len(mean) for mean in self._means.values()), default=0)
        rows = tuple(
            (block, *(float(mean[block]) for mean in self._means.values() if block < len(mean)))
            for block in range(num_blocks)
        )
        return Table(("block", *map(series_label, self._means)), rows)

    def apply_theme(self, t: Tokens) -> None:
        super().apply_theme(t)
        for kind, bar in getattr(self, "_bars", {}).items():
            bar.setOpts(brush=series_color(t, kind))
