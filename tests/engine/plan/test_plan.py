"""What a plan says of a sound recipe; that it is quick, never raises and loads no torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dfrot_engine import Plan, Recipe, RecipeError, RunOptions, make_plan, preset_names


def test_nothing_is_wrong_with_the_base(plan: Callable[..., Plan]) -> None:
    made = plan()
    assert made.problems == ()
    assert [stage.stage for stage in made.stages] == [
        "load",
        "calibrate",
        "rotate",
        "quantize",
        "export",
        "prove",
        "evaluate",
    ]
    made.raise_problems()


def test_summary(plan: Callable[..., Plan]) -> None:
    model = plan().model
    assert model is not None
    assert (model.id, model.architecture, model.dtype, model.tied) == ("model", "LlamaForCausalLM", "float32", False)
    assert (model.num_blocks, model.hidden_size, model.num_heads, model.num_kv_heads, model.head_size) == (
        2,
        64,
        4,
        2,
        16,
    )
    assert (model.intermediate_size, model.vocab_size, model.hadamard_order) == (128, 64, "64")
    per_block = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 128 + 2 * 64
    assert model.num_parameters == 2 * per_block + 2 * 64 * 64 + 64
    assert model.bytes == 4 * model.num_parameters


def test_outputs_have_the_size_they_will_have(plan: Callable[..., Plan], tmp_path: Path) -> None:
    exports = [{"kind": "compressed-tensors"}, {"kind": "rotated-bf16", "subfolder": "bf16"}]
    packed, dense = plan(("exports", exports)).outputs
    linear_weights = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 128)
    others = 2 * 64 * 64 + 2 * 2 * 64 + 64
    assert dense.bytes == 2 * (linear_weights + others)
    assert packed.bytes == linear_weights // 2 + 2 * linear_weights // 32 + 2 * others
    assert (packed.folder, dense.folder) == (str(tmp_path / "output"), str(tmp_path / "output" / "bf16"))


def test_stages_are_what_the_recipe_needs(plan: Callable[..., Plan]) -> None:
    fields = [("rotation.r1.kind", "hadamard"), ("rotation.compare", False), ("exports", []), ("weights", None)]
    made = plan(*fields)
    assert [stage.stage for stage in made.stages] == ["load", "rotate", "quantize", "evaluate"]
    assert [stage.summary for stage in made.stages][1:3] == ["R1: hadamard", "weights keep their precision"]


def test_summaries_are_for_people(plan: Callable[..., Plan]) -> None:
    summaries = {stage.stage: stage.summary for stage in plan(("evaluation.num_windows", 3)).stages}
    assert summaries == {
        "load": "Already on this computer",
        "calibrate": "8 × 128 tokens",
        "rotate": "100 iterations on 4,096 rows",
        "quantize": "14 linears, round to nearest",
        "export": "about 58 kB",
        "prove": "Read the files back, fold again, reload, write text",
        "evaluate": "3 windows of 128 tokens",
    }


@pytest.mark.parametrize(
    ("field", "value", "stage"),
    [
        ("calibration.num_samples", 64, "calibrate"),
        ("rotation.r1.sample_rows", 256, "rotate"),
        ("evaluation.num_windows", 1, "evaluate"),
    ],
)
def test_estimates_follow_the_recipe(plan: Callable[..., Plan], field: str, value: int, stage: str) -> None:
    def estimate(made: Plan):
        return next(one for one in made.stages if one.stage == stage)

    before, after = estimate(plan()), estimate(plan((field, value)))
    assert (before.seconds, before.peak_memory_bytes) != (after.seconds, after.peak_memory_bytes)
    assert (after.peak_memory_bytes > before.peak_memory_bytes) is (stage == "calibrate")


def test_errors_come_before_warnings(plan: Callable[..., Plan]) -> None:
    made = plan(
        ("rotation.r3", True), ("rotation.r4.kind", "hadamard"), ("kv_cache", {"format": "int4"}), ("skip", ["typo"])
    )
    severities = [problem.severity for problem in made.problems]
    assert severities == sorted(severities)
    assert len(set(severities)) == 2
    with pytest.raises(RecipeError) as caught:
        made.raise_problems()
    assert caught.value.field == made.errors[0].field


@pytest.mark.parametrize("name", preset_names())
def test_presets_fit_the_sample(name: str, options: RunOptions) -> None:
    made = make_plan(Recipe.preset(name), options)
    assert made.errors == ()
    assert made.model is not None
    assert made.model.hadamard_order == "576 = 36 · 16"


def test_sample_in_numbers(options: RunOptions) -> None:
    made = make_plan(Recipe.preset("w4a16"), options)
    assert made.model is not None
    assert (made.model.num_blocks, made.model.num_parameters, made.model.tied) == (30, 134_515_008, True)
    # 4.25 bits for 106 M weights, two bytes for embedding, head and norms.
    assert made.outputs[0].bytes == pytest.approx(0.53125 * 106_168_320 + 4 * 49_152 * 576, rel=1e-3)
    load = made.stages[0]
    assert load.summary in ("Already on this computer", "Convert 98 MB of GGUF, once")


def test_plan_is_quick_on_every_edit(plan: Callable[..., Plan]) -> None:
    plan()
    started_s = time.perf_counter()
    for seed in range(5):
        plan(("calibration.seed", seed))
    assert (time.perf_counter() - started_s) / 5 < 0.3


def test_no_torch(model: Path, tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from dfrot_engine import Recipe, RunOptions, make_plan
from dfrot_engine.calibration.datasets import load_text, sample_batches
from dfrot_engine.checkpoint.hub import local_models, search_models
from dfrot_engine.checkpoint.source import fetch, inspect
from dfrot_engine.errors import HubError
from dfrot_engine.recipe import ModelSource

source = ModelSource(id_or_path={str(model)!r})
for one in (source, ModelSource()):
    inspect(one)
    for device in ("auto", "cuda"):
        recipe = Recipe(model=one)
        assert make_plan(recipe, RunOptions(output_dir=Path({str(tmp_path / "out")!r}), device=device)).model
fetch(source, print)
text = Path({str(tmp_path / "text.jsonl")!r})
text.write_text('{{"text": "some words"}}')
sample_batches(list(load_text(str(text), "calibration").encode()), 2, 3, 0)
local_models()
for call in (lambda: search_models("x"), lambda: inspect(ModelSource(id_or_path="org/none"))):
    try:
        call()
    except HubError:
        pass
print(sorted(sys.modules.keys() & {{"torch", "transformers", "safetensors.torch"}}))
"""
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
