"""Errors of sampled tokens as a sorted curve. numpy only: the window draws any place and block of them with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfrot_engine.charts import ErrorSeries

_POINTS = 1_000
_MARKS = 500


def series_of(
    error_N: NDArray[np.float32],
    share_N: NDArray[np.float32],
    is_massive_N: NDArray[np.bool_],
    block_N: NDArray[np.integer],
) -> ErrorSeries:
    """Sorted, worst first, thinned to about a thousand points on a logarithmic rank axis.

    Args:
        error_N: relative errors of at least one token.
        share_N: how many tokens each stands for.
    """
    order = np.argsort(-error_N, kind="stable")
    error, is_massive = error_N[order].astype(np.float32), is_massive_N[order]
    share = share_N[order].astype(np.float64)
    rank = share.cumsum()
    shown = np.unique(np.geomspace(1, len(error), _POINTS).astype(np.int64)) - 1
    marks = np.flatnonzero(is_massive)
    marks = marks[np.unique(np.linspace(0, len(marks) - 1, _MARKS).astype(np.int64))] if len(marks) else marks
    return ErrorSeries(
        rank=rank[shown],
        error=error[shown],
        massive_rank=rank[marks],
        massive_error=error[marks],
        block_mean=_block_means(error_N, share_N, block_N),
        mean=float(np.average(error, weights=share)),
        p999=float(error[np.searchsorted(rank, rank[-1] / 1000)]),
        massive_mean=float(np.average(error[is_massive], weights=share[is_massive])) if len(marks) else float("nan"),
    )


def _block_means(
    error_N: NDArray[np.float32], share_N: NDArray[np.float32], block_N: NDArray[np.integer]
) -> NDArray[np.float32]:
    total = np.bincount(block_N, error_N * share_N)
    return (total / np.maximum(np.bincount(block_N, share_N), 1e-9)).astype(np.float32)
