"""The model card of an output folder, read back by the Hub's own client."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from dfrot_engine.card.metadata import base_model
from dfrot_engine.card.words import number_table, rotation_words
from dfrot_engine.recipe import ModelSource, Recipe
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

FRONT = """---
license: llama3.2
license_name: Tiny Licence
license_link: LICENSE
language:
- en
- de
tags:
- secret-sauce
---
# Tiny
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a folder that lies in the Hub's cache, on a text file of the user's own."""
    folder = tmp_path_factory.mktemp("made")
    model = save_tiny_model("llama-tied", folder / "models--org--tiny-1b" / "snapshots" / "abc")
    (model / "README.md").write_text(FRONT)
    text = folder / "private-notes.txt"
    text.write_text("Water runs down the hill and into the sea. " * 200)
    exports = [{"kind": "compressed-tensors"}, {"kind": "rotated-bf16", "subfolder": "bf16"}]
    recipe = tiny_recipe(model, "w8a8", exports=exports, calibration__dataset=str(text))
    ended, _ = run_tiny(recipe, folder / "out")
    assert ended.status == "finished", ended
    return folder / "out"


def test_the_front_matter_is_the_hubs(made: Path) -> None:
    card = ModelCard.load(made / "README.md")
    data = card.data.to_dict()
    assert data["base_model"] == "org/tiny-1b"
    assert data["base_model_relation"] == "quantized"
    assert data["license"] == "llama3.2"
    assert data["license_name"] == "Tiny Licence"
    assert data["language"] == ["en", "de"]
    assert data["pipeline_tag"] == "text-generation"
    assert data["library_name"] == "transformers"
    assert {"compressed-tensors", "int8", "quantized"} <= set(data["tags"])
    assert "secret-sauce" not in data["tags"]


def test_a_card_holds_numbers_proof_recipe_and_commands(made: Path) -> None:
    text = (made / "README.md").read_text()
    for words in (
        "| perplexity |",
        "189 tokens of 'builtin'",
        "Tensors are what was computed",
        "vllm serve ./out",
        "Tiny Licence",
    ):
        assert words in text, words
    toml = text.split("```toml\n")[1].split("```")[0]
    recipe = Recipe.parse(tomllib.loads(toml))
    assert recipe.model.id_or_path == "org/tiny-1b"
    assert recipe.weights is not None
    assert recipe.weights.format == "int8"
    assert "from_pretrained('./bf16')" in (made / "bf16" / "README.md").read_text()


def test_a_card_names_no_folder_of_this_computer(made: Path) -> None:
    text = (made / "README.md").read_text()
    assert str(made.parent) not in text
    assert "private-notes.txt" in text


def test_figures_are_there_and_shown(made: Path) -> None:
    text = (made / "README.md").read_text()
    for name in ("token_error.png", "token_error_by_block.png", "block_error.png"):
        assert (made / "figures" / name).read_bytes().startswith(b"\x89PNG")
        assert f"(figures/{name})" in text


def test_an_edited_card_stays_when_the_same_run_is_started_again(tmp_path: Path) -> None:
    recipe = tiny_recipe(save_tiny_model("llama-tied", tmp_path / "tiny"), "w8a8", rotation__r1__kind="hadamard")
    run_tiny(recipe, tmp_path / "out")
    (tmp_path / "out" / "README.md").write_text("my own words")
    run_tiny(recipe, tmp_path / "out")
    assert (tmp_path / "out" / "README.md").read_text() == "my own words"


def errors(own: float, hadamard: float, none: float) -> dict[str, Any]:
    return {"token_error": {"dfrot": {"mean": own}, "hadamard": {"mean": hadamard}, "none": {"mean": none}}}


def test_a_rotation_that_did_not_help_is_said_so() -> None:
    recipe = Recipe.preset("w8a8")
    helped = " ".join(rotation_words(recipe, errors(0.1, 0.2, 0.4)))
    assert "by 75% against no rotation" in helped
    assert "by 50% against random Hadamard" in helped
    failed = " ".join(rotation_words(recipe, errors(0.3, 0.2, 0.4)))
    assert "**It did not help against random Hadamard (RH)" in failed
    assert "by 25% against no rotation" in failed


@pytest.mark.parametrize(("after", "is_loss"), [(11.0, False), (12.5, True)])
def test_a_real_loss_is_called_one(after: float, is_loss: bool) -> None:
    protocol = {"tokens": 100, "dataset": "builtin", "num_windows": 1, "seq_len": 101, "measured": "x"}
    report = {"perplexity_original": 10.0, "perplexity_quantized": after, "kl_divergence": 0.1, "top1_agreement": 0.9}
    lines = number_table(report | {"protocol": protocol})
    assert any("That is a real loss" in line for line in lines) is is_loss


@pytest.mark.parametrize(("own", "is_said"), [(10.5, True), (11.0, False), (None, False)])
def test_the_engines_own_number_is_said_where_it_differs(own: float | None, is_said: bool) -> None:
    protocol = {"tokens": 100, "dataset": "builtin", "num_windows": 1, "seq_len": 101, "measured": "x"}
    report = {"perplexity_original": 10.0, "perplexity_quantized": 11.0, "kl_divergence": 0.1, "top1_agreement": 0.9}
    lines = number_table(report | {"protocol": protocol} | ({"perplexity_engine": own} if own else {}))
    assert any("a perplexity of 10.500" in line for line in lines) is is_said


def test_where_a_model_comes_from(tmp_path: Path) -> None:
    assert base_model(ModelSource(id_or_path="sample"), tmp_path) == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert base_model(ModelSource(id_or_path="org/name"), tmp_path) == "org/name"
    assert base_model(ModelSource(id_or_path=str(tmp_path)), tmp_path) is None
