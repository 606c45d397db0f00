"""Runs of a tiny model with and without recovery, each made once for all tests of a file that only read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from dfrot_engine import Recipe
from dfrot_engine.events import Event
from tests.engine.runs import finished, tiny_recipe

# Rounded to nearest: in two tiny blocks Qronos leaves nothing for their scales to make better.
BASE: dict[str, Any] = {
    "rotation__r1__kind": "hadamard",
    "rotation__compare": False,
    "calibration__num_samples": 8,
    "solver__kind": "rtn",
}


def recipe_of(model: Path, preset: str = "w4a4", **fields: Any) -> Recipe:
    return tiny_recipe(model, preset, **(BASE | fields))


def report_of(output: Path) -> dict[str, Any]:
    return json.loads((output.with_name(f"{output.name}.dfrot") / "report.json").read_text())


def blocks_of(output: Path) -> list[dict[str, Tensor]]:
    folder = output.with_name(f"{output.name}.dfrot") / "quantize"
    return [load_file(folder / f"0000{index}.safetensors") for index in (0, 1)]


class Runs:
    """Finished runs by recipe; nobody may change their folders."""

    def __init__(self, model: Path, root: Path) -> None:
        self.model, self._root = model, root
        self._done: dict[str, tuple[Path, list[Event]]] = {}

    def __call__(self, preset: str = "w4a4", **fields: Any) -> Path:
        """Where the run of a recipe has written."""
        return self.with_events(preset, **fields)[0]

    def with_events(self, preset: str = "w4a4", **fields: Any) -> tuple[Path, list[Event]]:
        recipe = recipe_of(self.model, preset, **fields)
        key = recipe.to_toml()
        if key not in self._done:
            output = self._root / str(len(self._done))
            self._done[key] = output, finished(recipe, output)
        return self._done[key]
