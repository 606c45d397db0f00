"""Models that see: a known text model beside a vision tower, which stays as it is but for what writes the stream.

Their files name the tensors as they were first published or as transformers names them now; headers tell which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dfrot_engine.architectures.base import Architecture, Layout
from dfrot_engine.architectures.gemma import gemma3
from dfrot_engine.architectures.llama import llama
from dfrot_engine.errors import ModelError

#: text model → (its table, what its class takes where a config leaves a size out)
_TEXTS: dict[str, tuple[Callable[[dict[str, Any]], Architecture], dict[str, Any]]] = {
    "gemma3_text": (
        gemma3,
        {
            "vocab_size": 262_208,
            "hidden_size": 2304,
            "intermediate_size": 9216,
            "num_hidden_layers": 26,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "max_position_embeddings": 131_072,
        },
    ),
    "llama": (
        llama,
        {
            "vocab_size": 32_000,
            "hidden_size": 4096,
            "intermediate_size": 11_008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "max_position_embeddings": 2048,
        },
    ),
    "mistral": (
        llama,
        {
            "vocab_size": 32_000,
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 131_072,
        },
    ),
    "qwen2": (llama, {}),
    "qwen2_vl_text": (llama, {"num_key_value_heads": 8, "max_position_embeddings": 32_768}),
    "qwen2_5_vl_text": (llama, {"num_key_value_heads": 8, "max_position_embeddings": 32_768}),
    "qwen3_vl_text": (llama, {"num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 128_000}),
}


@dataclass(frozen=True)
class _Family:
    """
    Args:
        texts: its text models, the first where a config names none.
        layouts: names of its tensors; the first is how transformers names modules.
        is_flat: whether a config without `text_config` holds the text's sizes itself.
        tied: what its class takes where a config does not say whether head and embedding are tied.
    """

    texts: tuple[str, ...]
    layouts: tuple[Layout, ...]
    is_flat: bool = False
    tied: bool = False


def _llava(*writers: str) -> tuple[Layout, ...]:
    return (
        Layout("model.language_model", "lm_head", tuple(f"model.{name}" for name in writers)),
        Layout("language_model.model", "language_model.lm_head", writers),
    )


_QWEN2_VL = (
    Layout("model.language_model", "lm_head", ("model.visual.merger.mlp.2",)),
    Layout("model", "lm_head", ("visual.merger.mlp.2",)),
)
# Its deeper vision layers are added to the stream behind the first blocks.
_QWEN3_VL = Layout(
    "model.language_model",
    "lm_head",
    ("model.visual.merger.linear_fc2", "model.visual.deepstack_merger_list.*.linear_fc2"),
)
_IDEFICS3 = Layout("model.text_model", "lm_head", ("model.connector.modality_projection.proj",))

_FAMILIES = {
    # R1 is refused for its text model, so that nothing of the projector has to be rotated.
    "gemma3": _Family(("gemma3_text",), _llava(), tied=True),
    "idefics3": _Family(("llama",), (_IDEFICS3,)),
    "llava": _Family(("llama", "mistral", "qwen2"), _llava("multi_modal_projector.linear_2")),
    "mistral3": _Family(("mistral",), _llava("multi_modal_projector.linear_2"), tied=True),
    "qwen2_5_vl": _Family(("qwen2_5_vl_text",), _QWEN2_VL, is_flat=True),
    "qwen2_vl": _Family(("qwen2_vl_text",), _QWEN2_VL, is_flat=True),
    "qwen3_vl": _Family(("qwen3_vl_text",), (_QWEN3_VL,)),
    "smolvlm": _Family(("llama",), (_IDEFICS3,)),
}


def seeing(config: dict[str, Any]) -> Architecture:
    """Sizes of the text model inside one that sees.

    Raises:
        ModelError: its text model is not known.
    """
    model_type = str(config["model_type"])
    family = _FAMILIES[model_type]
    text = config.get("text_config")
    if not isinstance(text, dict):
        text = {key: value for key, value in config.items() if key != "model_type"} if family.is_flat else {}
    text_type = text.get("model_type", family.texts[0])
    if text_type not in family.texts:
        raise ModelError(
            f"The text model '{text_type}' inside '{model_type}' is not supported.",
            f"Known text models there: {', '.join(family.texts)}.",
            "model.id_or_path",
        )
    build, defaults = _TEXTS[text_type]
    sizes = build(defaults | {"model_type": text_type} | {key: one for key, one in text.items() if one is not None})
    is_tied = config.get("tie_word_embeddings", family.tied) or (not family.tied and sizes.tied)
    return replace(sizes, model_type=model_type, tied=bool(is_tied), layouts=family.layouts)
