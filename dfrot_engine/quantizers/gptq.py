"""GPTQ: round column after column, moving every error onto the columns that are still open."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.errors import DFRotError
from dfrot_engine.quantizers.columns import round_run
from dfrot_engine.quantizers.grid import Grid
from dfrot_engine.quantizers.weight import QuantizedWeight, choose_weight_grid, group_columns, to_quantized_weight
from dfrot_engine.recipe import GPTQ, WeightScheme

_LADDER = 4  # the damping, and ten times as much three times over
_LAZY_COLUMNS = 128  # columns whose errors are gathered before the rest of the matrix hears of them, if no group ends


class NotPositiveDefinite(DFRotError):
    """The inputs' second moments cannot be inverted, whatever is added to their diagonal."""


def solve_gptq(
    weight_OI: Tensor, scheme: WeightScheme, solver: GPTQ, *, scale_dtype: torch.dtype, moments: InputMoments
) -> QuantizedWeight:
    """Round a weight, or several that read the same input stacked along O: rows do not see each other.

    Args:
        weight_OI: norm and rotations already folded in; its dtype is that of the loop; not modified.
        scale_dtype: dtype of the scales in the checkpoint.
        moments: of the inputs; not modified.
    Raises:
        NotPositiveDefinite: even a thousand times the damping would not do.
    Source: GPTQ (arXiv:2210.17323), algorithm 1, on static groups where columns are reordered.
    """
    weight_OI, diagonal_I = without_dead_columns(moments.hessian_II, weight_OI)
    damping = solver.damping * float(diagonal_I.mean())
    return round_columns(
        weight_OI,
        moments.hessian_II,
        diagonal_I,
        damping,
        scheme,
        act_order=solver.act_order,
        scale_dtype=scale_dtype,
    )


def without_dead_columns(hessian_II: Tensor, weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """(the weight with zeros for inputs that were never anything but zero, H's diagonal in float64 with ones there)."""
    diagonal_I = hessian_II.diagonal().double()
    is_dead = diagonal_I == 0
    return weight_OI.masked_fill(is_dead, 0), diagonal_I + is_dead


def round_columns(
    weight_OI: Tensor,
    hessian_II: Tensor,
    diagonal_I: Tensor,
    damping: float,
    scheme: WeightScheme,
    *,
    act_order: bool,
    scale_dtype: torch.dtype,
) -> QuantizedWeight:
    """Codes that keep tr((W − Q)·(H + damping·I)·(W − Q)ᵀ) low.

    A group's scale is chosen when its first column is reached, from the columns as the errors before them have left
    them; with `act_order` groups keep their place in the weight, and all scales are chosen at the start.

    Args:
        hessian_II: not modified.
        diagonal_I: float64, what stands in the place of its own.
        damping: added to the diagonal; ten times as much, up to three times, where that is not enough.
        act_order: round the columns of the largest inputs first.
    Raises:
        NotPositiveDefinite: no damping was enough.
    """
    order = diagonal_I.argsort(descending=True, stable=True) if act_order else None
    if order is not None:
        hessian_II, diagonal_I = hessian_II[order][:, order], diagonal_I[order]
    upper = _inverse_factor(hessian_II, diagonal_I, damping).to(weight_OI.dtype)
    del hessian_II
    grids = _Grids(weight_OI, scheme, scale_dtype, is_static=act_order)
    # Transposed, so that a column of the weight is a row in memory.
    weight_IO = weight_OI.T.contiguous() if order is None else weight_OI.T[order]
    codes_IO = torch.empty_like(weight_IO)
    columns = torch.arange(len(weight_IO), device=weight_IO.device) if order is None else order
    for start in range(0, len(weight_IO), grids.step):
        end = min(start + grids.step, len(weight_IO))
        open_CO = weight_IO[start:end]
        grid = grids.of(columns[start:end], open_CO)
        codes_IO[start:end], error_CO = round_run(open_CO, upper[start:end, start:end], grid, grids.fmt)
        weight_IO[end:].addmm_(upper[start:end, end:].T, error_CO, alpha=-1)
    if order is not None:
        codes_IO = codes_IO[order.argsort()]
    return to_quantized_weight(codes_IO.T.contiguous(), grids.whole(), grids.fmt, scale_dtype)


class _Grids:
    """The scale of every column, as far as it is known yet."""

    def __init__(self, weight_OI: Tensor, scheme: WeightScheme, scale_dtype: torch.dtype, *, is_static: bool) -> None:
        self._scheme, self._scale_dtype = scheme, scale_dtype
        self._size = group_columns(scheme, weight_OI.shape[1])
        self._is_static = is_static or self._size == weight_OI.shape[1]
        # What is chosen again group after group is not searched here.
        first = scheme if self._is_static else scheme.model_copy(update={"clip_ratio": 1.0})
        self._grid, self.fmt, _ = choose_weight_grid(weight_OI, first, scale_dtype)
        self._grid = self._grid._replace(scale=self._grid.scale.clone())
        self.step = _LAZY_COLUMNS if self._is_static else self._size

    def of(self, columns_C: Tensor, open_CO: Tensor) -> Grid:
        """Scales [C, O] of columns that are rounded together; chosen now, from the open columns, unless static."""
        groups = columns_C // self._size
        if not self._is_static:
            grid, _, _ = choose_weight_grid(
                open_CO.T, self._scheme, self._scale_dtype, global_scale=self._grid.global_scale
            )
            group = int(groups[0])
            self._grid.scale[:, group] = grid.scale[:, 0]
            if self._grid.zero_point is not None and grid.zero_point is not None:
                self._grid.zero_point[:, group] = grid.zero_point[:, 0]
        zero_point = self._grid.zero_point
        scale_CO = self._grid.scale[:, groups, 0].T.to(open_CO.dtype)
        return Grid(scale_CO, None if zero_point is None else zero_point[:, groups, 0].T.to(open_CO.dtype))

    def whole(self) -> Grid:
        """[O, G, 1]."""
        return self._grid


def _inverse_factor(hessian_II: Tensor, diagonal_I: Tensor, damping: float) -> Tensor:
    """Upper triangular U with (H + damping·I)⁻¹ = UᵀU, in float64; three such matrices are held at most."""
    hessian = hessian_II.to(torch.float64, copy=True)
    for _ in range(_LADDER):
        hessian.diagonal().copy_(diagonal_I + damping)
        lower, failed = torch.linalg.cholesky_ex(hessian)
        if not int(failed) and bool(torch.isfinite(lower).all()):
            inverse = torch.cholesky_inverse(lower)
            del lower
            upper, failed = torch.linalg.cholesky_ex(inverse, upper=True)
            del inverse
            if not int(failed) and bool(torch.isfinite(upper).all()):
                return upper
        damping *= 10
    raise NotPositiveDefinite(
        f"The second moments of the inputs are not positive definite, even with {damping / 10:.3g} on the diagonal.",
        "Calibrate on more tokens, or raise solver.damping.",
    )
