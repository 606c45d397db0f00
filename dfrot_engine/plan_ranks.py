"""Whether a run can be shared out over as many processes. Imports no torch."""

from __future__ import annotations

from dfrot_engine.nvidia import gpu_capabilities
from dfrot_engine.options import RunOptions
from dfrot_engine.plan_types import Problem
from dfrot_engine.ranks import place
from dfrot_engine.recipe import Recipe

_FIELD = "options.ranks"


def rank_problems(recipe: Recipe, options: RunOptions) -> list[Problem]:
    """Every process takes at least one calibration sequence, and a GPU of its own where GPUs are used."""
    problems: list[Problem] = []
    processes, num_samples = max(options.ranks, place().world_size), recipe.calibration.num_samples
    if processes > num_samples:
        message = f"{processes} processes share {num_samples} calibration sequences, so that some have none."
        remedy = f"Raise calibration.num_samples to {processes}, or use {num_samples} processes."
        problems.append(Problem.error(_FIELD, message, remedy))
    gpus = len(gpu_capabilities()) if options.device != "cpu" and options.ranks > 1 else 0
    if gpus and options.ranks > gpus:
        message = f"{options.ranks} processes want a GPU each, and this computer has {gpus}."
        problems.append(Problem.error(_FIELD, message, f"Use {gpus}, or choose device 'cpu'."))
    return problems
