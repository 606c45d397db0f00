"""The KV cache in 2 to 8 bits and R3, in whole models that transformers runs: prefill, decode, windows, padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AutoModelForCausalLM, DynamicCache, StaticCache

from dfrot_engine.architectures import architecture_of
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.forward.attention import ATTENTION, KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.stream import run_block
from dfrot_engine.outer import final_norm_parts, finish_logits
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.recipe import KVCacheScheme
from dfrot_engine.rotations.random import HadamardRotation, random_hadamard
from tests.tiny_models import save_tiny_model

#: name → (tiny model, what differs); windows are shorter than the sequence
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama-mqa": ("llama-mqa", {"head_dim": 20}),
    "qwen3": ("qwen3", {"head_dim": 32}),
    "mistral": ("mistral", {"head_dim": 80}),
    "phi3": ("phi3", {"head_dim": 32}),
    "gemma2": ("gemma2", {}),
    "qwen2-mixed": ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
}
LENGTH = 20
TOKENS = torch.randint(0, 257, (2, LENGTH), generator=torch.Generator().manual_seed(2))
#: how many tokens each forward pass is given; they sum to LENGTH
SPLITS = {"decode": (1,) * LENGTH, "prefill and decode": (7,) + (1,) * 13, "chunks": (9, 5, 3, 1, 1, 1)}
CACHES = {
    "dynamic": lambda config: DynamicCache(config=config),
    "static": lambda config: StaticCache(config=config, max_cache_len=LENGTH + 6),
}
CASES = [(fmt, symmetric) for fmt in ("int2", "int4", "int8") for symmetric in (True, False)]


@pytest.fixture(scope="module", params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, changes = MODELS[request.param]
    return save_tiny_model(name, tmp_path_factory.mktemp("model") / request.param, **changes)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("model") / "tiny")


def load(folder: Path, dtype: torch.dtype = torch.float64, attention: str = ATTENTION) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention).eval()


def head_size(model: Any) -> int:
    return model.model.layers[0].self_attn.head_dim


def searched_quantizer(model: Any, key: float, value: float, **scheme: Any) -> KVQuantizer:
    """Keys and values with a ratio each, as a search finds them."""
    kv_cache = KVCacheScheme.model_validate(scheme | {"clip_ratio": "search"})
    quantize_key, quantize_value = (activation_quantizer(kv_cache, searched=ratio) for ratio in (key, value))
    return KVQuantizer(random_hadamard(head_size(model), 1), quantize_key, quantize_value)


def quantizer(model: Any, *, r3: bool = True, **scheme: Any) -> KVQuantizer:
    rotation = random_hadamard(head_size(model), 1) if r3 else None
    quantize = activation_quantizer(KVCacheScheme(**scheme))
    return KVQuantizer(rotation, quantize, quantize)


@torch.no_grad()
def whole(model: Any, **keywords: Any) -> Tensor:
    return model(TOKENS, use_cache=False, **keywords).logits


@torch.no_grad()
def in_parts(model: Any, cache: Any, sizes: tuple[int, ...], kv_quantizer: KVQuantizer) -> Tensor:
    parts = TOKENS.split(sizes, dim=1)
    return torch.cat([model(part, past_key_values=cache, kv_quantizer=kv_quantizer).logits for part in parts], dim=1)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_r3_alone_keeps_the_logits(folder: Path, dtype: torch.dtype, limit: float) -> None:
    model = load(folder, dtype)
    expected = whole(model)
    rotated = whole(model, kv_quantizer=KVQuantizer(random_hadamard(head_size(model), 1)))
    assert (rotated - expected).norm() <= limit * expected.norm()


def test_without_the_keyword_it_is_transformers_attention(folder: Path) -> None:
    model = load(folder, torch.float32)
    if getattr(model.config, "attn_logit_softcapping", None) is None:
        assert torch.equal(whole(model), whole(load(folder, torch.float32, "sdpa")))
    else:  # sdpa refuses it
        assert (whole(model) - whole(load(folder, torch.float32, "eager"))).abs().max() < 1e-5


@pytest.mark.parametrize("size", [12, 20, 64, 80, 92, 96, 128])
def test_r3_of_any_head_size_keeps_the_logits(size: int, tmp_path: Path) -> None:
    """12, 20, 80 and 96 take Paley matrices; no formula gives 92, so blocks of four stand on the diagonal."""
    model = load(save_tiny_model("qwen3", tmp_path / "tiny", head_dim=size))
    r3 = random_hadamard(size, 1)
    matrix = r3.matrix()
    assert torch.allclose(matrix @ matrix.T, torch.eye(size, dtype=torch.float64), atol=1e-12)
    assert (whole(model, kv_quantizer=KVQuantizer(r3)) - whole(model)).abs().max() < 1e-10
    scheme = {"format": "int4", "clip_ratio": 1.0}
    assert not torch.allclose(
        whole(model, kv_quantizer=quantizer(model, **scheme)),
        whole(model, kv_quantizer=quantizer(model, r3=False, **scheme)),
    )


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", CACHES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_cache_gives_what_the_whole_sequence_gives(folder: Path, kind: str, split: str, symmetric: bool) -> None:
    """Clipped: unclipped, the largest value of a symmetric grid lies between two codes, and a last bit decides."""
    model = load(folder)
    kv_quantizer = quantizer(model, format="int4", symmetric=symmetric, clip_ratio=0.95)
    expected = whole(model, kv_quantizer=kv_quantizer)
    actual = in_parts(model, CACHES[kind](model.config), SPLITS[split], kv_quantizer)
    assert (expected - whole(model)).norm() > 0.01 * expected.norm()
    assert (actual - expected).abs().max() < 1e-10


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", CACHES)
def test_a_cache_with_a_ratio_for_keys_and_one_for_values(folder: Path, kind: str, split: str) -> None:
    model = load(folder)
    kv_quantizer = searched_quantizer(model, 0.85, 0.7, format="int4", symmetric=True)
    expected = whole(model, kv_quantizer=kv_quantizer)
    actual = in_parts(model, CACHES[kind](model.config), SPLITS[split], kv_quantizer)
    assert (actual - expected).abs().max() < 1e-10
    for key, value in ((0.7, 0.85), (0.85, 0.85), (0.7, 0.7)):
        other = searched_quantizer(model, key, value, format="int4", symmetric=True)
        assert (whole(model, kv_quantizer=other) - expected).norm() > 1e-3 * expected.norm()


@pytest.mark.parametrize("kind", CACHES)
def test_a_cache_in_float32(folder: Path, kind: str) -> None:
    """Far below what rounding does; a code on the edge may still fall to either side."""
    model = load(folder, torch.float32)
    kv_quantizer = quantizer(model, format="int4")
    expected = whole(model, kv_quantizer=kv_quantizer)
    actual = in_parts(model, CACHES[kind](model.config), SPLITS["prefill and decode"], kv_quantizer)
    assert (actual - expected).norm() < 0.05 * (expected - whole(model)).norm()


def rounded_by_hand(values: Tensor, bits: int, *, symmetric: bool, clip_ratio: float) -> Tensor:
    """Every token of every head on a grid of its own, one number after the other."""
    rows = [_round_row(row, bits, symmetric, clip_ratio) for row in values.double().flatten(0, -2).tolist()]
    return torch.tensor(rows, dtype=torch.float64).view(values.shape)


def _round_row(row: list[float], bits: int, symmetric: bool, clip_ratio: float) -> list[float]:
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if symmetric:
        scale, zero_point = clip_ratio * max(map(abs, row)) / ((2**bits - 1) / 2), 0
    else:
        low, high = clip_ratio * min(0.0, *row), clip_ratio * max(0.0, *row)
        scale = (high - low) / (2**bits - 1)
        zero_point = round(lowest - low / scale)
    codes = [min(max(round(value / scale + zero_point), lowest), highest) for value in row]
    return [(code - zero_point) * scale for code in codes]


class _Heads(nn.Module):
    """What attention asks of the module it belongs to."""

    num_key_value_groups = 2
    is_causal = True


def attend(query: Tensor, key: Tensor, value: Tensor, kv_quantizer: KVQuantizer) -> Tensor:
    function = AttentionInterface()[ATTENTION]
    return function(_Heads(), query, key, value, None, scaling=query.shape[-1] ** -0.5, kv_quantizer=kv_quantizer)[0]


def attend_by_hand(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    key, value = (part.repeat_interleave(2, dim=1) for part in (key, value))
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    later = torch.ones(scores.shape[-2:]).triu(1).bool()
    return (scores.masked_fill(later, float("-inf")).softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize("num_queries", [1, 4, 9, 700])
@pytest.mark.parametrize("mask", [None, "window"])
def test_capped_scores_by_hand(num_queries: int, mask: str | None) -> None:
    """More queries than are taken at once, windows, and the newest token alone."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, n, num_queries, 8, generator=generator, dtype=torch.float64) * 3 for n in (4, 2, 2)
    )
    seen = torch.ones(num_queries, num_queries).tril().bool()
    if mask == "window":
        seen &= ~torch.ones(num_queries, num_queries).tril(-3).bool()
    function = AttentionInterface()[ATTENTION]
    given = None if mask is None else seen[None, None]
    actual = function(_Heads(), query, key, value, given, scaling=0.2, softcap=2.0)[0]
    key, value = (part.repeat_interleave(2, dim=1) for part in (key, value))
    scores = 2 * (query @ key.transpose(-1, -2) * 0.2 / 2).tanh()
    expected = (scores.masked_fill(~seen, float("-inf")).softmax(-1) @ value).transpose(1, 2)
    assert (actual - expected).abs().max() < 1e-12


def heads(seed: int = 0, size: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    """Query of four heads, key and value of two, each head at a level of its own; keys with one large channel."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(2, n, 9, size, generator=generator, dtype=torch.float64) for n in (4, 2, 2))
    level = torch.tensor([1.0, 30.0], dtype=torch.float64)[:, None, None]
    key[..., 3] += 4
    return query, key / level, value * level


@pytest.mark.parametrize(("fmt", "symmetric"), CASES)
@pytest.mark.parametrize("r3", [None, random_hadamard(24, 5)])
def test_rounding_is_per_token_and_head(fmt: str, symmetric: bool, r3: HadamardRotation | None) -> None:
    query, key, value = heads()
    scheme = KVCacheScheme.model_validate({"format": fmt, "symmetric": symmetric, "clip_ratio": 0.9})
    quantize = activation_quantizer(scheme)
    actual = attend(query, key, value, KVQuantizer(r3, quantize, quantize))
    if r3 is not None:
        query, key = query @ r3.matrix(), key @ r3.matrix()
    by_hand = {"bits": FORMATS[fmt].bits, "symmetric": symmetric, "clip_ratio": 0.9}
    expected = attend_by_hand(query, rounded_by_hand(key, **by_hand), rounded_by_hand(value, **by_hand))
    assert torch.allclose(actual, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_error_falls_with_every_bit(folder: Path, symmetric: bool) -> None:
    """Unclipped, since with many bits clipping is all that is left."""
    model = load(folder)
    exact = whole(model)
    errors = [
        float((whole(model, kv_quantizer=quantizer(model, **scheme)) - exact).norm() / exact.norm())
        for scheme in ({"format": f"int{bits}", "symmetric": symmetric, "clip_ratio": 1.0} for bits in range(2, 9))
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02


@pytest.mark.parametrize("kind", CACHES)
@torch.no_grad()
def test_padding_on_the_left_does_not_leak(folder: Path, kind: str) -> None:
    """The padded sequence gives what it gives alone, prefill and decode, whatever stands in its padding."""
    model, padding, prompt = load(folder), 5, 12
    kv_quantizer = quantizer(model, format="int4")
    alone = model(TOKENS[:1, padding:], use_cache=False, kv_quantizer=kv_quantizer).logits
    mask = torch.ones_like(TOKENS)
    mask[0, :padding] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    for filler in (0, 255):
        tokens = TOKENS.masked_fill(mask == 0, filler)
        cache, outputs = CACHES[kind](model.config), []
        for first, last in [(0, prompt), *((step, step + 1) for step in range(prompt, LENGTH))]:
            outputs.append(
                model(
                    tokens[:, first:last],
                    attention_mask=mask[:, :last],
                    position_ids=positions[:, first:last],
                    past_key_values=cache,
                    kv_quantizer=kv_quantizer,
                ).logits
            )
        assert (torch.cat(outputs, dim=1)[:1, padding:] - alone).abs().max() < 1e-10


def test_streamed_blocks_are_the_whole_model(folder: Path) -> None:
    """Block by block from disk, windows included, as the stages run it."""
    model = load(folder, torch.float64)
    kv_quantizer = quantizer(model, format="int4")
    expected = whole(model, kv_quantizer=kv_quantizer)
    factory = BlockFactory(folder, torch.device("cpu"), torch.float64)
    with CheckpointReader(folder) as reader, torch.no_grad():
        hidden = model.model.embed_tokens(TOKENS)
        for index in range(2):
            block = factory.fill(index, reader.block(f"model.layers.{index}."))
            hidden = run_block(factory, block, index, hidden, kv_quantizer)
        sizes = architecture_of(model.config.to_dict())
        norm = factory.fill_final_norm(final_norm_parts(sizes, reader))
        logits = finish_logits(norm(hidden) @ model.lm_head.weight.T, sizes)
    assert (logits - expected).abs().max() < 1e-10


def test_both_cached_tensors_of_every_block_are_rounded(llama: Path) -> None:
    shapes: list[torch.Size] = []

    def quantize(values: Tensor) -> Tensor:
        shapes.append(values.shape)
        return values

    whole(load(llama), kv_quantizer=KVQuantizer(None, quantize, quantize))
    assert shapes == [torch.Size([2, 2, LENGTH, 16])] * 4
