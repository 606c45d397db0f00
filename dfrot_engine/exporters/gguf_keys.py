"""What the head of a GGUF file says of the model: sizes, RoPE, tokenizer."""

from __future__ import annotations

import torch
from gguf import GGML_QUANT_VERSION, GGUFWriter, LlamaFileType
from torch import Tensor
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from dfrot_engine.checkpoint.source import gguf_path
from dfrot_engine.exporters.gguf_table import rope_of
from dfrot_engine.exporters.gguf_tokenizer import built_keys, copied_keys
from dfrot_engine.job import Job

_RMS_EPSILON = 1e-6  # what the classes take where a config leaves it out


def add_keys(writer: GGUFWriter, job: Job, kind: str) -> None:
    """Everything but the tensors.

    Args:
        kind: the type of most weights.
    """
    sizes, config, rope = job.architecture, job.config, rope_of(job.config)
    writer.add_type("model")
    writer.add_name(job.model_id)
    writer.add_file_type(LlamaFileType[f"MOSTLY_{kind}"])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_block_count(sizes.num_blocks)
    writer.add_context_length(sizes.max_length)
    writer.add_embedding_length(sizes.hidden_size)
    writer.add_feed_forward_length(sizes.intermediate_size)
    writer.add_head_count(sizes.num_heads)
    writer.add_head_count_kv(sizes.num_kv_heads)
    writer.add_key_length(sizes.head_size)
    writer.add_value_length(sizes.head_size)
    writer.add_rope_dimension_count(sizes.head_size)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", _RMS_EPSILON))
    writer.add_vocab_size(sizes.vocab_size)
    source = gguf_path(job.recipe.model)
    keys = built_keys(job.model_dir, config, sizes.vocab_size) if source is None else copied_keys(source)
    for key in keys:
        writer.add_key_value(key.name, key.value, key.type, key.item_type)


def rope_factors(job: Job) -> Tensor | None:
    """What llama.cpp divides each of RoPE's frequencies by, float32; None where they are not scaled."""
    rope = rope_of(job.config)
    if rope["rope_type"] == "default":
        return None
    config = AutoConfig.from_pretrained(job.model_dir, trust_remote_code=False)
    scaled, _ = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, torch.device("cpu"))
    plain = rope["rope_theta"] ** -(
        torch.arange(0, job.architecture.head_size, 2).double() / job.architecture.head_size
    )
    return (plain / scaled.double()).float()
