"""Hadamard matrices by formula, and the fast transform that applies them."""

from __future__ import annotations

import importlib
from functools import lru_cache

import torch
from torch import Tensor

from dfrot_engine.hadamard_orders import HadamardOrder, paley_field


def hadamard_matrix(order: HadamardOrder) -> Tensor:
    """The orthogonal matrix H/√n of an order, [n, n] float64; block-diagonal when the order has blocks."""
    core = torch.kron(_base_matrix(order.base), _sylvester(order.power))
    core = core / core.shape[0] ** 0.5
    return torch.block_diag(*[core] * order.blocks)


def hadamard_transform(values: Tensor, order: HadamardOrder, *, inverse: bool = False) -> Tensor:
    """values @ H/√n over the last dimension (@ Hᵀ/√n if inverse), in n·log n operations.

    Args:
        values: [..., order.width], any float dtype; not modified.
    Returns:
        The same shape and dtype.
    """
    shape, dtype = values.shape, values.dtype
    values = values.reshape(-1, order.base, order.power).to(torch.promote_types(dtype, torch.float32))
    values = _transform_power_of_two(values)
    if order.base > 1:
        base = _base_matrix(order.base).to(values)
        values = torch.einsum("nbp,bc->ncp", values, base.T if inverse else base)
    return (values.reshape(shape) * (order.base * order.power) ** -0.5).to(dtype)


def _transform_power_of_two(values: Tensor) -> Tensor:
    """[..., 2^k] times the Sylvester matrix, not normalized.

    On a CPU these sums give the bits that the code in a checkpoint with R4 gives, which four-bit activations behind it
    need: one code that falls otherwise moves all that follows.
    """
    size = values.shape[-1]
    kernel = _cuda_kernel() if values.is_cuda else None
    if kernel is not None and size <= 32_768:
        return kernel(values.contiguous(), scale=1.0)
    values = values.clone(memory_format=torch.contiguous_format)
    step = 1
    while step < size:
        pairs = values.unflatten(-1, (-1, 2, step))
        left, right = pairs[..., 0, :], pairs[..., 1, :]
        differences = left - right
        left.add_(right)
        right.copy_(differences)
        step *= 2
    return values


@lru_cache(maxsize=1)
def _cuda_kernel():
    """The CUDA package's function when it is installed; the torch butterfly gives the same numbers."""
    try:
        return importlib.import_module("fast_hadamard_transform").hadamard_transform
    except ImportError:
        return None


@lru_cache(maxsize=32)
def _sylvester(size: int) -> Tensor:
    matrix = torch.ones(1, 1, dtype=torch.float64)
    step = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    while matrix.shape[0] < size:
        matrix = torch.kron(matrix, step)
    return matrix


@lru_cache(maxsize=32)
def _base_matrix(order: int) -> Tensor:
    """±1 Hadamard matrix of order 1 or of a Paley order, float64.

    Source: Paley (1933), constructions 1 and 2.
    """
    if order == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    field = paley_field(order)
    assert field is not None, order
    construction, p, k = field
    jacobsthal = _jacobsthal(p, k)
    q = p**k
    border = torch.zeros(q + 1, q + 1, dtype=torch.float64)
    border[1:, 1:] = jacobsthal
    border[0, 1:] = 1
    if construction == 1:
        border[1:, 0] = -1
        return border + torch.eye(q + 1, dtype=torch.float64)
    border[1:, 0] = 1
    one = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    diagonal = torch.tensor([[1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
    return torch.kron(border, one) + torch.kron(torch.eye(q + 1, dtype=torch.float64), diagonal)


def _jacobsthal(p: int, k: int) -> Tensor:
    """Q_ab = χ(a − b) over GF(p^k), k ≤ 2; χ is +1 on squares, −1 on the others, 0 at zero."""
    if k == 1:
        elements = [(a, 0) for a in range(p)]
        nonresidue = 0
    else:
        elements = [(a, b) for a in range(p) for b in range(p)]
        nonresidue = next(n for n in range(2, p) if pow(n, (p - 1) // 2, p) == p - 1)
    squares = {((a * a + nonresidue * b * b) % p, 2 * a * b % p) for a, b in elements} - {(0, 0)}

    def character(x: tuple[int, int], y: tuple[int, int]) -> float:
        difference = ((x[0] - y[0]) % p, (x[1] - y[1]) % p)
        return 0.0 if difference == (0, 0) else 1.0 if difference in squares else -1.0

    return torch.tensor([[character(x, y) for y in elements] for x in elements], dtype=torch.float64)
