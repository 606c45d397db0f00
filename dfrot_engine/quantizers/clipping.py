"""How much of the range to keep: a fixed share, or the share with the least error."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import Format
from dfrot_engine.quantizers.grid import choose_global_scale, choose_grid, dequantize, quantize

_RATIOS = 100
_SMALLEST_RATIO = 0.21
_ERROR_EXPONENT = 2.4
_FALLING = tuple(torch.linspace(1.0, _SMALLEST_RATIO, _RATIOS).tolist())
# Scales that are rounded themselves leave room above 1 too, and powers of two know no more than these.
_RATIOS_OF = {
    "free": _FALLING,
    "e4m3": (1.5, 1.4, 1.3, 1.2, 1.1, *_FALLING),
    "e8m0": (2.0, 1.0, 0.5, 0.25, 0.125),
}
_HOPELESS = 4.0  # once every row is this many times worse than its best, smaller ratios cannot win
# (elements of a chunk, ratios tried at once): what fits the cache of one core, and what keeps a GPU busy.
_PASS = {"cpu": (1 << 18, 1), "cuda": (1 << 26, 20)}


def search_clip_ratio(values_RI: Tensor, fmt: Format, *, symmetric: bool, global_scale: Tensor | None = None) -> Tensor:
    """The clip ratio of each row with the least Σ|error|^2.4, of 100 ratios from 1.00 down to 0.21; of some above 1
    too where scales are rounded themselves, and of powers of two where scales are.

    Args:
        values_RI: [R, I] float32, one row for each scale.
        global_scale: of the whole tensor, where these rows are a part of it; see `choose_global_scale`.
    Returns:
        [R, 1] float32.
    Source: QuaRot's weight quantizer (arXiv:2404.00456), after GPTQ's; ratios above 1 after "Four Over Six" for NVFP4.
    """
    elements, at_once = _PASS[values_RI.device.type]
    rows = max(1, elements // at_once // values_RI.shape[1])
    whole = choose_global_scale(values_RI, fmt) if global_scale is None else global_scale
    return torch.cat([_search(chunk, fmt, symmetric, whole, at_once) for chunk in values_RI.split(rows)])


def _search(values: Tensor, fmt: Format, symmetric: bool, global_scale: Tensor | None, at_once: int) -> Tensor:
    best_error = torch.full((values.shape[0], 1), torch.inf, dtype=values.dtype, device=values.device)
    best_ratio = torch.ones_like(best_error)
    # All that a grid is chosen by.
    ends = torch.cat([values.amin(-1, keepdim=True), values.amax(-1, keepdim=True)], dim=-1)
    for ratios in torch.tensor(_RATIOS_OF[fmt.scales], dtype=values.dtype, device=values.device).split(at_once):
        ratio = ratios[:, None, None]
        grid = choose_grid(ends, fmt, symmetric=symmetric, clip_ratio=ratio, global_scale=global_scale)
        error = dequantize(quantize(values, grid, fmt), grid).sub_(values).abs_()
        # |error|^2.4 in a third of the time of `pow`; the logarithm of no error is −∞, and its power 0 again.
        error = error.log2_().mul_(_ERROR_EXPONENT).exp2_()
        error, at = error.sum(-1, keepdim=True).min(0)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_ratio = torch.where(better, ratios[at], best_ratio)
        if bool((error > _HOPELESS * best_error).all()):
            break
    return best_ratio
