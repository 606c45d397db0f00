"""A recipe as far as an architecture can follow it. Imports no torch."""

from __future__ import annotations

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.recipe import Recipe


def fitted_recipe(recipe: Recipe, architecture: Architecture) -> Recipe:
    """Without what only gains something where it can be had, so that a preset fits every model; the plan warns of it.

    Everything else that an architecture cannot follow is an error of the plan.
    """
    if architecture.scales_mlp:
        return recipe
    return recipe.with_field("rotation.mlp_scaling.kind", "none")
