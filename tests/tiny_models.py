"""Random checkpoints of two blocks for every architecture; no network."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.checkpoint.headers import read_headers
from tests.tiny_vision import VISION_MODELS

VOCAB_SIZE = 384
_COMMON: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 48,  # 12 · 4: no power of two, so the Paley construction is used
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,  # not hidden_size // num_heads
    "max_position_embeddings": 512,
    "initializer_range": 0.15,
    "rope_theta": 10_000.0,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}

_TWO_KINDS: dict[str, Any] = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}

#: name → (model_type, what differs from _COMMON); windows and caps are small enough to matter
TINY_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama-tied": ("llama", {"tie_word_embeddings": True}),
    "llama-biased": ("llama", {"attention_bias": True, "head_dim": 12}),
    "llama-rope-scaled": (
        "llama",
        {
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "llama-mqa": ("llama", {"num_key_value_heads": 1}),
    # The shapes of Qwen 2.5 7B (3584 = 7 · 2⁹, 18,944 = 37 · 2⁹, 7 heads for each KV head) and SmolLM 135M (9 on 3).
    "llama-7-37": (
        "llama",
        {
            "hidden_size": 56,
            "intermediate_size": 592,
            "num_attention_heads": 7,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "attention_bias": True,
            "tie_word_embeddings": True,
        },
    ),
    "llama-9-heads": ("llama", {"hidden_size": 72, "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 8}),
    "mistral": ("mistral", {"sliding_window": 8}),
    "phi3": ("phi3", {"sliding_window": 8, "partial_rotary_factor": 0.5}),
    "phi3-longrope": (
        "phi3",
        {
            "head_dim": 12,  # the factors are counted for hidden_size // num_heads
            "partial_rotary_factor": 0.5,
            "original_max_position_embeddings": 32,
            "tie_word_embeddings": True,
            "rope_scaling": {
                "rope_type": "longrope",
                "short_factor": [1.0, 1.5, 2.0],
                "long_factor": [1.0, 4.0, 16.0],
            },
        },
    ),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {}),
    "arcee": ("arcee", {}),
    "cohere": ("cohere", {"head_dim": 12, "tie_word_embeddings": True, "logit_scale": 0.5, "use_qk_norm": True}),
    "cohere2": ("cohere2", _TWO_KINDS | {"head_dim": 12, "attention_bias": True}),
    "cwm": ("cwm", _TWO_KINDS),
    "gemma": ("gemma", {"tie_word_embeddings": True}),
    "gemma2": (
        "gemma2",
        _TWO_KINDS
        | {
            "tie_word_embeddings": True,
            "query_pre_attn_scalar": 24,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 5.0,
        },
    ),
    "gemma3_text": (
        "gemma3_text",
        _TWO_KINDS | {"tie_word_embeddings": True, "query_pre_attn_scalar": 24, "rope_local_base_freq": 100.0},
    ),
    "granite": (
        "granite",
        {
            "embedding_multiplier": 12.0,
            "attention_multiplier": 0.1,
            "residual_multiplier": 0.22,
            "logits_scaling": 4.0,
        },
    ),
    "helium": ("helium", {"head_dim": 12}),
    "ministral": ("ministral", _TWO_KINDS),
    "ministral3": (
        "ministral3",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10_000.0,
                "factor": 32.0,
                "original_max_position_embeddings": 16,
                "llama_4_scaling_beta": 0.1,
            }
        },
    ),
    "mixtral": ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8}),
    "olmo2": ("olmo2", {}),
    "olmo3": ("olmo3", _TWO_KINDS),
    "olmoe": ("olmoe", {"head_dim": 12, "num_experts": 4, "num_experts_per_tok": 2, "norm_topk_prob": True}),
    "qwen2_moe": (
        "qwen2_moe",
        {
            "head_dim": 12,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 64,
            "shared_expert_intermediate_size": 96,
        },
    ),
    "qwen3_moe": ("qwen3_moe", {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}),
    # The first block is dense.
    "qwen3_moe-mixed": (
        "qwen3_moe",
        {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "decoder_sparse_step": 2},
    ),
    "seed_oss": ("seed_oss", {"attention_bias": True}),
    "smollm3": ("smollm3", {"tie_word_embeddings": True, "no_rope_layers": [1, 0]}),
    "starcoder2": ("starcoder2", {"head_dim": 12, "sliding_window": 8, "tie_word_embeddings": True}),
    "starcoder2-unbiased": ("starcoder2", {"head_dim": 12, "use_bias": False}),
    **VISION_MODELS,
}


@cache
def tiny_architecture(name: str) -> Architecture:
    """The table of a tiny model."""
    return architecture_of(_config(name).to_dict())


def architecture_in(folder: Path) -> Architecture:
    """The table of a checkpoint, with the names its files use."""
    return architecture_of(json.loads((folder / "config.json").read_text()), read_headers(folder))


def _config(name: str, **changes: Any) -> Any:
    model_type, differences = TINY_MODELS[name]
    if name in VISION_MODELS:
        text = _COMMON | differences["text_config"]
        return CONFIG_MAPPING[model_type](**(differences | {"text_config": text} | changes))
    return CONFIG_MAPPING[model_type](**(_COMMON | differences | changes))


def auto_class(config: Any) -> Any:
    """The class of transformers that loads a model with its head."""
    return AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM


def save_tiny_model(
    name: str, folder: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any
) -> Path:
    """Write a random model and a byte-level tokenizer; norms and biases are random too, so that folding is tested."""
    config = _config(name, **changes)
    torch.manual_seed(seed)
    model = auto_class(config).from_config(config, dtype=dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():  # Gemma 3's projector starts at zero
                parameter.normal_(std=0.15)
            if parameter.ndim == 1:
                # What it was made with: 0 for biases and for norms that multiply by 1 + weight, else 1.
                parameter.copy_(parameter.mean() + 0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE without merges: 256 bytes and one special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=257, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|end|>", eos_token="<|end|>")


#: The tiny models that R1 passes.
R1_MODELS = tuple(name for name in TINY_MODELS if not tiny_architecture(name).r1_refused)


def load_float64(folder: Path) -> tuple[Any, Any]:
    """(model, tokenizer) with float64 weights, by transformers alone."""
    loader = auto_class(AutoConfig.from_pretrained(folder))
    model = loader.from_pretrained(folder, dtype=torch.float64).eval()
    model.set_experts_implementation("eager")  # experts in other ways compute in 32 bits at most
    return model, AutoTokenizer.from_pretrained(folder)
