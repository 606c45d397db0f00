"""Per-token errors of a rotation, as the curves that people look at."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.calibration.massive import relative_error
from dfrot_engine.calibration.samplers import RowSample
from dfrot_engine.charts import ErrorSeries
from dfrot_engine.rotations.dfrot import Quantizer
from dfrot_engine.token_series import series_of

_CHUNK_ROWS = 8_192


def token_errors(sample: RowSample, rotation_DD: Tensor | None, quantize: Quantizer) -> Tensor:
    """[N] float32 relative error of every sampled row under a rotation (None: unrotated)."""
    return row_errors(sample.rows_ND, rotation_DD, quantize)


def row_errors(rows_ND: Tensor, rotation_DD: Tensor | None, quantize: Quantizer) -> Tensor:
    """[N] float32 relative error of every row, as above."""
    errors: list[Tensor] = []
    for rows in rows_ND.split(_CHUNK_ROWS):
        rotated = rows if rotation_DD is None else rows @ rotation_DD.to(rows)
        errors.append(relative_error(rotated, quantize(rotated)))
    return torch.cat(errors)


def error_series(sample: RowSample, error_N: Tensor) -> ErrorSeries:
    """The errors of a sample's rows, worst first."""
    columns = (sample.share_N, sample.is_massive_N, sample.block_N)
    return series_of(error_N.cpu().numpy(), *(column.cpu().numpy() for column in columns))
