"""The window of an evaluation: a number, or what the model can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfrot_engine.errors import RecipeError
from dfrot_engine.evaluation.folder import evaluate_folder
from dfrot_engine.options import RunOptions
from dfrot_engine.plan import make_plan
from dfrot_engine.recipe import Evaluation, Recipe
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model


def test_the_window_is_a_number_or_the_models_length_up_to_the_usual() -> None:
    assert Evaluation(seq_len=64).window(512) == 64
    assert Evaluation(seq_len="model").window(512) == 512
    assert Evaluation(seq_len="model").window(131_072) == 2_048
    assert Evaluation().seq_len == 1_024
    with pytest.raises(RecipeError, match=r"evaluation\.seq_len"):
        Recipe.parse({"evaluation": {"seq_len": "long"}})
    with pytest.raises(RecipeError, match=r"evaluation\.seq_len"):
        Recipe.parse({"evaluation": {"seq_len": 8}})


def test_a_run_says_the_number(tmp_path: Path) -> None:
    model = save_tiny_model("llama-tied", tmp_path / "model", max_position_embeddings=96)
    recipe = tiny_recipe(model, evaluation__seq_len="model", evaluation__num_windows=2)
    ended, _ = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["recipe"]["evaluation"]["seq_len"] == "model"
    assert report["protocol"]["seq_len"] == 96
    assert report["protocol"]["num_windows"] == 2
    assert report["protocol"]["tokens"] == 2 * 95
    numbers = evaluate_folder(
        tmp_path / "out", original=None, dataset="builtin", seq_len="model", num_windows=2, device="cpu"
    )
    assert numbers["protocol"]["seq_len"] == 96
    assert numbers["perplexity_quantized"] == pytest.approx(report["perplexity_quantized"], rel=1e-3)


def test_a_text_too_short_for_the_models_window_is_said_beforehand(tmp_path: Path) -> None:
    model = save_tiny_model("llama-tied", tmp_path / "model")
    text = tmp_path / "short.txt"
    text.write_text("word " * 40)
    recipe = tiny_recipe(model, evaluation__seq_len="model", evaluation__dataset=str(text))
    errors = make_plan(recipe, RunOptions(output_dir=tmp_path / "out")).errors
    assert [(error.field, "512 tokens" in error.message) for error in errors] == [("evaluation.seq_len", True)]
