"""Checks of the formats: groups that divide the columns, and rotations that do a format no good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dfrot_engine.formats import FORMATS
from dfrot_engine.plan_linears import PlannedLinear, problems_by_field
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import REFINED, BlockDescent, BlockHadamard, NoRotation, Recipe

GROUP_SIZES = (32, 64, 96, 128, 192, 256, 384, 512, 1024)


def format_problems(recipe: Recipe, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """What the formats ask of the model and of the rotations."""
    return [*_group_size_problems(linears), *_rotation_problems(recipe, linears)]


def _group_size_problems(linears: Sequence[PlannedLinear]) -> list[Problem]:
    widths: dict[str, dict[str, int]] = {}
    sizes: dict[str, tuple[int, str]] = {}
    for linear in linears:
        for field, size, fixed_by in _groups(linear):
            widths.setdefault(field, {})[linear.short_name] = linear.shape[1]
            sizes[field] = size, fixed_by
    found = []
    for field, width_of in widths.items():
        size, fixed_by = sizes[field]
        bad = {name: width for name, width in width_of.items() if width % size}
        if bad:
            names = ", ".join(f"{name} ({width} columns)" for name, width in bad.items())
            message = f"A group size of {size} does not divide the input width of {names}."
            found.append((field, message, _remedy(fixed_by, width_of)))
    return problems_by_field(found)


def _groups(linear: PlannedLinear) -> Iterator[tuple[str, int, str]]:
    """(field, group size, the format that prescribes it or "") of weights and activations that have groups."""
    weights, activations = linear.weights, linear.activations
    if weights is not None and weights.granularity == "per-group":
        is_fixed = FORMATS[weights.format].group_size is not None
        yield f"{linear.weights_field}.group_size", weights.group_size, weights.format if is_fixed else ""
    if activations is not None:
        size = FORMATS[activations.format].group_size
        if size is not None:
            yield f"{linear.activations_field}.format", size, activations.format


def _remedy(fixed_by: str, width_of: dict[str, int]) -> str:
    if fixed_by:
        return f"{fixed_by} has no other group size; choose another format, or leave these linears alone (skip)."
    fitting = [str(size) for size in GROUP_SIZES if all(width % size == 0 for width in width_of.values())]
    choice = f"Choose {', '.join(fitting)}, or one" if fitting else "Choose one"
    return f"{choice} scale per channel."


def _rotation_problems(recipe: Recipe, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """Rotations that mix all channels under scales of a few.

    Source: "Block Rotation is All You Need for MXFP4 Quantization": outliers that a global rotation spreads raise the
    power-of-two scales of all groups.
    """
    used = {scheme.format for linear in linears for scheme in (linear.weights, linear.activations) if scheme}
    r1, r4 = recipe.rotation.r1, recipe.rotation.r4
    problems: list[Problem] = []
    if "mxfp4" in used and not isinstance(r1, NoRotation):
        message = "With MXFP4, a rotation of all channels usually costs accuracy: its outliers reach every group of 32."
        remedy = "Set R1 to none, and compare; R4 in blocks of 32 stays inside the groups."
        problems.append(Problem.warning("rotation.r1.kind", message, remedy))
    elif "nvfp4" in used and isinstance(r1, REFINED):
        message = "With NVFP4, whose groups of 16 hold outliers by themselves, a rotation changes little."
        remedy = "Compare with R1 set to none or hadamard, which take no time."
        problems.append(Problem.warning("rotation.r1.kind", message, remedy))
    is_inside = isinstance(r4, BlockHadamard) or (isinstance(r4, BlockDescent) and r4.start == "block-hadamard")
    if "mxfp4" in used and not is_inside and not isinstance(r4, NoRotation):
        message = "With MXFP4, an R4 that mixes all channels usually costs accuracy."
        remedy = "Set R4 to none, or to block-hadamard with a block size of 32."
        problems.append(Problem.warning("rotation.r4.kind", message, remedy))
    return problems
