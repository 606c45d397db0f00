"""Runs of a tiny model, for tests of the main path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfrot_engine.events import Event, RunEnded
from dfrot_engine.options import RunOptions
from dfrot_engine.progress import Control
from dfrot_engine.recipe import Recipe
from dfrot_engine.run import run

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
