"""What GGUF calls things: architectures, weight types, tensors. Imports no torch: the plan reads it too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dfrot_engine.recipe import WeightScheme

#: Columns of a block, which share a scale, in every type that is written here.
BLOCK_COLUMNS = 32
#: (format, symmetric) of weights in groups of 32 → the type that holds their codes.
CODE_TYPES = {("int4", True): "Q4_0", ("int4", False): "Q4_1", ("int8", True): "Q8_0"}
#: Exports that fold the model anew → the type of its matrices.
FOLDED_TYPES = {"gguf-q8_0": "Q8_0", "gguf-f16": "F16"}
#: Every export that is a GGUF file.
GGUF_KINDS = ("gguf", *FOLDED_TYPES)


@dataclass(frozen=True)
class GgufArchitecture:
    """One of llama.cpp's.

    Args:
        name: general.architecture, in front of the keys.
        interleaved_rope: RoPE turns neighbouring rows of q and k there, so that theirs are reordered.
        rope_types: those of its scaled RoPEs that were compared with transformers.
    """

    name: str
    interleaved_rope: bool = False
    rope_types: tuple[str, ...] = ("default",)


#: model_type → architecture; those that were compared with transformers.
GGUF_ARCHITECTURES = {
    "llama": GgufArchitecture("llama", interleaved_rope=True, rope_types=("default", "llama3")),
    "mistral": GgufArchitecture("llama", interleaved_rope=True),
    "qwen2": GgufArchitecture("qwen2"),
    "qwen3": GgufArchitecture("qwen3"),
}
# What the classes take where a config leaves it out.
_MISTRAL_WINDOW = 4_096
_THETA = 10_000.0


def code_type(scheme: WeightScheme) -> str | None:
    """The type that holds these codes bit for bit; None if there is none."""
    is_block = scheme.granularity == "per-group" and scheme.group_size == BLOCK_COLUMNS
    return CODE_TYPES.get((scheme.format, scheme.symmetric)) if is_block else None


def tensor_namer(model_type: str, num_blocks: int) -> Callable[[str], str | None]:
    """Names of tensors in config.json's world → GGUF's, None for those it has no name for."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    name = GGUF_ARCHITECTURES[model_type].name
    architecture = next(key for key, value in MODEL_ARCH_NAMES.items() if value == name)
    names = get_tensor_name_map(architecture, num_blocks)
    return lambda tensor: names.get_name(tensor, try_suffixes=(".weight", ".bias"))


def rope_of(config: dict[str, Any]) -> dict[str, Any]:
    """RoPE's settings, "rope_type" and "rope_theta" always there, from a config.json old or new."""
    found: dict[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):
        found |= config.get(key) or {}
    found.setdefault("rope_type", found.get("type") or "default")
    found.setdefault("rope_theta", config.get("rope_theta") or _THETA)
    return found


def window_of(config: dict[str, Any]) -> int | None:
    """Tokens that attention looks back in some blocks, if that is less than the model's length."""
    if config["model_type"] in ("qwen2", "qwen3") and not config.get("use_sliding_window"):
        return None
    default = _MISTRAL_WINDOW if config["model_type"] == "mistral" else None
    window = config.get("sliding_window", default)
    length = config.get("max_position_embeddings")
    return window if isinstance(window, int) and (not isinstance(length, int) or window < length) else None
