"""Whether a reloaded checkpoint computes what the engine computed when it was made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.evaluation.models import LogitsOf, original_logits, quantized_logits
from dfrot_engine.exporters.compressed_tensors import carried
from dfrot_engine.forward.fake_quant import QuantizedLinear, replace_linear
from dfrot_engine.forward.low_rank import AdaptedLinear
from dfrot_engine.forward.quantized_block import block_schemes
from dfrot_engine.forward.room import Room
from dfrot_engine.job import Job
from dfrot_engine.proof.types import ProofRow
from dfrot_engine.recipe import Export, KVCacheScheme, Recipe
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir


class Limits(NamedTuple):
    """How far a reloaded model may be from its reference: relative in perplexity, and nats of KL per token."""

    perplexity: float
    kl: float


@dataclass(frozen=True)
class _Precision:
    """Limits where the checkpoint is loaded in float32, as the engine computes, and where it is loaded in 16 bits."""

    float32: Limits
    half: Limits


# Weights are the same bit for bit. An activation near the middle between two codes may fall on the other side when sums
# are added in another order, and does so often in 16 bits: the more so the fewer codes there are.
_WEIGHTS_ALONE = _Precision(Limits(0.002, 0.001), Limits(0.02, 0.01))
_EIGHT_BITS = _Precision(Limits(0.005, 0.005), Limits(0.03, 0.03))
_FOUR_BITS = _Precision(Limits(0.03, 0.05), Limits(0.10, 0.15))
_MANY_CODES = {"int8", "fp8"}
# With few codes one flipped code moves everything behind it, and the model with it: noise of this size, relative, in
# front of the first block shows by how much. The last bit of float32 is worth as much.
_NOISE = 1e-7
_NOISE_KL, _NOISE_ERRORS = 1.5, 4  # how much farther a reloaded model may be; standard errors of log-perplexity
#: Export → limits where the reference is the original, whose weights these files round.
ROUNDED_ANEW = {
    "rotated-bf16": Limits(0.03, 0.03),
    "gguf-f16": Limits(0.01, 0.01),
    "gguf-q8_0": Limits(0.05, 0.05),
}


def reference_logits(
    job: Job,
    work: WorkDir,
    kind: str,
    tokens_BT: Tensor,
    room: Room,
    *,
    adapter: bool = True,
    noisy: bool = False,
    rounds: bool = True,
) -> LogitsOf:
    """What a checkpoint of this kind should compute: the engine's forward with what the files carry, in float32.

    Args:
        adapter: whether low-rank factors count, which lie beside a compressed-tensors checkpoint.
        noisy: with the last bits of the embeddings changed.
        rounds: activations, keys and values as the recipe says.
    """
    if kind in ROUNDED_ANEW:
        return original_logits(job, tokens_BT, lambda _index: None, room)
    job = replace(job, recipe=_as_carried(job.recipe, kind, rounds=rounds))
    change = _with_carried(job, adapter=adapter and kind == "compressed-tensors", noisy=noisy)
    return quantized_logits(job, work, RotationSet.load(work.rotations), tokens_BT, room, change=change)


def prove_reload(
    export: Export,
    recipe: Recipe,
    reference: LogitsOf,
    logits: LogitsOf,
    tokens: Tensor,
    *,
    is_float32: bool,
    noisy: LogitsOf | None = None,
    rounds: bool = True,
) -> tuple[list[ProofRow], float]:
    """Perplexity and KL divergence of a reloaded checkpoint against its reference, and its perplexity itself.

    Args:
        tokens: [B, T] windows of the text.
        is_float32: whether the checkpoint was loaded so.
        noisy: the reference with noise; the limits are at least as wide as what that does.
        rounds: whether both round activations; the weights alone are compared more sharply.
    """
    kind, label = export.kind, recipe.label(export)
    before, after = Metrics(), Metrics()
    for window, tokens_T in enumerate(tokens):
        expected, found = reference(window), logits(window)
        if not bool(torch.isfinite(found).all()):
            return [_not_finite(label)], math.nan
        before.add(expected, tokens_T)
        after.add(found, tokens_T, expected)
    limits = limits_of(kind, recipe if rounds else _weights_alone(recipe), is_float32=is_float32)
    if noisy is not None:
        moved = _moved_by(noisy, reference, tokens)
        limits = Limits(max(limits.perplexity, moved.perplexity), max(limits.kl, moved.kl))
    what = "the original" if kind in ROUNDED_ANEW else "the engine's own forward of the same codes"
    relative = abs(after.perplexity / before.perplexity - 1)
    on = f"on {after.tokens:,} tokens, against {what}"
    if noisy is not None:
        on += ", which the last bit of its embeddings moves almost as far as the limit"
    rows = (
        ("Perplexity", relative, limits.perplexity, f"perplexity {after.perplexity:.3f} and {before.perplexity:.3f}"),
        ("KL divergence", after.kl_divergence, limits.kl, f"same top token {after.top1_agreement:.1%}"),
    )
    proved = [
        ProofRow(
            check="reload",
            output=label,
            what=f"{name} of the reloaded folder{'' if rounds else ', activations left as they are,'} {on}",
            figure=figure,
            limit=limit,
            passed=figure <= limit,
            note=note if figure <= limit else f"loaded by transformers, it computes something else than {what}: {note}",
        )
        for name, figure, limit, note in rows
    ]
    return proved, after.perplexity


def limits_of(kind: str, recipe: Recipe, *, is_float32: bool) -> Limits:
    """By what the reference rounds; see the constants above."""
    if kind in ROUNDED_ANEW:
        return ROUNDED_ANEW[kind]
    rounds = kind != "gguf" and bool(_activation_formats(recipe) or _carried_kv_cache(recipe, kind))
    limits = _FOUR_BITS if has_few_codes(kind, recipe) else _EIGHT_BITS if rounds else _WEIGHTS_ALONE
    return limits.float32 if is_float32 else limits.half


def has_few_codes(kind: str, recipe: Recipe) -> bool:
    """Whether activations have so few codes that the last bits of a sum decide over what the model says."""
    return kind == "compressed-tensors" and not _activation_formats(recipe) <= _MANY_CODES


def rounds_activations(kind: str, recipe: Recipe) -> bool:
    """Whether what loads these files rounds activations as the recipe says."""
    return kind == "compressed-tensors" and bool(_activation_formats(recipe))


def _activation_formats(recipe: Recipe) -> set[str]:
    schemes = (recipe.activations, *(one.activations for one in recipe.overrides))
    return {scheme.format for scheme in schemes if scheme is not None}


def _moved_by(noisy: LogitsOf, reference: LogitsOf, tokens: Tensor) -> Limits:
    """How far noise moves the reference, and a little farther."""
    metrics, differences = Metrics(), list[Tensor]()
    for window, tokens_T in enumerate(tokens):
        expected, found = reference(window), noisy(window)
        metrics.add(found, tokens_T, expected)
        differences.append(_nll(found, tokens_T) - _nll(expected, tokens_T))
    difference_N = torch.cat(differences)
    error = float(difference_N.std()) / len(difference_N) ** 0.5
    return Limits(math.expm1(min(_NOISE_ERRORS * error, 1.0)), _NOISE_KL * metrics.kl_divergence)


def _nll(logits_TV: Tensor, tokens_T: Tensor) -> Tensor:
    """Of each predicted token."""
    return torch.nn.functional.cross_entropy(
        logits_TV[:-1].float(), tokens_T[1:].to(logits_TV.device), reduction="none"
    )


def _as_carried(recipe: Recipe, kind: str, *, rounds: bool) -> Recipe:
    """Only compressed-tensors carries a KV cache's format, a static one's; a GGUF file carries no activations'."""
    if kind == "gguf" or not rounds:
        return _weights_alone(recipe)
    return recipe.model_copy(update={"kv_cache": _carried_kv_cache(recipe, kind)})


def _weights_alone(recipe: Recipe) -> Recipe:
    overrides = tuple(one.model_copy(update={"activations": None}) for one in recipe.overrides)
    return recipe.model_copy(update={"activations": None, "overrides": overrides, "kv_cache": None})


def _carried_kv_cache(recipe: Recipe, kind: str) -> KVCacheScheme | None:
    is_carried = recipe.kv_cache is not None and recipe.kv_cache.is_static and kind == "compressed-tensors"
    return recipe.kv_cache if is_carried else None


def computes_in_float32(recipe: Recipe) -> bool:
    """Whether a checkpoint can be loaded in float32: compressed-tensors unpacks 4-bit floats to bfloat16 alone."""
    schemes = (recipe.weights, *(one.weights for one in recipe.overrides))
    return not any(scheme is not None and scheme.format in ("nvfp4", "mxfp4") for scheme in schemes)


def _not_finite(output: str) -> ProofRow:
    return ProofRow(
        check="reload",
        output=output,
        what="Perplexity of the reloaded folder",
        passed=False,
        note="loaded by transformers, it gives NaN or infinity",
    )


def _with_carried(job: Job, *, adapter: bool, noisy: bool) -> Callable[[int, nn.Module], None]:
    """Linears whose activations a checkpoint leaves at 16 bits read them as they are; low-rank factors may go."""
    generator = torch.Generator().manual_seed(0)

    def shaken(_block: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        noise = _NOISE * torch.randn(args[0].shape, generator=generator).to(args[0])
        return (args[0] * (1 + noise), *args[1:])

    def change(index: int, block: nn.Module) -> None:
        if noisy and index == 0:
            block.register_forward_pre_hook(shaken)
        schemes = block_schemes(job, index)
        for linear in job.architecture.block_at(index).linears:
            module = block.get_submodule(linear.name)
            own = module.linear if isinstance(module, AdaptedLinear) else module
            assert isinstance(own, QuantizedLinear)
            if carried(linear, schemes[linear.name]).activations is None:
                own.quantize_input = None
            if not adapter:
                replace_linear(block, linear.name, own)

    return change
