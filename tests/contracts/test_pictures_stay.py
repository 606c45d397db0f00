"""R1 reaches whatever writes the residual stream: with a picture in the text, logits stay as well, in float64."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dfrot_engine.architectures import Architecture
from dfrot_engine.rotations.fold import fold_block, fold_embedding, fold_head, fold_writer
from dfrot_engine.rotations.random import random_orthogonal
from dfrot_engine.rotations.rotation_set import RotationSet
from tests.contracts.float64_model import use_float64_norms
from tests.tiny_models import R1_MODELS, load_float64, save_tiny_model, tiny_architecture
from tests.tiny_vision import VISION_MODELS, picture_inputs

SEEING = [name for name in VISION_MODELS if name in R1_MODELS]


@pytest.mark.parametrize("name", SEEING)
def test_logits_stay_with_a_picture(name: str, tmp_path: Path) -> None:
    difference = _logits(name, tmp_path, is_rotated=True) - _logits(name, tmp_path, is_rotated=False)
    assert difference.abs().max() < 1e-9


@pytest.mark.parametrize("name", SEEING)
def test_what_the_vision_tower_writes_has_to_be_rotated(name: str, tmp_path: Path) -> None:
    """The check above can fail: every writer counts."""
    expected = _logits(name, tmp_path, is_rotated=False)
    writers = _module_table(name).writers
    assert writers
    for writer in writers:
        assert (_logits(name, tmp_path, is_rotated=True, forgets=writer) - expected).abs().max() > 1e-3


def _module_table(name: str) -> Architecture:
    """With the names of transformers' modules instead of the files'."""
    model: Any = tiny_architecture(name)
    writers = model.layouts[0].writers
    count = len(VISION_MODELS[name][1]["vision_config"].get("deepstack_visual_indexes", ()))
    numbered = [one.replace("*", str(number)) for one in writers for number in range(count if "*" in one else 1)]
    return replace(model, writers=tuple(numbered))


def _logits(name: str, folder: Path, *, is_rotated: bool, forgets: str = "") -> Tensor:
    model: Any = load_float64(save_tiny_model(name, folder))[0]
    if is_rotated:
        _rotate(model, _module_table(name), forgets)
    use_float64_norms(model)
    with torch.no_grad():
        return model(**picture_inputs(name), use_cache=False).logits


@torch.no_grad()
def _rotate(model: Any, names: Architecture, forgets: str) -> None:
    rotations = RotationSet(r1_DD=random_orthogonal(names.hidden_size, 1))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    embedding, norm = f"{names.embedding}.weight", f"{names.final_norm.name}.weight"
    head, parts = fold_head(state[f"{names.head}.weight"], {"weight": state[norm]}, names.final_norm, rotations)
    state[embedding] = fold_embedding(state[embedding], rotations)
    state[norm] = parts["weight"]
    for index in range(names.num_blocks):
        prefix = names.block_prefix(index)
        own = {one.removeprefix(prefix): tensor for one, tensor in state.items() if one.startswith(prefix)}
        state |= {prefix + one: tensor for one, tensor in fold_block(own, names, rotations, index).items()}
    for writer in set(names.writers) - {forgets}:
        parts = {part: state[f"{writer}.{part}"] for part in ("weight", "bias") if f"{writer}.{part}" in state}
        state |= {f"{writer}.{part}": tensor for part, tensor in fold_writer(parts, rotations).items()}
    model.lm_head.weight = torch.nn.Parameter(head)
    model.load_state_dict({one: tensor for one, tensor in state.items() if one != "lm_head.weight"}, strict=False)
