"""Per-token errors of a rotation, as the curves that people look at."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dfrot_engine.calibration.massive import relative_error
from dfrot_engine.calibration.samplers import RowSample
from dfrot_engine.charts import ErrorSeries
from dfrot_engine.rotations.dfrot import Quantizer

_POINTS = 1_000
_MARKS = 500
_CHUNK_ROWS = 8_192


def token_errors(sample: RowSample, rotation_DD: Tensor | None, quantize: Quantizer) -> Tensor:
    """[N] float32 relative error of every sampled row under a rotation (None: unrotated)."""
    errors: list[Tensor] = []
    for rows in sample.rows_ND.split(_CHUNK_ROWS):
        rotated = rows if rotation_DD is None else rows @ rotation_DD.to(rows)
        errors.append(relative_error(rotated, quantize(rotated)))
    return torch.cat(errors)


def error_series(sample: RowSample, error_N: Tensor) -> ErrorSeries:
    """Sorted, worst first, thinned to about a thousand points on a logarithmic rank axis."""
    order = error_N.argsort(descending=True)
    error = error_N[order].cpu().numpy().astype(np.float32)
    share = sample.share_N[order.cpu()].double().numpy()
    is_massive = sample.is_massive_N[order.cpu()].numpy()
    rank = share.cumsum()
    shown = np.unique(np.geomspace(1, len(error), _POINTS).astype(np.int64)) - 1
    marks = np.flatnonzero(is_massive)
    marks = marks[np.unique(np.linspace(0, len(marks) - 1, _MARKS).astype(np.int64))] if len(marks) else marks
    massive_share = share[is_massive]
    return ErrorSeries(
        rank=rank[shown],
        error=error[shown],
        massive_rank=rank[marks],
        massive_error=error[marks],
        block_mean=_block_means(sample, error_N.cpu()),
        mean=float(np.average(error, weights=share)),
        p999=float(error[np.searchsorted(rank, rank[-1] / 1000)]),
        massive_mean=float(np.average(error[is_massive], weights=massive_share))
        if len(massive_share)
        else float("nan"),
    )


def _block_means(sample: RowSample, error_N: Tensor) -> np.ndarray:
    block = sample.block_N.long()
    total = torch.zeros(int(block.max()) + 1).index_add(0, block, error_N * sample.share_N)
    count = torch.zeros(int(block.max()) + 1).index_add(0, block, sample.share_N)
    return (total / count.clamp(min=1e-9)).numpy()
