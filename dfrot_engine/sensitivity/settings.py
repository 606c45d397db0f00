"""The recipe a sensitivity pass works with, and which questions are refused before anything is read."""

from __future__ import annotations

from dfrot_engine.errors import RecipeError
from dfrot_engine.plan_estimates import Workload
from dfrot_engine.recipe import LEARNED, Hadamard, Recipe
from dfrot_engine.sensitivity.proposal import MOST_BITS, RAISED, average_bits
from dfrot_engine.sensitivity.types import Ask


def short_recipe(recipe: Recipe, ask: Ask) -> Recipe:
    """Few tokens, round to nearest, nothing written; a random Hadamard where R1 would have to be learned."""
    data = recipe.model_dump(mode="json")
    data["exports"], data["evaluation"], data["solver"] = [], None, {"kind": "rtn"}
    data["calibration"] |= {"num_samples": ask.num_samples, "seq_len": ask.seq_len}
    if isinstance(recipe.rotation.r1, LEARNED):
        data["rotation"]["r1"] = Hadamard(seed=recipe.rotation.r1.seed).model_dump(mode="json")
    return Recipe.parse(data)


def refuse(ask: Ask, work: Workload) -> None:
    """Raises:
    RecipeError: the wanted average or the file for it cannot be had.
    """
    if ask.bits is None:
        if ask.out is not None or ask.check:
            option = "--out" if ask.out is not None else "--check"
            raise RecipeError(f"{option} needs a proposal.", "Add the wanted average of bits, for example --bits 5.")
        return
    if not 0 < ask.bits <= MOST_BITS:
        raise RecipeError(
            f"Weights cannot have {ask.bits:g} bits on average: linears are raised to {MOST_BITS} bits at most.",
            f"Ask for less than {MOST_BITS}.",
        )
    if not any(linear.weights is not None and linear.weights.format in RAISED for linear in work.linears):
        names = " or ".join(RAISED)
        raise RecipeError(
            f"No linear of this recipe has {names} weights, so there is none to give more bits.",
            f"Choose {names} weights, or leave --bits away.",
            "weights.format",
        )
    own = average_bits(work.linears)
    if ask.bits < own:
        raise RecipeError(
            f"{ask.bits:g} bits are below the recipe's own average of {own:.3g}; a proposal only adds bits.",
            f"Ask for more than {own:.3g}, or choose a smaller format.",
        )
    if ask.out is not None and (ask.out.exists() or not ask.out.parent.is_dir()):
        what = "exists already" if ask.out.exists() else "lies in a folder that does not exist"
        raise RecipeError(f"{ask.out} {what}.", "Choose another file for the recipe.")
