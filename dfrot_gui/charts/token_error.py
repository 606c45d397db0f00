"""Quantization error of every sampled token, sorted, for each rotation over the other."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from dfrot_engine.charts import ErrorSeries, TokenErrors
from dfrot_gui.charts.base import Plot, tip_html
from dfrot_gui.run_tables import Table
from dfrot_gui.theme import SERIES_TOKENS, Theme, series_color, series_label
from dfrot_gui.translation import num, tr

NUM_MARKS = 28


class TokenErrorChart(Plot):
    """Worst first on two logarithmic axes, where the few massive tokens get half of the picture; or all tokens."""

    def __init__(self) -> None:
        super().__init__(
            tr("Quantization error of every token"),
            "",
            tr("Relative error"),
            empty=tr("The errors of every token are drawn here once the rotations have been compared."),
            x_text=lambda value: num(f"{value:.0f} %") if -0.01 <= value <= 100.01 else "",
        )
        self.errors: TokenErrors | None = None
        self._series: dict[str, ErrorSeries] = {}
        self._drawn: dict[str, tuple[pg.PlotDataItem, pg.PlotDataItem]] = {}
        self._is_worst_first = True
        self.set_worst_first(True)
        self.set_has_data(False)

    def set_errors(self, errors: TokenErrors | None) -> None:
        self.errors = errors
        self._series = errors.series if errors else {}
        is_redrawn = list(self._drawn) != list(self._series)
        if is_redrawn:
            for pair in self._drawn.values():
                self.remove_drawn(pair)
            self._drawn = {kind: self._items(kind) for kind in self._series}
        self._draw()
        self.set_has_data(bool(self._series))
        if is_redrawn:
            self.reset_view()

    def set_worst_first(self, is_worst_first: bool) -> None:
        """Rank from the worst token, logarithmic; or the share of all tokens, best to worst."""
        self._is_worst_first = is_worst_first
        self.plot_item.setLogMode(x=is_worst_first, y=True)
        self.set_labels(
            tr("Token rank, worst first") if is_worst_first else tr("Share of tokens, best first"), tr("Relative error")
        )
        self._draw()
        self.reset_view()

    def set_kind_visible(self, kind: str, is_visible: bool) -> None:
        for item in self._drawn.get(kind, ()):
            item.setVisible(is_visible)

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self._series)

    def num_tokens(self) -> int:
        """How many tokens the samples stand for."""
        return round(max((float(one.rank[-1]) for one in self._series.values() if len(one.rank)), default=0.0))

    def readout(self, x: float, y: float) -> str:
        count = self.num_tokens()
        rank = 10.0**x if self._is_worst_first else (1.0 - x / 100.0) * count
        if not 0.5 <= rank <= count:
            return ""
        head = (
            tr("rank {rank:,.0f} of {count:,}", rank=rank, count=count)
            if self._is_worst_first
            else tr("{share:.1f} % of tokens are better", share=x)
        )
        t = Theme.get().t
        rows = [
            (series_color(t, kind), series_label(kind), num(f"{error_at(one, rank):.4f}"))
            for kind, one in self._series.items()
            if self._drawn[kind][0].isVisible()
        ]
        return tip_html(head, rows)

    def legend(self) -> list[tuple[str, str]]:
        t = Theme.get().t
        shown = [kind for kind in self._series if self._drawn[kind][0].isVisible()]
        return [(series_label(kind), series_color(t, kind)) for kind in shown]

    def table(self) -> Table:
        rows = tuple(
            (series_label(kind), float(rank), float(error), is_massive)
            for kind, one in self._series.items()
            for ranks, errors, is_massive in ((one.rank, one.error, 0), (one.massive_rank, one.massive_error, 1))
            for rank, error in zip(ranks, errors, strict=True)
        )
        return Table(("rotation", "rank", "relative_error", "is_massive"), rows)

    def _items(self, kind: str) -> tuple[pg.PlotDataItem, pg.PlotDataItem]:
        token = SERIES_TOKENS.get(kind, "accent")
        is_own = token in ("dfrot", "accent")
        return self.add_curve(token, 2.5 if is_own else 1.8), self.add_symbols(token, size=5.5)

    def _draw(self) -> None:
        for kind, (curve, marks) in self._drawn.items():
            one = self._series[kind]
            curve.setData(self._x(one.rank), _drawable(one.error))
            shown = spread(one.massive_rank, NUM_MARKS)
            marks.setData(self._x(one.massive_rank[shown]), _drawable(one.massive_error[shown]))

    def _x(self, rank: NDArray[np.float64]) -> NDArray[np.float64]:
        return rank if self._is_worst_first else (1.0 - rank / max(1, self.num_tokens())) * 100.0


def error_at(series: ErrorSeries, rank: float) -> float:
    """The error of the token at a rank, from the nearest sampled ones."""
    return float(np.interp(rank, series.rank, series.error))


def spread(rank: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Indices of at most `count` of the ranks, even on a logarithmic axis; hundreds of marks would hide the curve."""
    if len(rank) <= count:
        return np.arange(len(rank))
    order = np.argsort(rank)
    wanted = np.linspace(np.log(rank[order[0]]), np.log(rank[order[-1]]), count)
    return np.unique(order[np.searchsorted(np.log(rank[order]), wanted).clip(0, len(rank) - 1)])


def _drawable(error: NDArray[np.float32]) -> NDArray[np.float32]:
    # Zero has no place on a logarithmic axis, and one such point would blank the whole curve.
    return np.maximum(error, np.float32(1e-6))
