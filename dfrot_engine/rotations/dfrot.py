"""Weighted alternating Procrustes: quantize the rotated tokens, rotate to meet what came out, again and again.

With S = Xᵀdiag(w)X, E = Q(XR) − XR and G = Xᵀdiag(w)E the Procrustes solution is polar(S + GRᵀ)·R. Its first-order
form needs one eigendecomposition S = VΛVᵀ in all: Ω = V[(Vᵀ(GRᵀ − RGᵀ)V)_ij / (λ_i + λ_j)]Vᵀ, R ← Cayley(Ω)·R. It
vanishes where GRᵀ is symmetric, which is where the Procrustes solution is R: the fixed points are the paper's.

Each step looks at all heavy tokens and others drawn anew, so that none is learned by heart. The Procrustes step
holds every token's scale, which moves with its largest value afterwards; so the loss can rise, here as in the
paper's loop. Every fifth step it is checked, always on the same tokens. Where it rose, the best rotation is taken
up again with steps half as long; where it fell by less than 0.1 % in fifteen steps, that is the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from dfrot_engine.recipe import DFRot
from dfrot_engine.rotations.data import RotationData, RotationStep
from dfrot_engine.rotations.orthogonal import cayley, without_mean
from dfrot_engine.rotations.start import start_rotation

Quantizer = Callable[[Tensor], Tensor]

_CHUNK_ROWS = 4_096
_HEAVY = 10.0  # times the median weight
_CHECK_EVERY = 5
_PATIENCE = 3  # checks
_LEAST_GAIN = 1e-3  # relative, over that many
_SHORTEST = 0.1  # of a full step
_LARGEST_TURN = 1.0  # spectral norm of a step


def build_dfrot(section: DFRot, width: int, data: RotationData | None) -> Iterator[RotationStep]:
    assert data is not None, "dfrot learns from activations"
    start = start_rotation(section, width, data)
    weight = data.weight(section.massive_weight, start)
    steps, seed, keeps_mean = section.steps, section.seed, data.keeps_mean
    return refine(data.rows_ND, weight, start, data.quantize, steps=steps, seed=seed, keeps_mean=keeps_mean)


def refine(
    rows_ND: Tensor,
    weight_N: Tensor,
    start_DD: Tensor,
    quantize: Quantizer,
    *,
    steps: int,
    seed: int = 0,
    compute_dtype: torch.dtype | None = None,
    keeps_mean: bool = False,
) -> Iterator[RotationStep]:
    """Refine a rotation by alternating quantization with the orthogonal Procrustes step, in its tangent form.

    Args:
        rows_ND: float32 tokens before rotation; no copy in float32 of all of them is made.
        weight_N: float32 weight of each token in the loss (γ² for massive ones).
        start_DD: orthogonal, float64.
        quantize: rows → dequantized rows; the quantizer that is deployed.
        steps: at most this many.
        compute_dtype: of the products with the tokens; sums and the loss are float32 always. None: bfloat16 on CUDA,
            float32 elsewhere.
        keeps_mean: whether the start leaves the mean of every token alone, and every step has to.
    Yields:
        The start, then at every check the best rotation so far and its loss, which therefore never rises: the loss of
        all tokens, estimated from the heavy ones and at least 8·D others.
    Source: DFRot (arXiv:2412.00648), section 3; tangent form of the polar factor derived here.
    """
    draw = partial(_draw, rows_ND, weight_N, quantize, compute_dtype or _fast_dtype(rows_ND.device), seed)
    measured = draw(0)
    rotation = start_DD.to(rows_ND.device, torch.float64)
    checks = _Checks(RotationStep(0, measured.loss(rotation), rotation))
    yield checks.best
    metric = _Metric.of(measured.gram())
    is_whole = len(measured.weight_N) == len(weight_N)
    for index in range(1, steps + 1):
        if checks.best.loss == 0.0:
            return
        drawn = measured if is_whole else draw(index)
        omega_DD = metric.tangent(drawn.gradient(rotation), rotation)
        omega_DD = without_mean(omega_DD) if keeps_mean else omega_DD
        length = checks.guard if is_whole else checks.guard * _fall(index, steps)
        rotation = cayley(_capped(length * omega_DD)) @ rotation
        if index % _CHECK_EVERY and index < steps:
            continue
        rotation = checks.take(RotationStep(index, measured.loss(rotation), rotation))
        yield checks.best
        if checks.is_over:
            return


class _Checks:
    """The best rotation so far, and the share of a step that is taken after losses that rose."""

    def __init__(self, start: RotationStep) -> None:
        self.best = start
        self.guard = 1.0
        self._lowest = [start.loss]

    def take(self, step: RotationStep) -> Tensor:
        """Note a rotation that was measured; returns the one to go on from."""
        has_risen = step.loss > self.best.loss
        self.best = step if step.loss < self.best.loss else replace(self.best, index=step.index)
        self._lowest.append(self.best.loss)
        if has_risen:
            self.guard /= 2
        return self.best.rotation_DD if has_risen else step.rotation_DD

    @property
    def is_over(self) -> bool:
        return _has_stalled(self._lowest) or self.guard < _SHORTEST


def _has_stalled(lowest: list[float]) -> bool:
    return len(lowest) > _PATIENCE and lowest[-1] > (1 - _LEAST_GAIN) * lowest[-1 - _PATIENCE]


def _fall(index: int, steps: int) -> float:
    """From 1 to a tenth along a cosine, which averages the draws out."""
    return max(_SHORTEST, (1 + math.cos(math.pi * (index - 1) / steps)) / 2)


def coreset(weight_N: Tensor, num_rows: int, *, seed: int, draw: int = 0) -> tuple[Tensor, Tensor]:
    """Rows that stand for all: every heavy one, the others drawn evenly and weighted up to the same sum.

    Args:
        weight_N: float32 weight of each token in the loss; more than ten times the median is heavy.
        num_rows: how many others are drawn; 8·D lose next to nothing (DFRot, table 3).
        draw: of one seed, draws 0, 1, 2, … share no row until all have had their turn.
    Returns:
        [M] int64 rows, ascending, [M] float32 weights.
    """
    is_heavy_N = weight_N > _HEAVY * weight_N.median()
    heavy, others = is_heavy_N.nonzero()[:, 0], (~is_heavy_N).nonzero()[:, 0]
    if len(others) <= num_rows:
        return torch.arange(len(weight_N), device=weight_N.device), weight_N
    per_turn = len(others) // num_rows
    turn, place = divmod(draw, per_turn)
    order = torch.randperm(len(others), generator=torch.Generator().manual_seed(seed * 1_000_003 + turn))
    drawn = others[order[place * num_rows : (place + 1) * num_rows].to(others.device)]
    scale = weight_N[others].double().sum() / weight_N[drawn].double().sum()
    weight = weight_N.clone()
    weight[drawn] *= scale.to(weight)
    index = torch.cat([heavy, drawn]).sort().values
    return index, weight[index]


def _draw(rows_ND: Tensor, weight_N: Tensor, quantize: Quantizer, dtype: torch.dtype, seed: int, draw: int) -> _Tokens:
    """The tokens of one step; draw 0 also measures the loss."""
    index_N, weight = coreset(weight_N, DFRot.rows_per_step(rows_ND.shape[1]), seed=seed, draw=draw)
    rows = rows_ND if len(index_N) == len(rows_ND) else rows_ND[index_N]
    return _Tokens(rows.to(dtype), weight, quantize)


@dataclass(frozen=True)
class _Tokens:
    """Weighted tokens, multiplied in chunks, in the dtype of the rows with float32 sums."""

    rows_ND: Tensor
    weight_N: Tensor
    quantize: Quantizer

    def loss(self, rotation_DD: Tensor) -> float:
        """Σ w‖E‖²."""
        loss = torch.zeros((), dtype=torch.float64, device=self.rows_ND.device)
        for _, weight, error in self._errors(rotation_DD):
            loss += (weight * error.square().sum(1)).double().sum()
        return float(loss)

    def gradient(self, rotation_DD: Tensor) -> Tensor:
        """G = Xᵀdiag(w)E, [D, D] float64."""
        gradient_DD = torch.zeros_like(rotation_DD)
        for rows, weight, error in self._errors(rotation_DD):
            # E is small, so that a coarse dtype costs little here.
            gradient_DD += _product(rows.T, (error * weight[:, None]).to(rows.dtype)).double()
        return gradient_DD

    def gram(self) -> Tensor:
        """Xᵀdiag(w)X, [D, D] float64."""
        width = self.rows_ND.shape[1]
        gram_DD = torch.zeros(width, width, dtype=torch.float64, device=self.rows_ND.device)
        for rows, weight in self._chunks():
            gram_DD += (rows.float().T @ (rows * weight[:, None])).double()
        return gram_DD

    def _errors(self, rotation_DD: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Rows, weights and E of each chunk."""
        turns = _terms(rotation_DD.float(), self.rows_ND.dtype)
        for rows, weight in self._chunks():
            rotated = sum((_product(rows, turn) for turn in turns[1:]), _product(rows, turns[0]))
            yield rows, weight, self.quantize(rotated) - rotated

    def _chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(self.rows_ND.split(_CHUNK_ROWS), self.weight_N.split(_CHUNK_ROWS), strict=True)


def _fast_dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _terms(matrix: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """A float32 matrix as a sum in another dtype: rounding R alone would move every token by a part of its error."""
    if dtype == torch.float32:
        return [matrix]
    high = matrix.to(dtype)
    return [high, (matrix - high.float()).to(dtype)]


def _product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right in float32, whatever they are."""
    if left.dtype == torch.float32:
        return left @ right
    if left.is_cuda:
        return torch.mm(left, right, out_dtype=torch.float32)
    return left.float() @ right.float()


@dataclass(frozen=True)
class _Metric:
    """Eigenvectors of Xᵀdiag(w)X, and the sums of every two eigenvalues."""

    vectors_DD: Tensor
    sums_DD: Tensor

    @staticmethod
    def of(gram_DD: Tensor) -> _Metric:
        eigenvalues, vectors = torch.linalg.eigh(gram_DD)
        eigenvalues = eigenvalues.clamp(min=0)
        # A direction no token has (fewer tokens than dimensions) must not be turned by a division by almost nothing.
        least = float(eigenvalues[-1]) * 1e-7 + 1e-30
        return _Metric(vectors, (eigenvalues[:, None] + eigenvalues[None, :]).clamp(min=least))

    def tangent(self, gradient_DD: Tensor, rotation_DD: Tensor) -> Tensor:
        """The skew-symmetric direction of the polar factor, float64."""
        turned = self.vectors_DD.T @ gradient_DD @ (rotation_DD.T @ self.vectors_DD)
        omega = self.vectors_DD @ ((turned - turned.T) / self.sums_DD) @ self.vectors_DD.T
        return (omega - omega.T) / 2


def _capped(omega_DD: Tensor) -> Tensor:
    return omega_DD * (_LARGEST_TURN / max(_LARGEST_TURN, _spectral_norm(omega_DD)))


def _spectral_norm(matrix: Tensor) -> float:
    """Largest singular value by power iteration, a few percent accurate."""
    vector = torch.ones(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    vector[::2] = -0.5
    norm = 0.0
    for _ in range(12):
        image = matrix.T @ (matrix @ vector)
        norm = float(image.norm()) / max(float(vector.norm()), 1e-30)
        if norm == 0.0:
            return 0.0
        vector = image / image.norm()
    return norm**0.5
