"""Whether a reloaded checkpoint computes what the engine computed when it was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

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
from dfrot_engine.recipe import Recipe
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
#: Export → limits where the reference is the original, whose weights these files round.
ROUNDED_ANEW = {
    "rotated-bf16": Limits(0.03, 0.03),
    "gguf-f16": Limits(0.01, 0.01),
    "gguf-q8_0": Limits(0.05, 0.05),
}


def reference_logits(
    job: Job, work: WorkDir, kind: str, tokens_BT: Tensor, room: Room, *, adapter: bool = True
) -> LogitsOf:
    """What a checkpoint of this kind should compute: the engine's forward with what the files carry, in float32.

    Args:
        adapter: whether low-rank factors count, which lie beside a compressed-tensors checkpoint.
    """
    if kind in ROUNDED_ANEW:
        return original_logits(job, tokens_BT, lambda _index: None, room)
    job = replace(job, recipe=_as_carried(job.recipe, kind))
    change = _with_carried(job, adapter=adapter and kind == "compressed-tensors")
    return quantized_logits(job, work, RotationSet.load(work.rotations), tokens_BT, room, change=change)


def prove_reload(
    kind: str, recipe: Recipe, reference: LogitsOf, logits: LogitsOf, tokens: Tensor, *, is_float32: bool
) -> list[ProofRow]:
    """Perplexity and KL divergence of a reloaded checkpoint against its reference.

    Args:
        kind: of the export.
        tokens: [B, T] windows of the text.
        is_float32: whether the checkpoint was loaded so.
    """
    before, after = Metrics(), Metrics()
    for window, tokens_T in enumerate(tokens):
        expected, found = reference(window), logits(window)
        if not bool(torch.isfinite(found).all()):
            return [_not_finite(kind)]
        before.add(expected, tokens_T)
        after.add(found, tokens_T, expected)
    limits = limits_of(kind, recipe, is_float32=is_float32)
    what = "the original" if kind in ROUNDED_ANEW else "the engine's own forward of the same codes"
    relative = abs(after.perplexity / before.perplexity - 1)
    on = f"on {after.tokens:,} tokens, against {what}"
    rows = (
        ("Perplexity", relative, limits.perplexity, f"perplexity {after.perplexity:.3f} and {before.perplexity:.3f}"),
        ("KL divergence", after.kl_divergence, limits.kl, f"same top token {after.top1_agreement:.1%}"),
    )
    return [
        ProofRow(
            check="reload",
            output=kind,
            what=f"{name} of the reloaded folder {on}",
            figure=figure,
            limit=limit,
            passed=figure <= limit,
            note=note if figure <= limit else f"loaded by transformers, it computes something else than {what}: {note}",
        )
        for name, figure, limit, note in rows
    ]


def limits_of(kind: str, recipe: Recipe, *, is_float32: bool) -> Limits:
    """By what the reference rounds; see the constants above."""
    if kind in ROUNDED_ANEW:
        return ROUNDED_ANEW[kind]
    schemes = (recipe.activations, *(one.activations for one in recipe.overrides))
    formats = {scheme.format for scheme in schemes if scheme is not None}
    rounded = _EIGHT_BITS if formats <= _MANY_CODES else _FOUR_BITS
    limits = rounded if formats and kind != "gguf" else _WEIGHTS_ALONE
    return limits.float32 if is_float32 else limits.half


def _as_carried(recipe: Recipe, kind: str) -> Recipe:
    """No checkpoint carries the KV cache's format, and a GGUF file no activations'."""
    changes: dict[str, object] = {"kv_cache": None}
    if kind == "gguf":
        overrides = tuple(one.model_copy(update={"activations": None}) for one in recipe.overrides)
        changes |= {"activations": None, "overrides": overrides}
    return recipe.model_copy(update=changes)


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


def _with_carried(job: Job, *, adapter: bool) -> Callable[[int, nn.Module], None]:
    """Linears whose activations a checkpoint leaves at 16 bits read them as they are; low-rank factors may go."""

    def change(index: int, block: nn.Module) -> None:
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
