"""GPTQ: round column after column, moving every error onto the columns that are still open."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.errors import DFRotError
from dfrot_engine.quantizers.grid import Grid, dequantize, quantize
from dfrot_engine.quantizers.weight import QuantizedWeight, choose_weight_grid, group_columns, to_quantized_weight
from dfrot_engine.recipe import GPTQ, WeightScheme

_LADDER = 4  # the damping, and ten times as much three times over
_LAZY_COLUMNS = 128  # columns whose errors are gathered before the rest of the matrix hears of them


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
    hessian, weight_OI = without_dead_columns(moments.hessian_II, weight_OI)
    damping = solver.damping * float(hessian.diagonal().mean())
    return round_columns(weight_OI, hessian, damping, scheme, act_order=solver.act_order, scale_dtype=scale_dtype)


def without_dead_columns(hessian_II: Tensor, weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """(H in float64 with ones for inputs that were never anything but zero, the weight with zeros there)."""
    hessian = hessian_II.double()
    is_dead = hessian.diagonal() == 0
    return hessian + torch.diag(is_dead.double()), weight_OI.masked_fill(is_dead, 0)


def round_columns(
    weight_OI: Tensor,
    hessian_II: Tensor,
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
        hessian_II: float64.
        damping: added to the diagonal; ten times as much, up to three times, where that is not enough.
        act_order: round the columns of the largest inputs first.
    Raises:
        NotPositiveDefinite: no damping was enough.
    """
    order = hessian_II.diagonal().argsort(descending=True, stable=True) if act_order else None
    hessian = hessian_II if order is None else hessian_II[order][:, order]
    upper = _inverse_factor(hessian, damping).to(weight_OI.dtype)
    grids = _Grids(weight_OI, scheme, scale_dtype, is_static=act_order)
    # Transposed, so that a column of the weight is a row in memory.
    weight_IO = weight_OI.T.contiguous() if order is None else weight_OI.T[order]
    codes_IO = torch.empty_like(weight_IO)
    columns = range(len(weight_IO)) if order is None else order.tolist()
    step = grids.lazy_columns
    for start in range(0, len(weight_IO), step):
        end = min(start + step, len(weight_IO))
        open_CO, upper_CC = weight_IO[start:end], upper[start:end, start:end]
        error_CO = torch.empty_like(open_CO)
        for column in range(end - start):
            grids.reach(columns[start + column], open_CO[column:])
            grid = grids.of(columns[start + column])
            codes = quantize(open_CO[column], grid, grids.fmt)
            codes_IO[start + column] = codes
            error_CO[column] = (open_CO[column] - dequantize(codes, grid)) / upper_CC[column, column]
            open_CO[column + 1 :].addr_(upper_CC[column, column + 1 :], error_CO[column], alpha=-1)
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
        self._grid, self.fmt, _ = choose_weight_grid(weight_OI, scheme, scale_dtype)
        self._groups = self._split(self._grid, weight_OI.dtype)

    @property
    def lazy_columns(self) -> int:
        """So many that groups and batches of columns start together."""
        if self._is_static:
            return _LAZY_COLUMNS
        return max(1, _LAZY_COLUMNS // self._size) * self._size

    def reach(self, column: int, open_CO: Tensor) -> None:
        """Choose the scale of the group that starts here; the columns from here on are given."""
        if self._is_static or column % self._size:
            return
        part_OI = open_CO[: self._size].T
        whole = self._grid.global_scale
        grid, _, _ = choose_weight_grid(part_OI, self._scheme, self._scale_dtype, global_scale=whole)
        self._groups[column // self._size] = self._split(grid, open_CO.dtype)[0]

    def of(self, column: int) -> Grid:
        """Scales [O] of one column."""
        return self._groups[column // self._size]

    def whole(self) -> Grid:
        """[O, G, 1]."""
        zeros = [group.zero_point for group in self._groups if group.zero_point is not None]
        scale = torch.stack([group.scale for group in self._groups], dim=1)[..., None]
        zero_point = torch.stack(zeros, dim=1)[..., None] if zeros else None
        return self._grid._replace(scale=scale, zero_point=zero_point)

    def _split(self, grid: Grid, dtype: torch.dtype) -> list[Grid]:
        scales = grid.scale[..., 0].to(dtype).unbind(1)
        if grid.zero_point is None:
            return [Grid(scale.contiguous(), None) for scale in scales]
        zeros = grid.zero_point[..., 0].to(dtype).unbind(1)
        return [Grid(scale.contiguous(), zero.contiguous()) for scale, zero in zip(scales, zeros, strict=True)]


def _inverse_factor(hessian_II: Tensor, damping: float) -> Tensor:
    """Upper triangular U with (H + damping·I)⁻¹ = UᵀU."""
    identity = torch.eye(len(hessian_II), dtype=hessian_II.dtype, device=hessian_II.device)
    for _ in range(_LADDER):
        lower, failed = torch.linalg.cholesky_ex(hessian_II + damping * identity)
        if not int(failed) and bool(torch.isfinite(lower).all()):
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
            if not int(failed) and bool(torch.isfinite(upper).all()):
                return upper
        damping *= 10
    raise NotPositiveDefinite(
        f"The second moments of the inputs are not positive definite, even with {damping / 10:.3g} on the diagonal.",
        "Calibrate on more tokens, or raise solver.damping.",
    )
