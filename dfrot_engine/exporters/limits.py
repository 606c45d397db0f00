"""What each export format cannot carry, said before the run. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dfrot_engine.formats import FORMATS
from dfrot_engine.plan_linears import PlannedLinear, problems_by_field
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import NoRotation, Recipe
from dfrot_engine.verdicts.table import facts

#: (field, message, remedy)
Found = tuple[str, str, str]

MEASURE_ONLY = "leave exports empty to only measure it"


def export_problems(recipe: Recipe, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """Problems of every export the recipe asks for."""
    kinds = dict.fromkeys(export.kind for export in recipe.exports)
    return [problem for kind in kinds for problem in LIMITS[kind](recipe, linears)]


def unwritten_exports(recipe: Recipe, linears: Sequence[PlannedLinear]) -> dict[str, str]:
    """Export kind → what keeps it from being written, where something does."""
    found: dict[str, str] = {}
    for kind in {export.kind for export in recipe.exports}:
        for problem in LIMITS[kind](recipe, linears):
            if problem.severity == "error":
                found.setdefault(kind, problem.message)
    return found


def _compressed_tensors(recipe: Recipe, linears: Sequence[PlannedLinear]) -> list[Problem]:
    problems = _rotation_problems(recipe, "A compressed-tensors checkpoint")
    if recipe.kv_cache is not None:
        flag = facts().runtime("vLLM").kv_flags.get(recipe.kv_cache.format)
        serve = f"choose it there, for example `vllm serve {flag}`" if flag else "it stays at 16 bits"
        problems.append(
            Problem.warning(
                "kv_cache",
                "The KV cache's format is measured here, but does not travel in the checkpoint.",
                f"When serving, {serve}.",
            )
        )
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
    return problems + problems_by_field(weights) + problems_by_field(activations)


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


def _rotated_bf16(recipe: Recipe, linears: Sequence[PlannedLinear]) -> list[Problem]:
    return _rotation_problems(recipe, "A rotated bfloat16 checkpoint")


LIMITS: dict[str, Callable[[Recipe, Sequence[PlannedLinear]], list[Problem]]] = {
    "compressed-tensors": _compressed_tensors,
    "rotated-bf16": _rotated_bf16,
}


def _rotation_problems(recipe: Recipe, what: str) -> list[Problem]:
    problems: list[Problem] = []
    if not isinstance(recipe.rotation.r4, NoRotation):
        problems.append(
            Problem.error(
                "rotation.r4.kind",
                f"{what} cannot carry R4: runtimes would not rotate down_proj's inputs.",
                f"Set R4 to none and keep down_proj's activations at 8 bits, or {MEASURE_ONLY}.",
            )
        )
    if recipe.rotation.r3:
        problems.append(
            Problem.warning(
                "rotation.r3",
                f"{what} does not carry R3; it folds into no weight, so leaving it out changes nothing there.",
                "Runtimes that quantize their KV cache rotate it themselves. Switch R3 off unless you measure it here.",
            )
        )
    return problems


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
    is_packed = scheme.format != "int8" or linear.activations is None or linear.expert is not None
    if not scheme.symmetric and is_packed:
        yield (
            f"{field}.symmetric",
            f"transformers cannot load asymmetric weights that are packed ({linear.short_name}).",
            f"Make the weights symmetric, or {MEASURE_ONLY}.",
        )


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
