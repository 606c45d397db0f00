"""Qronos: correct the weight for what rounding has already done to its inputs, then round it like GPTQ."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.quantizers.gptq import round_columns, without_dead_columns
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import Qronos, WeightScheme

_POWER_STEPS = 64


def solve_qronos(
    weight_OI: Tensor, scheme: WeightScheme, solver: Qronos, *, scale_dtype: torch.dtype, moments: InputMoments
) -> QuantizedWeight:
    """Round a weight so that Q·x̃ comes close to W·x, x̃ being what reaches the linear instead of x.

    With H = E[x̃x̃ᵀ] and C = E[xx̃ᵀ], E‖Wx − Qx̃‖² = tr((W* − Q)·H·(W* − Q)ᵀ) + a constant, where
    W* = W·C·H⁻¹: so W* is rounded under H. Both C and H are damped by λ, a share of H's largest eigenvalue.

    Args:
        weight_OI: norm and rotations already folded in; its dtype is that of the loop; not modified.
        scale_dtype: dtype of the scales in the checkpoint.
        moments: with the exact inputs' part; not modified.
    Raises:
        NotPositiveDefinite: even a thousand times the damping would not do.
    Source: Qronos (arXiv:2505.11695), the closed form of its first step and its damping.
    """
    assert moments.cross_II is not None, "gathered without the exact inputs"
    damping = solver.damping * largest_eigenvalue(moments.hessian_II.double())
    corrected = correct(weight_OI, moments.hessian_II, moments.cross_II, damping).to(weight_OI.dtype)
    corrected, diagonal_I = without_dead_columns(moments.hessian_II, corrected)
    return round_columns(
        corrected,
        moments.hessian_II,
        diagonal_I,
        damping,
        scheme,
        act_order=solver.act_order,
        scale_dtype=scale_dtype,
    )


def correct(weight_OI: Tensor, hessian_II: Tensor, cross_II: Tensor, damping: float) -> Tensor:
    """W·(C + λI)·(H + λI)⁻¹ in float64: the weight that does with x̃ what W does with x."""
    wanted_OI = weight_OI.double() @ _damped(cross_II, damping)
    return torch.linalg.solve(_damped(hessian_II, damping), wanted_OI, left=False)


def _damped(matrix_II: Tensor, damping: float) -> Tensor:
    damped = matrix_II.to(torch.float64, copy=True)
    damped.diagonal().add_(damping)
    return damped


def largest_eigenvalue(hessian_II: Tensor) -> float:
    """Of a positive semidefinite matrix, by the power method: good to a few percent, which is all damping asks for."""
    vector = hessian_II.diagonal().clone()
    for _ in range(_POWER_STEPS):
        vector = hessian_II @ vector
        vector = vector / vector.norm().clamp(min=1e-30)
    return float(vector @ hessian_II @ vector)
