"""A GGUF file seen as the checkpoint it becomes: config, headers, and the folder it is converted to, once."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from dfrot_engine.checkpoint.facts import ModelFacts, ModelFile
from dfrot_engine.checkpoint.gguf_header import GgufHeader, GgufTensor, read_gguf_header
from dfrot_engine.checkpoint.headers import SINGLE_SHARD, TensorHeader
from dfrot_engine.checkpoint.json_files import DOWNLOAD_AGAIN, MODEL_FIELD
from dfrot_engine.checkpoint.local import inspect_folder
from dfrot_engine.errors import ModelError

#: GGUF architecture → model_type. Mistral's files call themselves llama.
MODEL_TYPES = {"llama": "llama", "mistral": "mistral", "qwen2": "qwen2", "qwen3": "qwen3"}
# Raised when a conversion by an older version may no longer be used.
CONVERSION = 1

_CONFIG_KEYS = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
}
_MODEL_NAMES = {
    "token_embd": "model.embed_tokens",
    "output": "lm_head",
    "output_norm": "model.norm",
}
_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def inspect_gguf(path: Path, *, model_id: str) -> ModelFacts:
    """Facts of a GGUF file: of its converted folder when that is there, else as the conversion will make it.

    Raises:
        ModelError: not a sound GGUF file, or of an architecture that is not known.
    """
    file_facts = _facts(path, _modified_ns(path), model_id)
    folder = converted_folder(path)
    if not folder.is_dir():
        return file_facts
    facts = inspect_folder(folder, model_id=model_id)
    return replace(facts, license=file_facts.license)


def converted_folder(path: Path) -> Path:
    """Where the converted copy of this very file lies, or will lie: in the app's cache."""
    stat = path.stat()
    key = hashlib.sha256(f"{CONVERSION} {path.name} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:12]
    return user_cache_path("dfrot") / "models" / f"{path.stem}-{key}"


@lru_cache(maxsize=8)
def _facts(path: Path, modified_ns: int, model_id: str) -> ModelFacts:
    header = read_gguf_header(path)
    config = _config(header, path)
    headers = {
        tensor.name: tensor for tensor in (_tensor_header(source) for source in header.tensors) if tensor is not None
    }
    return ModelFacts(
        id=model_id,
        revision="",
        config=config,
        headers=headers,
        files=(ModelFile(path.name, path.stat().st_size),),
        folder=None,
        download_bytes=0,
        license=str(header.keys.get("general.license", "")),
        gated=False,
    )


def _config(header: GgufHeader, path: Path) -> dict[str, Any]:
    architecture = header.keys.get("general.architecture")
    if architecture not in MODEL_TYPES:
        raise ModelError(
            f"{path.name} holds the architecture '{architecture}', which is not supported.",
            f"Known GGUF architectures: {', '.join(sorted(MODEL_TYPES))}.",
            MODEL_FIELD,
        )
    _check_rope(header, architecture, path)
    config: dict[str, Any] = {"model_type": MODEL_TYPES[architecture]}
    for key, name in _CONFIG_KEYS.items():
        value = header.keys.get(f"{architecture}.{key}")
        if value is not None:
            config[name] = value
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    embedding, query = shapes.get("token_embd.weight", ()), shapes.get("blk.0.attn_q.weight", ())
    num_heads = config.get("num_attention_heads")
    if len(embedding) != 2 or len(query) != 2 or type(num_heads) is not int or num_heads < 1:
        raise ModelError(
            f"{path.name} lacks the embedding, the first query projection or the number of heads.",
            DOWNLOAD_AGAIN,
            MODEL_FIELD,
        )
    # The rows are the truth: the keys name the rotary width, which may be smaller, or nothing at all.
    config |= {"vocab_size": embedding[0], "head_dim": query[0] // num_heads}
    config["tie_word_embeddings"] = "output.weight" not in shapes
    config["dtype"] = "float32"
    return config


def _check_rope(header: GgufHeader, architecture: str, path: Path) -> None:
    scaling = header.keys.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none" or any(tensor.name.startswith("rope_f") for tensor in header.tensors):
        raise ModelError(
            f"{path.name} scales its rotary embedding, which a conversion by transformers would silently lose.",
            "Choose the model's safetensors instead.",
            MODEL_FIELD,
        )


def _tensor_header(tensor: GgufTensor) -> TensorHeader | None:
    stem, _, kind = tensor.name.rpartition(".")
    parts = stem.split(".", 2)
    if parts[0] == "blk" and len(parts) == 3 and parts[2] in _BLOCK_NAMES:
        name = f"model.layers.{parts[1]}.{_BLOCK_NAMES[parts[2]]}"
    elif stem in _MODEL_NAMES:
        name = _MODEL_NAMES[stem]
    else:
        return None
    return TensorHeader(f"{name}.{kind}", "F32", tensor.shape, SINGLE_SHARD, 4 * math.prod(tensor.shape))


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror}.", "Check the path.", MODEL_FIELD) from None
