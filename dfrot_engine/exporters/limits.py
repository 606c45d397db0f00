"""What each export format cannot carry, said before the run. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dfrot_engine.architectures import architecture_of
from dfrot_engine.architectures.base import Space
from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.exporters.gguf_limits import code_problems, folded_problems, tokenizer_problems
from dfrot_engine.exporters.gguf_table import GGUF_KINDS
from dfrot_engine.formats import FORMATS
from dfrot_engine.plan_linears import PlannedLinear, problems_by_field
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import BFLOAT16_FORMATS, BlockHadamard, NoRotation, Recipe
from dfrot_engine.verdicts.table import facts

#: (field, message, remedy)
Found = tuple[str, str, str]

_GGUF = "A GGUF file"
MEASURE_ONLY = "leave exports empty to only measure it"
_NO_R4 = f"Set R4 to none and keep down_proj's activations at 8 bits, or {MEASURE_ONLY}."


def export_problems(recipe: Recipe, linears: Sequence[PlannedLinear], model: ModelFacts) -> list[Problem]:
    """Problems of every export the recipe asks for."""
    kinds = dict.fromkeys(export.kind for export in recipe.exports)
    return [problem for kind in kinds for problem in LIMITS[kind](recipe, linears, model)]


def file_problems(recipe: Recipe, folder: Path) -> list[Problem]:
    """Problems that only the model's own files show, for models that were fetched after the plan was made.

    Args:
        folder: the model's on this computer.
    """
    is_gguf = any(export.kind in GGUF_KINDS for export in recipe.exports)
    return tokenizer_problems(recipe, folder) if is_gguf else []


def unwritten_exports(recipe: Recipe, linears: Sequence[PlannedLinear], model: ModelFacts) -> dict[str, str]:
    """Export kind → what keeps it from being written, where something does."""
    found: dict[str, str] = {}
    for kind in {export.kind for export in recipe.exports}:
        for problem in LIMITS[kind](recipe, linears, model):
            if problem.severity == "error":
                found.setdefault(kind, problem.message)
    return found


def _compressed_tensors(recipe: Recipe, linears: Sequence[PlannedLinear], model: ModelFacts) -> list[Problem]:
    what = "A compressed-tensors checkpoint"
    problems = [*_r3_problems(recipe, what), *_carried_r4_problems(recipe, linears, model)]
    problems += _kv_cache_problems(recipe, linears, model)
    if any(linear.is_head and linear.weights is not None for linear in linears):
        problems.append(
            Problem.warning(
                "skip",
                "Not every runtime reads a quantized lm_head: transformers and newer versions of vLLM do, others may "
                "load it and answer nonsense.",
                "Try the checkpoint in your runtime, or add 'lm_head' to skip.",
            )
        )
    if all(linear.weights is None for linear in linears):
        problems.append(
            Problem.error(
                "weights",
                "compressed-tensors stores quantized weights, but this recipe quantizes none.",
                "Choose a weight format, or export rotated-bf16 instead.",
            )
        )
    problems += _expert_problems(linears)
    weights = (found for linear in linears for found in _weight_limits(linear))
    activations = (found for linear in linears for found in _activation_limits(linear))
    found = (*weights, *_zero_point_limits(linears))
    return problems + problems_by_field(found) + problems_by_field(activations)


def _kv_cache_problems(recipe: Recipe, linears: Sequence[PlannedLinear], model: ModelFacts) -> list[Problem]:
    """Scales from calibration travel in the files; those that are computed at run time are the runtime's own."""
    if recipe.kv_cache is None:
        return []
    if not recipe.kv_cache.is_static:
        flag = facts().runtime("vLLM").kv_flags.get(recipe.kv_cache.format)
        serve = f"choose it there, for example `vllm serve {flag}`" if flag else "it stays at 16 bits"
        message = "The KV cache's format is measured here, but does not travel in the checkpoint."
        return [Problem.warning("kv_cache", message, f"When serving, {serve}.")]
    found: list[tuple[str, str]] = []
    if recipe.rotation.r3:
        found.append(("keys are measured behind R3, which the files do not carry", "Switch R3 off"))
    if architecture_of(model.config, model.headers).tower:
        found.append(("beside a vision tower this was not tried", "Set kv_cache.granularity to per-head"))
    if any(linear.weights and not linear.weights.symmetric and _is_packed(linear) for linear in linears):
        why = "transformers leaves keys and values at 16 bits where it unpacks asymmetric weights"
        found.append((why, "Make the weights symmetric"))
    what = "The KV cache's scales cannot be written"
    return [
        Problem.error("kv_cache.granularity", f"{what}: {why}.", f"{remedy}, or {MEASURE_ONLY}.")
        for why, remedy in found
    ]


def _expert_problems(linears: Sequence[PlannedLinear]) -> list[Problem]:
    """What runtimes load of experts: one scheme for all of them, in whole blocks; transformers, weights alone."""
    experts = [linear for linear in linears if linear.expert is not None]
    by_block: dict[str, set[bool]] = {}
    for linear in experts:
        block = linear.pattern.removesuffix(linear.short_name)
        by_block.setdefault(block, set()).add(linear.weights is not None)
    if any(len(kinds) > 1 for kinds in by_block.values()):
        message = "Runtimes load the experts of a block together: either all of their linears are rounded, or none."
        return [Problem.error("skip", message, f"Name all of them, for example *.experts.*, or {MEASURE_ONLY}.")]
    rounded = [linear for linear in experts if linear.weights is not None]
    other = next((linear for linear in rounded if linear.weights != rounded[0].weights), None)
    if other is not None:
        message = f"Runtimes load all experts of a model with one weight format ({other.short_name} has another)."
        remedy = f"Give all experts the same one, or {MEASURE_ONLY}."
        return [Problem.error(other.weights_field, message, remedy)]
    lost = next((one for one in rounded if one.activations), None)
    if lost is None:
        return []
    message = "The experts' activations are rounded here, but transformers leaves them at 16 bits in a checkpoint."
    remedy = f"What is measured on the checkpoint is without their rounding; to measure it, {MEASURE_ONLY}."
    return [Problem.warning(lost.activations_field, message, remedy)]


def _rotated_bf16(recipe: Recipe, _linears: Sequence[PlannedLinear], _model: ModelFacts) -> list[Problem]:
    return _rotation_problems(recipe, "A rotated bfloat16 checkpoint")


def _gguf(recipe: Recipe, linears: Sequence[PlannedLinear], model: ModelFacts) -> list[Problem]:
    return _rotation_problems(recipe, _GGUF) + code_problems(recipe, linears, model)


def _gguf_folded(recipe: Recipe, _linears: Sequence[PlannedLinear], model: ModelFacts) -> list[Problem]:
    return _rotation_problems(recipe, _GGUF) + folded_problems(recipe, model)


LIMITS: dict[str, Callable[[Recipe, Sequence[PlannedLinear], ModelFacts], list[Problem]]] = {
    "compressed-tensors": _compressed_tensors,
    "rotated-bf16": _rotated_bf16,
    "gguf": _gguf,
    "gguf-q8_0": _gguf_folded,
    "gguf-f16": _gguf_folded,
}


def _rotation_problems(recipe: Recipe, what: str) -> list[Problem]:
    problems = _r3_problems(recipe, what)
    if not isinstance(recipe.rotation.r4, NoRotation):
        message = f"{what} cannot carry R4: what loads it would leave R4 out without a word, and answer nonsense."
        problems.append(Problem.error("rotation.r4.kind", message, _NO_R4))
    return problems


def _r3_problems(recipe: Recipe, what: str) -> list[Problem]:
    if not recipe.rotation.r3:
        return []
    message = f"{what} does not carry R3; it folds into no weight, so leaving it out changes nothing there."
    remedy = "Runtimes that quantize their KV cache rotate it themselves. Switch R3 off unless you measure it here."
    return [Problem.warning("rotation.r3", message, remedy)]


def _carried_r4_problems(recipe: Recipe, linears: Sequence[PlannedLinear], model: ModelFacts) -> list[Problem]:
    """An R4 that the files would have to carry, and cannot."""
    r4 = recipe.rotation.r4
    if isinstance(r4, NoRotation):
        return []
    names = architecture_of(model.config, model.headers)
    readers = {linear.pattern for linear in linears if linear.reads is Space.MLP_HIDDEN}
    remedy, message = _NO_R4, ""
    if not isinstance(r4, BlockHadamard):
        message = f"compressed-tensors carries R4 only as Hadamard blocks; runtimes have no fast form of '{r4.kind}'."
        remedy = f"Set R4 to block-hadamard. {_NO_R4}"
    elif names.experts_per_token:
        message = "compressed-tensors cannot carry R4 into experts: runtimes run them packed, where nothing rotates."
    elif names.tower:
        message = "compressed-tensors carries R4 only of models of text; beside a vision tower it was not tried."
    elif any(f"{names.stored_name(name)}.bias" in model.headers for name in readers):
        message = "compressed-tensors cannot carry R4 here: vLLM has none in front of linears with a bias (down_proj)."
    return [Problem.error("rotation.r4.kind", message, remedy)] if message else []


def _weight_limits(linear: PlannedLinear) -> Iterator[Found]:
    scheme, field = linear.weights, linear.weights_field
    if scheme is None:
        return
    if scheme.format not in _stored_formats():
        yield _unwritten(f"{field}.format", f"{scheme.format} weights ({linear.short_name})")
    if scheme.format == "fp8" and (linear.activations is None or linear.activations.format != "fp8"):
        yield (
            f"{field}.format",
            f"This export writes fp8 weights only together with fp8 activations ({linear.short_name}).",
            f"Choose fp8 for the activations too, or {MEASURE_ONLY}.",
        )
    if scheme.format == "fp8" and scheme.granularity != "per-channel":
        yield (
            f"{field}.granularity",
            f"This export writes fp8 weights with one scale per channel only ({linear.short_name}).",
            f"Set it to per-channel, or {MEASURE_ONLY}.",
        )
    if scheme.format in BFLOAT16_FORMATS and linear.expert is not None:
        yield (
            f"{field}.format",
            f"Nobody tried whether runtimes load experts in {scheme.format} from this export ({linear.short_name}).",
            f"Choose int4 for the experts, or {MEASURE_ONLY}.",
        )


def _zero_point_limits(linears: Sequence[PlannedLinear]) -> Iterator[Found]:
    """transformers unpacks zero-points only of a model made dense while loading, which rounds no activations."""
    rounds_inputs = any(linear.weights and linear.activations for linear in linears)
    for linear in linears:
        scheme = linear.weights
        if scheme is None or scheme.symmetric:
            continue
        if linear.expert is not None or (_is_packed(linear) and rounds_inputs):
            where = "of experts" if linear.expert is not None else "beside rounded activations"
            yield (
                f"{linear.weights_field}.symmetric",
                f"transformers cannot load asymmetric weights that are packed {where} ({linear.short_name}).",
                f"Make the weights symmetric, or {MEASURE_ONLY}.",
            )


def _is_packed(linear: PlannedLinear) -> bool:
    """Whether integer codes lie several in a word."""
    assert linear.weights is not None
    return linear.weights.format != "int8" or linear.activations is None


def _activation_limits(linear: PlannedLinear) -> Iterator[Found]:
    scheme, field = linear.activations, linear.activations_field
    if scheme is None:
        return
    if linear.weights is None:
        yield (
            field,
            f"compressed-tensors quantizes activations only where weights are quantized ({linear.short_name}).",
            "Choose a weight format too, or leave the activations alone.",
        )
    if scheme.format not in _stored_formats():
        yield _unwritten(f"{field}.format", f"{scheme.format} activations ({linear.short_name})")
    if scheme.format == "fp8" and linear.weights is not None and linear.weights.format != "fp8":
        yield (
            f"{field}.format",
            f"This export writes fp8 activations only together with fp8 weights ({linear.short_name}).",
            f"Choose fp8 for the weights too, or {MEASURE_ONLY}.",
        )
    weights = linear.weights.format if linear.weights is not None else scheme.format
    if weights != scheme.format and {weights, scheme.format} & set(BFLOAT16_FORMATS):
        yield (
            f"{field}.format",
            f"Runtimes take {scheme.format} activations not together with {weights} weights ({linear.short_name}).",
            f"Choose {weights} for the activations too or leave them alone, or {MEASURE_ONLY}.",
        )
    if not scheme.symmetric and FORMATS[scheme.format].bits < 8:
        yield (
            f"{field}.symmetric",
            f"No runtime but transformers takes asymmetric {scheme.format} activations ({linear.short_name}).",
            f"Make them symmetric or choose int8, or {MEASURE_ONLY}.",
        )
    if scheme.clip_ratio != 1.0:
        lost = "searched clip ratios" if scheme.clip_ratio == "search" else f"a clip ratio of {scheme.clip_ratio:g}"
        yield (
            f"{field}.clip_ratio",
            f"Runtimes compute activation scales themselves, so {lost} would be lost.",
            f"Set it to 1.0, or {MEASURE_ONLY}.",
        )


def _stored_formats() -> tuple[str, ...]:
    return facts().exports["compressed-tensors"].formats


def _unwritten(field: str, what: str) -> Found:
    remedy = f"Choose {' or '.join(_stored_formats())}, or {MEASURE_ONLY}."
    return field, f"This export does not write {what}.", remedy
