"""Scales of the MLP's channels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dfrot_engine.errors import RunError
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.recipe import ActivationScheme
from dfrot_engine.rotations.scaling import Scaled, search_scales

INT8 = ActivationScheme(format="int8")
WIDTH = 96


def same(values: Tensor) -> Tensor:
    return values


def rows(*large: int) -> Tensor:
    made = torch.randn(256, WIDTH, generator=torch.Generator().manual_seed(1))
    made[:, list(large)] *= 50.0
    return made


def search(rows_NI: Tensor, round_rows: Callable[[Tensor], Tensor] = same, weight: Callable[[Tensor], Tensor] = same):
    weight_OI = torch.randn(48, WIDTH, generator=torch.Generator().manual_seed(2))
    counts = torch.ones(len(rows_NI))
    return search_scales(rows_NI, counts, weight_OI, rotate=same, round_rows=round_rows, round_weight=weight)


def test_large_channels_are_divided_by_more() -> None:
    found = search(rows(3, 40), activation_quantizer(INT8))
    others = found.scale_I.clone()
    others[[3, 40]] = 1.0
    assert found.scale_I[[3, 40]].min() > 2 * others.max()
    before, after = found.loss
    assert after < 0.3 * before


def test_what_rounding_makes_worse_is_not_scaled() -> None:
    """With inputs left alone and large ones' weights rounded, scaling them up only costs."""
    found: Scaled = search(rows(3), weight=activation_quantizer(INT8.model_copy(update={"format": "int4"})))
    assert found.loss[1] <= found.loss[0]


def test_nothing_rounded_nothing_scaled() -> None:
    found = search(rows(3))
    assert found.scale_I.equal(torch.ones(WIDTH, dtype=torch.float64))


def test_a_dead_channel_stays_finite() -> None:
    dead = rows(3)
    dead[:, 7] = 0.0
    found = search(dead, activation_quantizer(INT8))
    assert bool(torch.isfinite(found.scale_I).all())
    assert bool((found.scale_I > 0).all())
    assert float(found.scale_I.log().mean()) == pytest.approx(0.0, abs=1e-4)


def test_damaged_rows_are_refused() -> None:
    damaged = rows()
    damaged[0, 0] = torch.nan
    with pytest.raises(RunError, match="down_proj"):
        search(damaged)
