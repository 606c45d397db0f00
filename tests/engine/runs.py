"""Runs of a tiny model, for tests of the main path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfrot_engine.evaluation.models import quantized_logits
from dfrot_engine.events import Event, RunEnded
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.progress import Control
from dfrot_engine.recipe import Recipe
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.run import run
from dfrot_engine.work_dir import WorkDir

#: Two windows that no calibration has seen.
TOKENS = torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(4))

TINY: dict[str, Any] = {
    "proof": "quick",
    "calibration.num_samples": 4,
    "calibration.seq_len": 64,
    "evaluation.seq_len": 64,
    "evaluation.num_windows": 3,
    "rotation.r1.sample_rows": 512,
    "rotation.r1.steps": 5,
}


def tiny_recipe(model: Path, preset: str | None = None, **fields: Any) -> Recipe:
    """A preset cut down to a second, w4a4 with DFRot's rotation if none is named; fields use "__" for dots."""
    recipe = Recipe.preset(preset or "w4a4").with_field("model.id_or_path", str(model))
    if preset is None:
        recipe = recipe.with_field("rotation.r1.kind", "dfrot").with_field("rotation.r2.kind", "hadamard")
    settings = TINY | {name.replace("__", "."): value for name, value in fields.items()}
    if recipe.weights is not None and recipe.weights.granularity == "per-group":
        settings = {"weights.group_size": 16} | settings
    kind = settings.pop("rotation.r1.kind", None)
    if kind is not None:
        recipe = recipe.with_field("rotation.r1.kind", kind)
    for name, value in settings.items():
        if name.startswith("rotation.r1.") and not hasattr(recipe.rotation.r1, name.rsplit(".", 1)[1]):
            continue
        recipe = recipe.with_field(name, value)
    return recipe


def run_tiny(
    recipe: Recipe,
    output: Path,
    on_event: Callable[[Event, Control], None] = lambda _event, _control: None,
    **options: Any,
) -> tuple[RunEnded, list[Event]]:
    """(last event, all events)."""
    events: list[Event] = []
    control = Control()

    def emit(event: Event) -> None:
        events.append(event)
        on_event(event, control)

    ended = run(recipe, RunOptions.model_validate({"output_dir": output, "device": "cpu"} | options), emit, control)
    return ended, events


def finished(recipe: Recipe, output: Path) -> list[Event]:
    """What a run said that ended well; its work folder stays."""
    ended, events = run_tiny(recipe, output, keep_work=True)
    assert ended.status == "finished", ended
    return events


def engine_logits(recipe: Recipe, model: Path, output: Path) -> Tensor:
    """Of TOKENS, by the engine's own forward over the blocks, and the head, that a run has stored."""
    job = Job.prepare(recipe, RunOptions(output_dir=output, device="cpu"), "tiny", model)
    work = WorkDir(output.with_name(f"{output.name}.dfrot"))
    logits = quantized_logits(job, work, RotationSet.load(work.rotations), TOKENS)
    return torch.stack([logits(window) for window in range(len(TOKENS))])
