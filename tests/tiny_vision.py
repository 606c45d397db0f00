"""Tiny models that see, and what to hand them with a picture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

IMAGE_TOKEN = 300
_IMAGE_TOKENS = 4  # every tower below makes as many of its picture
_SIDE = 16  # pixels
_PATCH = 4  # pixels

_MROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]}
_VIT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": _SIDE,
    "patch_size": _PATCH,
    "initializer_range": 0.15,
}
_QWEN: dict[str, Any] = {"depth": 2, "num_heads": 4, "patch_size": _PATCH, "initializer_range": 0.15}
_TOKENS = {
    "image_token_id": IMAGE_TOKEN,
    "video_token_id": 301,
    "vision_start_token_id": 302,
    "vision_end_token_id": 303,
}

#: name → (model_type, its config; the text's part is what differs from a tiny text model)
VISION_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma3": (
        "gemma3",
        {
            "text_config": {
                "sliding_window": 8,
                "layer_types": ["sliding_attention", "full_attention"],
                "query_pre_attn_scalar": 24,
            },
            "vision_config": {"model_type": "siglip_vision_model", **_VIT},
            "mm_tokens_per_image": _IMAGE_TOKENS,
            "image_token_index": IMAGE_TOKEN,
            "tie_word_embeddings": True,
        },
    ),
    "idefics3": (
        "idefics3",
        {
            "text_config": {"model_type": "llama"},
            "vision_config": _VIT,
            "scale_factor": 2,
            "image_token_id": IMAGE_TOKEN,
        },
    ),
    "llava": (
        "llava",
        {
            "text_config": {"model_type": "llama"},
            "vision_config": {"model_type": "clip_vision_model", "projection_dim": 32, **_VIT, "patch_size": 8},
            "image_token_index": IMAGE_TOKEN,
        },
    ),
    "llava-qwen2-tied": (
        "llava",
        {
            "text_config": {"model_type": "qwen2", "tie_word_embeddings": True},
            "vision_config": {"model_type": "clip_vision_model", "projection_dim": 32, **_VIT, "patch_size": 8},
            "image_token_index": IMAGE_TOKEN,
            "multimodal_projector_bias": False,
        },
    ),
    "mistral3": (
        "mistral3",
        {
            "text_config": {"model_type": "mistral", "sliding_window": None},
            "vision_config": {"model_type": "pixtral", **_VIT},
            "image_token_index": IMAGE_TOKEN,
            "tie_word_embeddings": False,
        },
    ),
    "qwen2_vl": (
        "qwen2_vl",
        {
            "text_config": {"rope_parameters": _MROPE, "hidden_size": 64},
            "vision_config": {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2, **_QWEN},
            "tie_word_embeddings": True,
            **_TOKENS,
        },
    ),
    "qwen2_5_vl": (
        "qwen2_5_vl",
        {
            "text_config": {"rope_parameters": _MROPE, "hidden_size": 64},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "out_hidden_size": 64,
                "window_size": 16,
                "fullatt_block_indexes": [1],
                **_QWEN,
            },
            **_TOKENS,
        },
    ),
    "qwen3_vl": (
        "qwen3_vl",
        {
            "text_config": {"rope_parameters": _MROPE | {"mrope_interleaved": True}},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "out_hidden_size": 48,
                "num_position_embeddings": 16,
                "deepstack_visual_indexes": [0, 1],
                **_QWEN,
            },
            "tie_word_embeddings": True,
            **_TOKENS,
        },
    ),
    "smolvlm": (
        "smolvlm",
        {
            "text_config": {"model_type": "llama"},
            "vision_config": _VIT,
            "scale_factor": 2,
            "image_token_id": IMAGE_TOKEN,
        },
    ),
}


def picture_inputs(name: str) -> dict[str, Tensor]:
    """A text with a picture in it, as the model's own class takes it."""
    generator = torch.Generator().manual_seed(2)
    tokens_BT = torch.randint(0, 257, (1, 20), generator=generator)
    tokens_BT[:, 3 : 3 + _IMAGE_TOKENS] = IMAGE_TOKEN
    is_image_BT = tokens_BT == IMAGE_TOKEN
    pixels = torch.randn(1, 3, _SIDE, _SIDE, generator=generator, dtype=torch.float64)
    model_type = VISION_MODELS[name][0]
    inputs = {"input_ids": tokens_BT}
    if model_type.startswith("qwen"):
        patches = torch.randn(_IMAGE_TOKENS * 4, 3 * 2 * _PATCH**2, generator=generator, dtype=torch.float64)
        grid = torch.tensor([[1, _SIDE // _PATCH, _SIDE // _PATCH]])
        return inputs | {"pixel_values": patches, "image_grid_thw": grid, "mm_token_type_ids": is_image_BT.int()}
    if model_type in ("idefics3", "smolvlm"):
        return inputs | {"pixel_values": pixels[None]}
    if model_type == "mistral3":
        return inputs | {"pixel_values": pixels, "image_sizes": torch.tensor([[_SIDE, _SIDE]])}
    if model_type == "gemma3":
        inputs |= {"token_type_ids": is_image_BT.long()}
    return inputs | {"pixel_values": pixels}
