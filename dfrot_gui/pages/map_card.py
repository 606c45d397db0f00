"""The map of massive activations in its card, with the token that is pinned below it."""

from __future__ import annotations

from dfrot_engine.charts import ActivationMap
from dfrot_engine.site_charts import CellErrors
from dfrot_gui.charts.activation_map import ActivationMapChart
from dfrot_gui.charts.card import ChartCard
from dfrot_gui.pages.site_picker import site_titles
from dfrot_gui.pages.token_details import NOT_KEPT, NOT_MEASURED, OLD_RUN, Token, TokenDetails
from dfrot_gui.translation import mark, tr

OF_BLOCK = mark("Largest |h| in front of each block; triangles are massive tokens. Click a token for its errors.")
OF_SITE = mark("{place}: largest |h|; triangles are massive tokens. Click a token for its errors.")


class MapCard(ChartCard):
    """`set_map` when the map or the errors have changed, `set_site` when another place is to be shown."""

    def __init__(self, height: int) -> None:
        self.map = ActivationMapChart()
        super().__init__(self.map, tr(OF_BLOCK))
        self.map.setMinimumHeight(height - 86)
        self.details = TokenDetails()
        self.add(self.details)
        self._cells: CellErrors | None = None
        self._run = ("", False)
        self.map.pinned.connect(lambda _: self._show_token())
        self.details.closed.connect(lambda: self.map.set_pin(None))

    def set_map(self, chart: ActivationMap | None, cells: CellErrors | None, own: str, is_over: bool) -> None:
        """`own` is the run's rotation; `is_over` tells what is missing from what is still to come."""
        is_new = chart is not self.map.map or cells is not self._cells or (own, is_over) != self._run
        self._cells, self._run = cells, (own, is_over)
        if chart is not self.map.map:
            self.map.set_map(chart)
        if is_new:
            self._show_token()

    def set_site(self, site: int | None) -> None:
        is_new = site != self.map.site
        self.map.set_site(site)
        titles = site_titles(self._cells.sites) if self._cells else ()
        place = titles[site] if site is not None and site < len(titles) else ""
        self.set_subtitle(tr(OF_SITE, place=place) if place else tr(OF_BLOCK))
        if is_new:
            self._show_token()

    def _show_token(self) -> None:
        self.details.set_token(self._token())

    def _token(self) -> Token | None:
        chart, cell = self.map.map, self.map.pin
        if chart is None or cell is None:
            return None
        found: dict[str, dict[str, float]] = {}
        for site, title in enumerate(site_titles(self._cells.sites) if self._cells else ()):
            if self._cells is not None and self.map.site in (None, site):
                found[title] = self._cells.of(site, *cell)
        (block, position), (own, is_over) = cell, self._run
        return Token(
            block,
            position,
            float(self.map.values[cell]),
            bool(self.map.is_massive[cell]),
            [str(text) for text in chart.tokens],
            {title: errors for title, errors in found.items() if errors},
            own,
            tr(NOT_KEPT if self._cells else OLD_RUN if is_over else NOT_MEASURED),
        )
