from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import CONFIG_MAPPING

from dfrot_engine import ModelError
from dfrot_engine.architectures import ARCHITECTURES, architecture_of
from dfrot_engine.architectures.base import Space
from tests.engine.checkpoint.folders import CONFIG
from tests.tiny_models import TINY_MODELS, architecture_in, save_tiny_model, tiny_architecture
from tests.tiny_vision import VISION_MODELS

SEEING = [model_type for model_type, _ in VISION_MODELS.values()]


def table(**changes: Any):
    config = {key: value for key, value in (CONFIG | changes).items() if value is not None}
    if config.get("model_type") not in SEEING:
        return architecture_of(config)
    whole = {key: config.pop(key) for key in ("model_type", "tie_word_embeddings") if key in config}
    return architecture_of(whole | {"text_config": config})


@pytest.mark.parametrize("name", TINY_MODELS)
def test_names_and_shapes_are_those_of_a_checkpoint(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path / "model")
    architecture = architecture_in(folder)
    stored = load_file(folder / "model.safetensors")
    tensors = {architecture.own_name(one): tensor for one, tensor in stored.items()}
    for index in range(architecture.num_blocks):
        prefix, block = architecture.block_prefix(index), architecture.block_at(index)
        shapes = {
            prefix + linear.name: torch.Size(architecture.linear_shape(linear))
            for linear in (*block.linears, *block.routers)
        }
        # No matrix of a block is forgotten.
        assert shapes == {
            one.removesuffix(".weight"): tensor.shape
            for one, tensor in tensors.items()
            # Cohere's q/k norms have a gain for each channel of each head.
            if one.startswith(prefix) and tensor.ndim == 2 and not one.endswith("_norm.weight")
        }
        for norm in block.norms:
            assert tensors[f"{prefix}{norm.name}.weight"].shape == (architecture.hidden_size,)
    for outer in (architecture.embedding, architecture.final_norm.name):
        assert f"{outer}.weight" in tensors
    assert (f"{architecture.head_tensor}.weight" in tensors) is not architecture.tied


@pytest.mark.parametrize("name", TINY_MODELS)
def test_whoever_reads_the_residual_stream_is_known_with_those_beside_it(name: str) -> None:
    architecture = tiny_architecture(name)
    is_parallel = architecture.model_type in ("cohere", "cohere2")
    for block, _ in architecture.blocks_of_kind:
        groups = [*(norm.feeds for norm in block.norms), *block.bare]
        readers = [linear for linear in (*block.linears, *block.routers) if linear.reads is Space.RESIDUAL]
        assert sorted(linear for group in groups for linear in group) == sorted(reader.name for reader in readers)
        assert len(block.sites()) == len(groups) == (1 if is_parallel else 2)
        # Experts read the same tensor as those beside them, but not the same tokens of it.
        wanted: dict[tuple[int, int | None], set[str]] = {}
        for number, group in enumerate(groups):
            for reader in readers:
                if reader.name in group and reader not in block.routers:
                    wanted.setdefault((number, reader.expert), set()).add(reader.name)
        shared = [set(names) for names in block.shared_inputs()]
        assert all(names in shared for names in wanted.values())


def test_head_size_is_read_and_only_then_derived() -> None:
    assert table(head_dim=24).head_size == 24
    assert table(head_dim=None).head_size == 16
    assert table(num_key_value_heads=None).num_kv_heads == 4


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_what_a_config_leaves_out_is_what_its_class_takes(model_type: str) -> None:
    config = CONFIG_MAPPING[model_type]
    assert table(model_type=model_type, tie_word_embeddings=None).tied is config().tie_word_embeddings
    assert table(model_type=model_type, tie_word_embeddings=True).tied
    assert not table(model_type=model_type, tie_word_embeddings=False).tied
    text = config().get_text_config(decoder=True)
    assert table(model_type=model_type).logits_scale == getattr(text, "logit_scale", 1.0)
    cap = getattr(text, "final_logit_softcapping", None)
    assert table(model_type=model_type).logits_softcap == cap


def test_caps_that_are_switched_off() -> None:
    assert architecture_of(CONFIG | {"model_type": "gemma2", "final_logit_softcapping": None}).logits_softcap is None


@pytest.mark.parametrize(
    ("model_type", "key"),
    [("granite", "embedding_multiplier"), ("granite", "logits_scaling"), ("cohere", "logit_scale")],
)
@pytest.mark.parametrize("value", [0, -1, "1", True, None, float("nan"), float("inf")])
def test_factors_that_make_no_sense(model_type: str, key: str, value: object) -> None:
    with pytest.raises(ModelError, match=f"'{key}'"):
        architecture_of(CONFIG | {"model_type": model_type, key: value})


@pytest.mark.parametrize("model_type", ["gemma", "gemma2", "gemma3_text"])
def test_models_that_see_later_tokens_are_refused(model_type: str) -> None:
    with pytest.raises(ModelError, match="later tokens"):
        table(model_type=model_type, use_bidirectional_attention=True)


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
