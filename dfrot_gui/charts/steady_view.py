"""A view whose range stays while its data change little: a new range draws both axes anew."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg

Bounds = list[list[float] | None]

#: Shares of a range: what may stay empty at both ends, what is added where data leave it, and what they may exceed it
#: by, which the view's own padding holds.
SLACK, ROOM, EXCESS = 0.16, 0.04, 0.01


class SteadyView(pg.ViewBox):
    """Shows everything, and keeps to what it shows as long as that holds all data without much room beside them."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: Bounds = [None, None]

    def enableAutoRange(self, axis: Any = None, enable: Any = True, x: Any = None, y: Any = None) -> None:  # noqa: N802
        self._kept = [None, None]
        super().enableAutoRange(axis, enable, x, y)
        self.queueUpdateAutoRange()

    def resizeEvent(self, ev: Any) -> None:  # noqa: N802
        self._kept = [None, None]
        super().resizeEvent(ev)

    def childrenBounds(self, *args: Any, **kwargs: Any) -> Bounds:  # noqa: N802
        found: Bounds = super().childrenBounds(*args, **kwargs)
        self._kept = [_steady(kept, new) for kept, new in zip(self._kept, found, strict=True)]
        return [list(one) if one is not None else None for one in self._kept]


def _steady(kept: list[float] | None, new: list[float] | None) -> list[float] | None:
    """The range kept before, or the new one, wider where data have just left the kept one."""
    if kept is None or new is None:
        return new
    (low, high), span = new, new[1] - new[0]
    is_left_below, is_left_above = low < kept[0] - EXCESS * span, high > kept[1] + EXCESS * span
    if not (is_left_below or is_left_above) and kept[1] - kept[0] <= (1 + SLACK) * span:
        return kept
    return [low - ROOM * span * is_left_below, high + ROOM * span * is_left_above]
