"""Weighted alternating Procrustes: quantize the rotated tokens, rotate to meet what came out, again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dfrot_engine.recipe import DFRot
from dfrot_engine.rotations.data import RotationData, RotationStep
from dfrot_engine.rotations.orthogonal import cayley, orthogonalize
from dfrot_engine.rotations.start import start_rotation

Quantizer = Callable[[Tensor], Tensor]

_CHUNK_ROWS = 8_192
_LARGEST_RELAXATION = 3.0
_ALLOWED_RISE = 1.0005
_PATIENCE = 5
_LEAST_GAIN = 1e-4  # relative, over _PATIENCE accepted steps


def build_dfrot(section: DFRot, width: int, data: RotationData | None) -> Iterator[RotationStep]:
    assert data is not None, "dfrot learns from activations"
    start = start_rotation(section, width, data)
    weight = data.weight(section.massive_weight, start)
    return refine(data.rows_ND, weight, start, data.quantize, steps=section.steps)


def refine(
    rows_ND: Tensor, weight_N: Tensor, start_DD: Tensor, quantize: Quantizer, *, steps: int
) -> Iterator[RotationStep]:
    """Refine a rotation by alternating quantization with the orthogonal Procrustes step, in its tangent form.

    With S = Xᵀdiag(w)X, E = Q(XR) − XR and G = Xᵀdiag(w)E the Procrustes solution is polar(S + GRᵀ)·R. Its first-order
    form needs one eigendecomposition of S in all: Ω_ij = (Vᵀ(GRᵀ − RGᵀ)V)_ij / (λ_i + λ_j), R ← Cayley(VΩVᵀ)·R, and
    has the same fixed points. Steps are over-relaxed, and taken back when the loss rises.

    Args:
        rows_ND: float32 tokens before rotation.
        weight_N: float32 weight of each token in the loss (γ² for massive ones).
        start_DD: orthogonal, float64.
        quantize: rows → dequantized rows; the quantizer that is deployed.
        steps: at most this many accepted steps.
    Yields:
        The start, then every accepted step; the loss may rise by 0.05 % at most from one to the next.
    Source: DFRot (arXiv:2412.00648), section 3; tangent form of the polar factor derived here.
    """
    rotation = start_DD.to(rows_ND.device, torch.float64)
    eigenvalues, vectors = torch.linalg.eigh(_weighted_gram(rows_ND, weight_N, rows_ND))
    eigenvalues = eigenvalues.clamp(min=0)
    # A direction no token has (fewer tokens than dimensions) must not be turned by a division by almost nothing.
    denominator = (eigenvalues[:, None] + eigenvalues[None, :]).clamp(min=float(eigenvalues[-1]) * 1e-7 + 1e-30)

    loss, gradient = _loss_and_gradient(rows_ND, weight_N, rotation, quantize)
    history = [loss]
    yield RotationStep(0, loss, rotation)
    relaxation, index = 1.0, 0
    while index < steps and loss > 0:
        tangent = _tangent(gradient, rotation, vectors, denominator)
        proposal = cayley(tangent * relaxation) @ rotation
        new_loss, new_gradient = _loss_and_gradient(rows_ND, weight_N, proposal, quantize)
        if new_loss > _ALLOWED_RISE * loss:
            relaxation /= 2
            if relaxation < 1e-3:
                return
            continue
        index += 1
        rotation, loss, gradient = orthogonalize(proposal), new_loss, new_gradient
        relaxation = min(_LARGEST_RELAXATION, relaxation * 1.25)
        history.append(loss)
        yield RotationStep(index, loss, rotation)
        if len(history) > _PATIENCE and history[-1 - _PATIENCE] - loss < _LEAST_GAIN * loss:
            return


def _loss_and_gradient(rows: Tensor, weight: Tensor, rotation: Tensor, quantize: Quantizer) -> tuple[float, Tensor]:
    """Σ w‖E‖² and G = Xᵀdiag(w)E, both in float64 sums over chunks of float32 products."""
    turn = rotation.to(rows.dtype)
    loss = torch.zeros((), dtype=torch.float64, device=rows.device)
    gradient = torch.zeros_like(rotation)
    for chunk, chunk_weight in zip(rows.split(_CHUNK_ROWS), weight.split(_CHUNK_ROWS), strict=True):
        rotated = chunk @ turn
        error = quantize(rotated) - rotated
        loss += (chunk_weight * error.square().sum(1)).double().sum()
        gradient += (chunk.T @ (error * chunk_weight[:, None])).double()
    return float(loss), gradient


def _weighted_gram(rows: Tensor, weight: Tensor, others: Tensor) -> Tensor:
    gram = torch.zeros(rows.shape[1], others.shape[1], dtype=torch.float64, device=rows.device)
    chunks = zip(rows.split(_CHUNK_ROWS), weight.split(_CHUNK_ROWS), others.split(_CHUNK_ROWS), strict=True)
    for left, chunk_weight, right in chunks:
        gram += (left.T @ (right * chunk_weight[:, None])).double()
    return gram


def _tangent(gradient: Tensor, rotation: Tensor, vectors: Tensor, denominator: Tensor) -> Tensor:
    """The skew-symmetric direction of the polar factor, its spectral norm capped at 1."""
    turned = gradient @ rotation.T
    skew = vectors.T @ (turned - turned.T) @ vectors / denominator
    omega = vectors @ skew @ vectors.T
    omega = (omega - omega.T) / 2
    norm = _spectral_norm(omega)
    return omega / max(1.0, norm)


def _spectral_norm(matrix: Tensor) -> float:
    """Largest singular value by power iteration, a few percent accurate."""
    vector = torch.ones(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    vector[::2] = -0.5
    norm = 0.0
    for _ in range(12):
        image = matrix.T @ (matrix @ vector)
        norm = float(image.norm()) / max(float(vector.norm()), 1e-300)
        if norm == 0.0:
            return 0.0
        vector = image / image.norm()
    return norm**0.5
