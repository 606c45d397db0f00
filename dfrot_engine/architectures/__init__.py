"""model_type → what its tensors mean. An unknown model_type is refused, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.architectures.gemma import gemma, gemma2, gemma3
from dfrot_engine.architectures.layernorm import cohere, starcoder2
from dfrot_engine.architectures.llama import arcee, granite, llama, smollm3
from dfrot_engine.architectures.moe import mixtral, olmoe, qwen2_moe, qwen3_moe
from dfrot_engine.architectures.olmo import olmo2
from dfrot_engine.architectures.phi import phi3
from dfrot_engine.architectures.qwen import qwen2, qwen3
from dfrot_engine.architectures.vision import seeing
from dfrot_engine.errors import ModelError

ARCHITECTURES: dict[str, Callable[[dict[str, Any]], Architecture]] = {
    "arcee": arcee,
    "cohere": cohere,
    "cohere2": cohere,
    "cwm": llama,
    "gemma": gemma,
    "gemma2": gemma2,
    "gemma3": seeing,
    "gemma3_text": gemma3,
    "granite": granite,
    "helium": llama,
    "idefics3": seeing,
    "llama": llama,
    "llava": seeing,
    "ministral": llama,
    "ministral3": llama,
    "mistral": llama,
    "mixtral": mixtral,
    "mistral3": seeing,
    "olmo2": olmo2,
    "olmo3": olmo2,
    "olmoe": olmoe,
    "phi3": phi3,
    "qwen2": qwen2,
    "qwen2_5_vl": seeing,
    "qwen2_moe": qwen2_moe,
    "qwen2_vl": seeing,
    "qwen3": qwen3,
    "qwen3_moe": qwen3_moe,
    "qwen3_vl": seeing,
    "seed_oss": llama,
    "smollm3": smollm3,
    "smolvlm": seeing,
    "starcoder2": starcoder2,
}

#: model_types whose tensors are known not to fit a table, and why.
REFUSED: dict[str, str] = {
    "gpt_oss": (
        "'gpt_oss' is not supported: it is published in MXFP4 already, its attention has learned sinks, and its "
        "experts hold gate and up interleaved, with biases and a clamp."
    ),
}


def architecture_of(config: dict[str, Any], names: Collection[str] = ()) -> Architecture:
    """The table of a model, from its config.json.

    Args:
        names: of the checkpoint's tensors, where there is one; some models are published with two ways of naming them.
    Raises:
        ModelError: the model_type is not in the table, or the config's sizes make no sense.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise ModelError(
            REFUSED.get(str(model_type), f"The architecture '{model_type}' is not supported."),
            f"Known architectures: {', '.join(sorted(ARCHITECTURES))}.",
            "model.id_or_path",
        )
    architecture = ARCHITECTURES[model_type](config).named_as(names)
    if architecture.num_heads % architecture.num_kv_heads:
        raise ModelError(
            f"config.json: {architecture.num_heads} heads cannot share {architecture.num_kv_heads} KV heads.",
            "The file is damaged; download it again.",
            "model.id_or_path",
        )
    return architecture
