from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dfrot_engine.errors import RunError
from dfrot_engine.recipe import ActivationScheme, BlockDescent, HeadDescent, KVCacheScheme
from dfrot_engine.rotations.inner import head_start, refine_channels, refine_heads, spread_channels

HEADS, KV_HEADS, SIZE, CHANNELS, TOKENS = 6, 3, 8, 128, 2_000
INT4 = ActivationScheme()
START = head_start(KV_HEADS, SIZE, 0, 2)
SECTION = HeadDescent(steps=60, batch_rows=256)


def loud(width: int, seed: int) -> Tensor:
    """Tokens with a common offset in channels of very different size, as values and MLP channels have."""
    generator = torch.Generator().manual_seed(seed)
    offset = torch.randn(width, generator=generator) * torch.logspace(1, -1, width)
    noise = torch.randn(TOKENS, width, generator=generator)
    return 0.3 * noise + offset[torch.randperm(width, generator=generator)]


def rows(**changes: Tensor) -> dict[str, Tensor]:
    kept = {
        "value": loud(KV_HEADS * SIZE, 1),
        "attended": loud(HEADS * SIZE, 2),
        "hidden": loud(CHANNELS, 3),
        "energy.value": torch.rand(TOKENS, generator=torch.Generator().manual_seed(4)) + 0.5,
        "energy.hidden": torch.ones(TOKENS),
    }
    return kept | changes


def is_orthogonal(rotation_GSS: Tensor) -> bool:
    eye = torch.eye(rotation_GSS.shape[-1], dtype=torch.float64)
    return float((rotation_GSS.mT @ rotation_GSS - eye).abs().max()) < 1e-10


@pytest.mark.parametrize(("activations", "kv"), [(INT4, None), (None, KVCacheScheme()), (INT4, KVCacheScheme())])
def test_heads_are_refined(activations: ActivationScheme | None, kv: KVCacheScheme | None) -> None:
    refined = refine_heads(SECTION, rows(), START, activations, kv, block=2)
    before, after = refined.loss
    assert after < 0.95 * before
    assert refined.rotation_GSS.shape == START.shape
    assert is_orthogonal(refined.rotation_GSS)


def test_a_head_without_loss_stays() -> None:
    """With the KV cache alone rounded, heads do not share a scale, and a silent head has nothing to gain."""
    value = loud(KV_HEADS * SIZE, 1)
    value[:, :SIZE] = 0
    refined = refine_heads(SECTION, rows(value=value), START, None, KVCacheScheme(), block=0)
    assert torch.allclose(refined.rotation_GSS[0], START[0], atol=1e-6)
    assert not torch.allclose(refined.rotation_GSS[1], START[1], atol=1e-3)


def test_nothing_rounded_changes_nothing() -> None:
    refined = refine_heads(SECTION, rows(), START, None, None, block=0)
    assert refined.rotation_GSS is START


def test_both_losses_are_shares_of_the_energy() -> None:
    """Values a thousand times smaller count as much; by a power of two, so that no bit changes on the way."""
    plain = refine_heads(SECTION, rows(), START, INT4, KVCacheScheme(), block=0)
    small = refine_heads(SECTION, rows(value=rows()["value"] / 1_024), START, INT4, KVCacheScheme(), block=0)
    assert small.loss == pytest.approx(plain.loss, rel=1e-6)


@pytest.mark.parametrize("start", ["hadamard", "block-hadamard"])
def test_channels_are_refined(start: Any) -> None:
    section = BlockDescent(start=start, block_size=32, steps=60, batch_rows=256)
    refined = refine_channels(section, rows(), None, INT4, block=0)
    before, after = refined.loss
    assert after < 0.95 * before
    assert refined.rotation_GSS.shape == (CHANNELS // 32, 32, 32)
    assert is_orthogonal(refined.rotation_GSS)


def test_refining_is_the_same_every_time() -> None:
    first, second = (refine_heads(SECTION, rows(), START, INT4, None, block=0) for _ in range(2))
    assert torch.equal(first.rotation_GSS, second.rotation_GSS)


def test_spread_channels_evens_out_the_blocks() -> None:
    order = spread_channels(rows(), 32)
    assert sorted(order.tolist()) == list(range(CHANNELS))
    energy = rows()["hidden"].square().sum(0)
    spread, plain = (one.unflatten(0, (-1, 32)).sum(1) for one in (energy[order], energy))
    assert float(spread.max() / spread.min()) < 1.5
    assert float(plain.max() / plain.min()) > 1.5


def test_a_spread_order_lowers_the_loss_of_blocks() -> None:
    section = BlockDescent(start="block-hadamard", block_size=32, steps=1, batch_rows=256)
    plain = refine_channels(section, rows(), None, INT4, block=0).loss[0]
    assert refine_channels(section, rows(), spread_channels(rows(), 32), INT4, block=0).loss[0] < plain


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_bad_activations_name_block_and_site(bad: float) -> None:
    hidden, value = loud(CHANNELS, 3), loud(KV_HEADS * SIZE, 1)
    hidden[7, 9] = value[1, 1] = bad
    with pytest.raises(RunError, match=r"Block 5, hidden .* NaN"):
        refine_channels(BlockDescent(block_size=32), rows(hidden=hidden), None, INT4, block=5)
    with pytest.raises(RunError, match=r"Block 4, value .* NaN"):
        refine_heads(SECTION, rows(value=value), START, INT4, KVCacheScheme(), block=4)


@pytest.mark.parametrize("kind", ["zeros", "constant", "one"])
def test_degenerate_rows_survive(kind: str) -> None:
    made = {
        name: torch.zeros_like(tensor) if kind == "zeros" else torch.ones_like(tensor)
        for name, tensor in rows().items()
    }
    if kind == "one":
        made = {name: tensor[:1] for name, tensor in made.items()}
    assert is_orthogonal(refine_heads(SECTION, made, START, INT4, KVCacheScheme(), block=0).rotation_GSS)
    assert is_orthogonal(refine_channels(BlockDescent(block_size=32), made, None, INT4, block=0).rotation_GSS)
