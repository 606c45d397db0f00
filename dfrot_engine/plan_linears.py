"""Every linear, the head included, with the schemes the recipe gives it, and the recipe fields they come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from dfrot_engine.architectures.base import Architecture, Space
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import ActivationScheme, Recipe, WeightScheme


@dataclass(frozen=True)
class PlannedLinear:
    """One linear of one block, or the head.

    Args:
        name: full name; short_name is relative to the block, of experts one pattern for all; the head's are the same.
        shape: (out features, in features).
        reads: the space its input lies in.
        weights_field, activations_field: where the scheme stands in the recipe, for example "overrides.0.weights".
    """

    name: str
    short_name: str
    shape: tuple[int, int]
    reads: Space
    weights: WeightScheme | None
    activations: ActivationScheme | None
    weights_field: str
    activations_field: str
    expert: int | None = None

    @property
    def is_head(self) -> bool:
        return self.name == self.short_name

    @property
    def pattern(self) -> str:
        """Its full name; of experts one pattern for all of the block."""
        return self.name if self.expert is None else self.name.replace(f".experts.{self.expert}.", ".experts.*.")


class _Origin(NamedTuple):
    weights: str
    activations: str


def planned_linears(recipe: Recipe, architecture: Architecture) -> tuple[PlannedLinear, ...]:
    """All linears inside the blocks, in order, then the head."""
    shape = (architecture.vocab_size, architecture.hidden_size)
    head = _planned(recipe, architecture.head, architecture.head, shape, Space.RESIDUAL)
    return (*planned_block_linears(recipe, architecture), head)


def planned_block_linears(recipe: Recipe, architecture: Architecture) -> tuple[PlannedLinear, ...]:
    """All linears inside the blocks, in order."""
    shapes = {
        linear.name: architecture.linear_shape(linear)
        for block, _ in architecture.blocks_of_kind
        for linear in block.linears
    }
    return tuple(
        _planned(
            recipe,
            architecture.block_prefix(index) + linear.name,
            linear.kind,
            shapes[linear.name],
            linear.reads,
            linear.expert,
        )
        for index in range(architecture.num_blocks)
        for linear in architecture.block_at(index).linears
    )


def problems_by_field(found: Iterable[tuple[str, str, str]]) -> list[Problem]:
    """(field, message, remedy) of many linears → one error for each field, the first that was found."""
    first: dict[str, Problem] = {}
    for field, message, remedy in found:
        first.setdefault(field, Problem.error(field, message, remedy))
    return list(first.values())


def _planned(
    recipe: Recipe, name: str, short_name: str, shape: tuple[int, int], reads: Space, expert: int | None = None
) -> PlannedLinear:
    return PlannedLinear(name, short_name, shape, reads, *recipe.schemes(name), *_origin(recipe, name), expert)


def _origin(recipe: Recipe, name: str) -> _Origin:
    weights, activations = "weights", "activations"
    for number, override in enumerate(recipe.overrides):
        if fnmatchcase(name, override.linears):
            weights = f"overrides.{number}.weights" if override.weights else weights
            activations = f"overrides.{number}.activations" if override.activations else activations
    return _Origin(weights, activations)
