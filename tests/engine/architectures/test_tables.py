from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine import ModelError
from dfrot_engine.architectures import ARCHITECTURES, architecture_of
from dfrot_engine.architectures.base import Space
from dfrot_engine.checkpoint.headers import read_headers
from tests.engine.checkpoint.folders import CONFIG
from tests.tiny_models import TINY_MODELS, save_tiny_model


def table(**changes: Any):
    return architecture_of({key: value for key, value in (CONFIG | changes).items() if value is not None})


@pytest.mark.parametrize("name", TINY_MODELS)
def test_names_and_shapes_are_those_of_a_checkpoint(name: str, tmp_path: Path) -> None:
    """As transformers writes it; no matrix is left out."""
    folder = save_tiny_model(name, tmp_path)
    architecture = architecture_of(json.loads((folder / "config.json").read_text()))
    shapes = {name.removesuffix(".weight"): header.shape for name, header in read_headers(folder).items()}
    for index in range(architecture.num_blocks):
        for linear in architecture.block.linears:
            assert shapes[architecture.block_prefix(index) + linear.name] == architecture.linear_shape(linear)
        for norm in architecture.block.norms:
            assert architecture.block_prefix(index) + norm.name in shapes
    head = () if architecture.tied else (architecture.head,)
    matrices = {name for name, shape in shapes.items() if len(shape) == 2}
    assert matrices == {*architecture.linear_names(), architecture.embedding, *head}
    assert architecture.final_norm.name in shapes


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_whoever_reads_the_residual_stream_reads_it_through_a_norm(model_type: str) -> None:
    block = table(model_type=model_type).block
    for linear in block.linears:
        assert (block.norm_before(linear.name) is not None) is (linear.reads is Space.RESIDUAL)
    fed = [name for norm in block.norms for name in norm.feeds]
    assert len(fed) == len(set(fed))


def test_head_size_is_read_and_only_then_derived() -> None:
    assert table(head_dim=24).head_size == 24
    assert table(head_dim=None).head_size == 16
    assert table(num_key_value_heads=None).num_kv_heads == 4


def test_tied_only_when_the_config_says_so() -> None:
    assert not table(tie_word_embeddings=None).tied
    assert table(tie_word_embeddings=True).tied


@pytest.mark.parametrize("model_type", ["mamba", "", None, 7, ["llama"]])
def test_unknown_architectures_are_refused(model_type: object) -> None:
    with pytest.raises(ModelError, match="is not supported") as caught:
        table(model_type=model_type)
    assert ", ".join(sorted(ARCHITECTURES)) in caught.value.remedy


@pytest.mark.parametrize(
    "key",
    ["hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size", "head_dim"],
)
@pytest.mark.parametrize("value", [0, -1, 1.5, "64", True, 10**12, [64]])
def test_sizes_that_make_no_sense(key: str, value: object) -> None:
    with pytest.raises(ModelError, match=f"'{key}'") as caught:
        table(**{key: value})
    assert caught.value.field == "model.id_or_path"


def test_heads_that_cannot_be_shared() -> None:
    with pytest.raises(ModelError, match="4 heads cannot share 3 KV heads"):
        table(num_key_value_heads=3)
