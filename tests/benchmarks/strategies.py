"""The rotations that are compared, each as changes to one recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dfrot_engine.recipe import Recipe

GRIDS: dict[str, dict[str, Any]] = {
    "symmetric": {"format": "int4", "symmetric": True},
    "asymmetric": {"format": "int4", "symmetric": False},
    "symmetric-searched": {"format": "int4", "symmetric": True, "clip_ratio": "search"},
    "asymmetric-searched": {"format": "int4", "symmetric": False, "clip_ratio": "search"},
}
_R2 = {"kind": "descent"}
_R4 = {"kind": "block-descent"}
_STEPPED = ("descent", "whip")


@dataclass(frozen=True)
class Strategy:
    """One row of the table.

    Args:
        r1: kind and fields of R1.
        r2, r4: of the inner rotations; random Hadamard for all unless a row says otherwise.
        is_random: whether a seed changes it.
    """

    name: str
    r1: dict[str, Any]
    r2: dict[str, Any] = field(default_factory=lambda: {"kind": "hadamard"})
    r4: dict[str, Any] = field(default_factory=lambda: {"kind": "hadamard"})
    is_random: bool = True

    def recipe(self, base: Recipe, seed: int, steps: int) -> Recipe:
        """The base with this row's rotations under a seed; `steps` replaces those of a descent unless 0."""
        recipe = base
        for name, section in (("r1", self.r1), ("r2", self.r2), ("r4", self.r4)):
            extra = {} if section["kind"] == "none" else {"seed": seed}
            if name == "r1" and steps and section["kind"] in _STEPPED:
                extra["steps"] = steps
            recipe = recipe.with_field(f"rotation.{name}", extra | section)
        return recipe


def base_recipe(model: str, calibration: str, activations: dict[str, Any]) -> Recipe:
    """Activations rounded everywhere, weights not; nothing exported, nothing else measured."""
    return Recipe.parse(
        {
            "model": {"id_or_path": model},
            "calibration": {"dataset": calibration},
            "rotation": {"compare": False},
            "activations": activations,
            "exports": [],
        }
    )


def rotation_strategies(grid: str) -> tuple[Strategy, ...]:
    """What is compared on a grid; the full descent starts where that grid's best start is."""
    none = {"kind": "none"}
    start = {} if grid.startswith("symmetric") else {"start": "householder"}
    return (
        Strategy("none", none, none, none, is_random=False),
        Strategy("random-orthogonal", {"kind": "random-orthogonal"}),
        Strategy("hadamard", {"kind": "hadamard"}),
        Strategy("householder", {"kind": "householder"}),
        Strategy("whip", {"kind": "whip"}),
        Strategy("dfrot", {"kind": "dfrot"}),
        Strategy("descent", {"kind": "descent", **start}),
        Strategy("descent with R2 and R4", {"kind": "descent", **start}, _R2, _R4),
    )


def _descent(name: str, **fields: Any) -> Strategy:
    return Strategy(name, {"kind": "descent", **fields})


SWEEP = (
    Strategy("hadamard", {"kind": "hadamard"}),
    _descent("defaults"),
    *(_descent(f"γ {gamma}", massive_weight=gamma) for gamma in (1.0, 3.0, 30.0, 100.0, "auto")),
    *(_descent(f"rows {rows}", sample_rows=rows) for rows in (8_192, 131_072)),
    *(_descent(f"steps {steps}", steps=steps) for steps in (100, 200, 1_000)),
    *(_descent(f"batch {rows}", batch_rows=rows) for rows in (1_024, 2_048, 8_192)),
    *(_descent(f"rate {rate}", learning_rate=rate) for rate in (0.005, 0.01, 0.04)),
    *(_descent(f"start {start}", start=start) for start in ("random-orthogonal", "householder", "dfrot")),
)
