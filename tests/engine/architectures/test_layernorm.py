"""Norms that subtract the mean and have biases: where the biases go, and what R1 may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dfrot_engine import ModelError, RunOptions, make_plan
from dfrot_engine.architectures.base import Norm
from dfrot_engine.model_table import model_table
from dfrot_engine.recipe import ModelSource
from dfrot_engine.rotations.fold import fold_block, fold_head
from dfrot_engine.rotations.orthogonal import keep_mean
from dfrot_engine.rotations.random import random_orthogonal
from dfrot_engine.rotations.rotation_set import RotationSet
from tests.engine.plan.conftest import BASE, found
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model, tiny_architecture

R1 = RotationSet(r1_DD=keep_mean(random_orthogonal(48, 1)))
NORMS = ("input_layernorm", "post_attention_layernorm")


def block_of(name: str, folder: Path) -> dict[str, Tensor]:
    tensors = load_file(save_tiny_model(name, folder) / "model.safetensors")
    prefix = "model.layers.0."
    return {one.removeprefix(prefix): tensor for one, tensor in tensors.items() if one.startswith(prefix)}


@pytest.mark.parametrize(("name", "is_moved"), [("starcoder2", True), ("starcoder2-unbiased", False)])
def test_biases_of_norms_go_to_linears_that_have_some(name: str, is_moved: bool, tmp_path: Path) -> None:
    folded = fold_block(block_of(name, tmp_path), tiny_architecture(name), R1, 0)
    for norm in NORMS:
        assert (folded[f"{norm}.weight"] == 1).all()
        assert bool((folded[f"{norm}.bias"] == 0).all()) is is_moved


def test_without_r1_norms_keep_their_biases(tmp_path: Path) -> None:
    tensors = block_of("starcoder2", tmp_path)
    folded = fold_block(tensors, tiny_architecture("starcoder2"), RotationSet(), 0)
    assert all(torch.equal(folded[f"{norm}.bias"], tensors[f"{norm}.bias"]) for norm in NORMS)


def test_a_gain_of_zero_beside_a_bias_is_refused_where_no_linear_takes_it() -> None:
    head, parts = torch.ones(3, 48), {"weight": torch.ones(48), "bias": torch.ones(48)}
    parts["weight"][7] = 0
    with pytest.raises(ModelError, match=r"'model\.norm': it has a gain of zero") as caught:
        fold_head(head, parts, Norm("model.norm", ("lm_head",)), R1)
    assert caught.value.field == "rotation.r1.kind"
    parts["bias"][7] = 0
    assert torch.isfinite(fold_head(head, parts, Norm("model.norm", ("lm_head",)), R1)[1]["bias"]).all()


@pytest.mark.parametrize(
    ("r1", "field"),
    [
        ({"kind": "householder"}, "rotation.r1.kind"),
        ({"kind": "descent", "start": "householder"}, "rotation.r1.start"),
    ],
)
def test_householder_is_refused(r1: dict[str, Any], field: str, tmp_path: Path) -> None:
    folder = save_tiny_model("starcoder2", tmp_path / "model")
    assert model_table(ModelSource(id_or_path=str(folder))).rotations[0].turns == "residual stream, its mean kept"
    recipe = BASE.with_field("model.id_or_path", str(folder)).with_field("rotation.r1", r1)
    problem = found(make_plan(recipe, RunOptions(output_dir=tmp_path / "out", device="cpu")), field)
    assert problem.severity == "error"
    assert "subtract" in problem.message


@pytest.mark.parametrize("kind", ["dfrot", "descent", "cayley"])
def test_rotations_learn_from_what_linears_read(kind: str, tmp_path: Path) -> None:
    """Sampled tokens have no mean and a root mean square of one, and what is learned from them keeps the mean."""
    recipe = tiny_recipe(save_tiny_model("starcoder2", tmp_path / "model"), "w8a8", rotation__r1__kind=kind, exports=[])
    ended, _ = run_tiny(recipe, tmp_path / "out", keep_work=True)
    assert ended.status == "finished", ended
    work = tmp_path / "out.dfrot"
    rows_ND = load_file(work / "calibrate" / "rows.safetensors")["rows_ND"].float()
    assert rows_ND.mean(1).abs().max() < 1e-2
    assert (rows_ND.square().mean(1) - 1).abs().max() < 5e-2
    r1_DD = load_file(work / "rotations.safetensors")["R1"]
    assert (r1_DD.sum(1) - 1).abs().max() < 1e-12
    assert (r1_DD - torch.eye(48, dtype=torch.float64)).abs().max() > 0.1
