"""The original as the engine streams it, against the whole model of transformers, beyond every sliding window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig

from dfrot_engine.evaluation.models import original_logits
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.recipe import Recipe
from tests.tiny_models import TINY_MODELS, auto_class, save_tiny_model

TOKENS = torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(1))


def streamed(folder: Path) -> Tensor:
    job = Job.prepare(Recipe(), RunOptions(output_dir=folder.with_name("out"), device="cpu"), "tiny", folder)
    logits = original_logits(job, TOKENS, lambda _index: None)
    return torch.stack([logits(window) for window in range(len(TOKENS))])


@torch.no_grad()
def whole(folder: Path) -> Tensor:
    """With the attention transformers chooses for the model."""
    loader = auto_class(AutoConfig.from_pretrained(folder))
    model: Any = loader.from_pretrained(folder, dtype=torch.float32).eval()
    return model(TOKENS, use_cache=False).logits


@pytest.mark.parametrize("name", TINY_MODELS)
def test_streamed_logits_are_the_models_own(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path / "model")
    assert (streamed(folder) - whole(folder)).abs().max() < 1e-4


def test_fields_the_model_does_not_know_change_nothing(tmp_path: Path) -> None:
    folder = save_tiny_model("llama", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    before = streamed(folder)
    config |= {"sliding_window": 8, "layer_types": ["sliding_attention"] * 2}
    (folder / "config.json").write_text(json.dumps(config))
    assert torch.equal(streamed(folder), before)
    assert (whole(folder) - before).abs().max() < 1e-4
