"""Round to nearest: every weight on its own, no data."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.quantizers.weight import QuantizedWeight, choose_weight_grid, round_to_nearest, to_quantized_weight
from dfrot_engine.recipe import RTN, WeightScheme


def solve_rtn(
    weight_OI: Tensor,
    scheme: WeightScheme,
    _solver: RTN | None = None,
    *,
    scale_dtype: torch.dtype,
    moments: InputMoments | None = None,  # every solver is called alike
) -> QuantizedWeight:
    """Round every weight to the nearest code.

    Args:
        weight_OI: float32, norm and rotations already folded in; not modified.
        scale_dtype: dtype of the scales in the checkpoint.
    """
    grid, fmt, group_size = choose_weight_grid(weight_OI, scheme, scale_dtype)
    return to_quantized_weight(round_to_nearest(weight_OI, grid, fmt, group_size), grid, fmt, scale_dtype)
