"""What the plan says of experts before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfrot_engine import RunOptions, make_plan
from tests.engine.runs import tiny_recipe
from tests.tiny_models import save_tiny_model

OTHER_BITS = {"linears": "*.experts.1.*", "weights": {"format": "int8", "group_size": 16}}


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"rotation__r4": {"kind": "block-descent", "block_size": 32}}, "rotation.r4.kind", "cannot learn here"),
        ({"overrides": [OTHER_BITS]}, "overrides.0.weights", "one weight format"),
        ({"skip": ["lm_head", "*.experts.1.*"]}, "skip", "either all"),
        ({"skip": ["lm_head", "*.experts.*.down_proj"]}, "skip", "either all"),
        ({"weights__symmetric": False}, "weights.symmetric", "cannot load asymmetric"),
        ({"calibration__num_samples": 4}, "calibration.num_samples", "An expert sees about 64 calibration tokens"),
    ],
)
def test_the_plan_knows_what_experts_allow(fields: dict[str, Any], field: str, words: str, tmp_path: Path) -> None:
    model = save_tiny_model("mixtral", tmp_path / "model", num_experts_per_tok=1)
    options = RunOptions(output_dir=tmp_path / "out", device="cpu")
    usual = {"rotation__r2__kind": "hadamard", "calibration__num_samples": 8, "solver__kind": "gptq"}
    recipe = tiny_recipe(model, "w4a16", **(usual | fields))
    problem = next(one for one in make_plan(recipe, options).problems if one.field == field)
    assert words in problem.message
