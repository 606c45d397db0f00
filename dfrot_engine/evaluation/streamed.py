"""A written checkpoint block by block, as transformers computes it: for models that do not fit into memory whole."""

from __future__ import annotations

import contextlib
import copy
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.modeling.kvcache import KV_CACHE_ATTR, QuantizedKVCache
from torch import Tensor, nn
from transformers import AutoConfig
from transformers.quantizers.auto import AutoHfQuantizer

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.evaluation.models import LogitsOf, loader_of, rotation_of, weights_alone, without_bars
from dfrot_engine.exporters.rotated_modeling import MATRIX, rotate_inputs, without_guard
from dfrot_engine.forward.attention import ATTENTION
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.room import Room
from dfrot_engine.forward.stream import batches, pass_on
from dfrot_engine.memory import return_freed_memory
from dfrot_engine.outer import finish_logits
from dfrot_engine.overlap import read_ahead


def streamed_logits(
    folder: Path,
    names: Architecture,
    tokens_BT: Tensor,
    device: torch.device,
    room: Room,
    say: Callable[[int], None],
    *,
    rounds: bool = True,
) -> LogitsOf:
    """What `reloaded_logits` gives, with one block in memory: transformers' own modules, unpacked by its own quantizer.

    Args:
        names: of the model; the checkpoint has the same.
        say: called after each batch with the number of the block; what it raises ends the work.
        rounds: activations, keys and values as the files say.
    """
    filler = _Filler(folder, device)
    factory = BlockFactory(folder, device, filler.dtype, batch=room.batch)
    with CheckpointReader(folder) as reader:
        embedding_VD = reader.tensor(f"{names.embedding}.weight")
        hidden = room.states.new((*tokens_BT.shape, names.hidden_size), filler.dtype)
        scale = torch.tensor(names.embedding_scale, dtype=filler.dtype)  # rounded, as transformers has it
        for batch_BT in batches(tokens_BT):
            hidden.append(embedding_VD[batch_BT].to(filler.dtype) * scale)
        del embedding_VD
        numbers = range(names.num_blocks)
        blocks = read_ahead(lambda index: reader.block(names.block_prefix(index)), numbers, overlaps=room.overlaps)
        for index in numbers:
            block = filler.fill(filler.blocks[index], next(blocks))
            with contextlib.nullcontext() if rounds else weights_alone(block):
                hidden = pass_on(room.states, factory, block, index, hidden, between=lambda index=index: say(index))
            del block  # before the next one is read
            return_freed_memory(cycles=True)
        norm = filler.fill(filler.norm, reader.block(f"{names.final_norm.name}."))
        head = filler.fill(filler.head, reader.block(f"{names.head_tensor}."))

    @torch.no_grad()
    def logits(window: int) -> Tensor:
        return finish_logits(head(norm(hidden[window : window + 1].to(device)))[0], names)

    return logits


class _Filler:
    """Modules of a checkpoint's text model, made on the meta device; filled with what is stored, one at a time."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        rotation = rotation_of(config)
        config = without_guard(config) if rotation else config
        config.get_text_config(decoder=True)._attn_implementation = ATTENTION
        self.dtype: torch.dtype = config.dtype
        self._device = device
        with torch.device("meta"):
            model: Any = loader_of(config).from_config(config, dtype=config.dtype, trust_remote_code=False)
        self._quantizer: Any = None
        if getattr(config, "quantization_config", None) is not None:
            self._quantizer = AutoHfQuantizer.from_config(config.quantization_config, pre_quantized=True)
            with without_bars():
                self._quantizer.validate_environment()
                self._quantizer.preprocess_model(model=model, dtype=config.dtype)
        if rotation:
            rotate_inputs(model, rotation)
        decoder = model.get_decoder()
        self.blocks: nn.ModuleList = decoder.layers
        self.norm: nn.Module = decoder.norm
        self.head: nn.Module = model.get_output_embeddings()

    def fill(self, module: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
        """A copy of the module with these tensors, unpacked, on the device."""
        module = copy.deepcopy(module)
        for attention in module.modules():  # whose copy still points at the original
            if isinstance(cache := getattr(attention, KV_CACHE_ATTR, None), QuantizedKVCache):
                cache.attn_module = weakref.ref(attention)
        placed = {key: one.to(self._device) for key, one in tensors.items() if not key.endswith(MATRIX)}
        module.load_state_dict(placed, strict=True, assign=True)
        if self._quantizer is not None:
            with without_bars():
                self._quantizer.compressor.decompress_model(module)
        return module.requires_grad_(False).eval()
