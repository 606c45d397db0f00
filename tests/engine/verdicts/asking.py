"""Verdicts on linears made up by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dfrot_engine.architectures.base import Space
from dfrot_engine.plan_linears import PlannedLinear
from dfrot_engine.plan_types import Output
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme, Recipe, WeightScheme
from dfrot_engine.verdicts.judge import verdicts
from dfrot_engine.verdicts.types import Verdict

FOLDER = "/models/my model"
Scheme = dict[str, Any] | None

G32, G64, G96, G128 = ({"format": "int4", "group_size": size} for size in (32, 64, 96, 128))
CHANNEL4 = {"format": "int4", "granularity": "per-channel"}
CHANNEL8 = {"format": "int8", "granularity": "per-channel"}
A4, A8, FP8, NVFP4, MXFP4 = ({"format": name} for name in ("int4", "int8", "fp8", "nvfp4", "mxfp4"))
ASYMMETRIC = {"symmetric": False}


def linear(
    weights: Scheme, activations: Scheme = None, name: str = "mlp.up_proj", columns: int = 1_152
) -> PlannedLinear:
    """A linear of block 0, of expert 0 where the name says so, or the head."""
    full_name = name if name == "lm_head" else f"model.layers.0.{name}"
    return PlannedLinear(
        name=full_name,
        short_name=name,
        shape=(64, columns),
        reads=Space.RESIDUAL,
        weights=WeightScheme.model_validate(weights) if weights else None,
        activations=ActivationScheme.model_validate(activations) if activations else None,
        weights_field="weights",
        activations_field="activations",
        expert=0 if ".experts." in name else None,
    )


def ask(
    *linears: PlannedLinear,
    export: str = "compressed-tensors",
    kv_cache: Scheme = None,
    r4: Scheme = None,
    here: Sequence[int] = (),
) -> tuple[Verdict, ...]:
    recipe = Recipe(kv_cache=KVCacheScheme.model_validate(kv_cache) if kv_cache else None)
    recipe = recipe.with_field("rotation.r4", r4) if r4 else recipe
    return verdicts(recipe, linears, [Output(exporter=export, folder=FOLDER, bytes=0)], unwritten={}, here=here)


def row(found: Sequence[Verdict], runtime: str, capability: int = 0) -> Verdict:
    """The one row of a runtime; on CUDA the one that covers a compute capability."""
    rows = [one for one in found if one.runtime == runtime and (not capability or covers(one, capability))]
    assert len(rows) == 1, rows
    return rows[0]


def covers(one: Verdict, capability: int) -> bool:
    ends = [int(digits) for digits in re.findall(r"sm(\d+)", one.generation)]
    return bool(ends) and ends[0] <= capability <= ends[-1]
