"""The error of each linear of one block."""

from __future__ import annotations

from collections.abc import Mapping

import pyqtgraph as pg

from dfrot_gui.charts.base import Plot, tip_html
from dfrot_gui.charts.block_error import LINEAR_TOKENS, OTHER_TOKEN, OUTPUT
from dfrot_gui.run_tables import Table
from dfrot_gui.theme import Theme, Tokens
from dfrot_gui.translation import num, tr

#: More would have no room for their names; the table has all of them.
MOST_BARS = 10


class LinearErrorChart(Plot):
    """A bar for each linear of a block, the worst on top; of many experts the worst ones."""

    def __init__(self) -> None:
        super().__init__(
            tr("Error per linear"),
            tr("Relative error"),
            "",
            empty=tr("This block's linears are drawn here once they are rounded."),
            y_text=lambda value: "",
        )
        self._errors: list[tuple[str, float]] = []
        self._bars: list[pg.BarGraphItem] = []
        self.view.invertY(True)
        self.set_has_data(False)

    def set_errors(self, errors: Mapping[str, float]) -> None:
        """`errors` by linear; the block's own output, which is on another scale, is left to its own chart."""
        ordered = sorted(((n, e) for n, e in errors.items() if n != OUTPUT), key=lambda item: -item[1])
        if ordered == self._errors:
            return
        self._errors = ordered
        for bar in self._bars:
            self.plot_item.removeItem(bar)
        self._bars = [
            pg.BarGraphItem(x0=0, x1=error, y=number, height=0.62, pen=None, brush=_color(Theme.get().t, name))
            for number, (name, error) in enumerate(self.shown())
        ]
        for bar in self._bars:
            self.plot_item.addItem(bar)
        ticks = [(number, _short(name)) for number, (name, _) in enumerate(self.shown())]
        self.plot_item.getAxis("left").setTicks([ticks])
        self.set_has_data(bool(ordered))
        self.reset_view()

    def shown(self) -> list[tuple[str, float]]:
        return self._errors[:MOST_BARS]

    def reset_view(self) -> None:
        if self._errors:
            top = max(error for _, error in self._errors) or 1.0
            self.view.setRange(xRange=(0, 1.05 * top), yRange=(-0.6, len(self.shown()) - 0.4), padding=0)

    def readout(self, x: float, y: float) -> str:
        number = round(y)
        if not 0 <= number < len(self.shown()):
            return ""
        name, error = self.shown()[number]
        return tip_html(name, [(_color(Theme.get().t, name), tr("relative error"), num(f"{error:.4f}"))])

    def table(self) -> Table:
        return Table(("linear", "relative_error"), tuple(self._errors))

    def apply_theme(self, t: Tokens) -> None:
        super().apply_theme(t)
        self.plot_item.showGrid(x=True, y=False, alpha=0.15)
        if hasattr(self, "_bars"):  # the frame's own call comes first
            for bar, (name, _) in zip(self._bars, self.shown(), strict=True):
                bar.setOpts(brush=_color(t, name))


def _color(t: Tokens, name: str) -> str:
    return t.color(LINEAR_TOKENS.get(name.rpartition(".")[2], OTHER_TOKEN))


def _short(name: str) -> str:
    """ "mlp.experts.7.down_proj" → "7.down_proj"."""
    *_, parent, last = ("", *name.split("."))
    return f"{parent}.{last}" if parent.isdigit() else last
