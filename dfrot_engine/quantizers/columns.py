"""The inner loop of GPTQ: a run of columns, one after the other; on a GPU replayed as one graph of kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from dfrot_engine.quantizers.formats import FORMATS, Format
from dfrot_engine.quantizers.grid import Grid, dequantize, quantize

#: (open columns, factor, scales, zero-points or None) → (codes, errors), all but the factor [C, O]
_Run = Callable[[Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
_GRAPHS = 16  # shapes whose graphs are kept


def round_run(open_CO: Tensor, upper_CC: Tensor, grid: Grid, fmt: Format) -> tuple[Tensor, Tensor]:
    """Round columns from the first to the last, each after the errors of those before it.

    Args:
        open_CO: one column of the weight in each row; may be modified.
        upper_CC: their part of the inverse Hessian's upper triangular factor.
        grid: [C, O].
    Returns:
        (codes, errors over the factor's diagonal), both [C, O].
    """
    if not open_CO.is_cuda:
        return _round_run(open_CO, upper_CC, grid.scale, grid.zero_point, fmt)
    # Ten small kernels a column: launching them one by one takes longer than running them.
    run = _graph(open_CO.shape[0], open_CO.shape[1], open_CO.dtype, open_CO.device, fmt.name, grid.zero_point is None)
    return run(open_CO, upper_CC, grid.scale, grid.zero_point)


def _round_run(
    open_CO: Tensor, upper_CC: Tensor, scale_CO: Tensor, zero_point_CO: Tensor | None, fmt: Format
) -> tuple[Tensor, Tensor]:
    codes_CO, error_CO = torch.empty_like(open_CO), torch.empty_like(open_CO)
    for column in range(len(open_CO)):
        grid = Grid(scale_CO[column], None if zero_point_CO is None else zero_point_CO[column])
        codes = quantize(open_CO[column], grid, fmt)
        codes_CO[column] = codes
        error_CO[column] = (open_CO[column] - dequantize(codes, grid)) / upper_CC[column, column]
        open_CO[column + 1 :].addr_(upper_CC[column, column + 1 :], error_CO[column], alpha=-1)
    return codes_CO, error_CO


@lru_cache(maxsize=_GRAPHS)
def _graph(
    columns: int, rows: int, dtype: torch.dtype, device: torch.device, fmt_name: str, is_symmetric: bool
) -> _Run:
    """The loop recorded once for this shape; every call copies its inputs in and replays it."""
    fmt = FORMATS[fmt_name]
    opened, scale = (torch.ones(columns, rows, dtype=dtype, device=device) for _ in range(2))
    zero_point = None if is_symmetric else torch.zeros_like(scale)
    upper = torch.eye(columns, dtype=dtype, device=device)
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):  # what a first call sets up must not be recorded
        _round_run(opened[:2].clone(), upper[:2, :2], scale[:2], None if zero_point is None else zero_point[:2], fmt)
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        codes, error = _round_run(opened, upper, scale, zero_point, fmt)

    def run(open_CO: Tensor, upper_CC: Tensor, scale_CO: Tensor, zero_point_CO: Tensor | None) -> tuple[Tensor, Tensor]:
        opened.copy_(open_CO)
        upper.copy_(upper_CC)
        scale.copy_(scale_CO)
        if zero_point is not None and zero_point_CO is not None:
            zero_point.copy_(zero_point_CO)
        graph.replay()
        return codes.clone(), error.clone()

    return run
