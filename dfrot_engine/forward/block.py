"""One decoder layer at a time: transformers' own module, made on the meta device and filled from tensors."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

from dfrot_engine.errors import ModelError
from dfrot_engine.forward.attention import ATTENTION, KVQuantizer
from dfrot_engine.forward.experts import unpack_experts
from dfrot_engine.forward.room import BatchSize


class BlockFactory:
    """Makes and runs single blocks of a model whose weights stay on disk.

    Args:
        folder: holds config.json; no code of the folder is ever run.
        device: where blocks are filled and run.
        dtype: of the computation.
        batch: how many tokens go through a block at once.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        batch: BatchSize | None = None,
    ) -> None:
        self.device, self.dtype = device, dtype
        self.batch = batch or BatchSize()
        whole = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.config = whole.get_text_config(decoder=True)
        self.config._attn_implementation = ATTENTION  # the documented switch; the property's setter wants a model
        with torch.device("meta"):
            model = AutoModel.from_config(self.config, trust_remote_code=False)
        self._empty_blocks: nn.ModuleList = model.layers
        for block in self._empty_blocks:
            unpack_experts(block)
        self._rotary = type(model.rotary_emb)(config=self.config).to(device)
        self._final_norm = model.norm
        self._layer_types = _layer_types(self.config)
        self._contexts: dict[tuple[int, int, str], dict[str, Any]] = {}

    def fill(self, index: int, tensors: dict[str, Tensor]) -> nn.Module:
        """Block `index` with these tensors (names relative to the block), on the device, in eval mode.

        Raises:
            ModelError: names or shapes do not fit the block.
        """
        block = copy.deepcopy(self._empty_blocks[index])
        return self._load(block, tensors, f"block {index}")

    def fill_final_norm(self, parts: dict[str, Tensor]) -> nn.Module:
        return self._load(copy.deepcopy(self._final_norm), parts, "the final norm")

    @torch.no_grad()
    def run(self, block: nn.Module, index: int, hidden_BTD: Tensor, kv_quantizer: KVQuantizer | None = None) -> Tensor:
        """Hidden states through one block, causal attention over each whole sequence."""
        return self.run_with_gradient(block, index, hidden_BTD, kv_quantizer)

    def run_with_gradient(
        self, block: nn.Module, index: int, hidden_BTD: Tensor, kv_quantizer: KVQuantizer | None = None
    ) -> Tensor:
        """`run` that autograd follows."""
        hidden = hidden_BTD.to(self.device, self.dtype)
        extra = {} if kv_quantizer is None else {"kv_quantizer": kv_quantizer}
        output = block(hidden, **self._context(hidden, index), **extra)
        return output[0] if isinstance(output, tuple) else output

    def _load(self, module: nn.Module, tensors: dict[str, Tensor], what: str) -> nn.Module:
        placed = {name: tensor.to(self.device, self.dtype) for name, tensor in tensors.items()}
        try:
            module.load_state_dict(placed, strict=True, assign=True)
        except RuntimeError as error:
            raise ModelError(
                f"The tensors of {what} do not fit its config: {error}.", "Download the model again."
            ) from None
        return module.requires_grad_(False).eval()

    def _context(self, hidden: Tensor, index: int) -> dict[str, Any]:
        """Positions, rotary embeddings and the mask that this layer's kind of attention wants."""
        kind = self._layer_types[index]
        key = (hidden.shape[0], hidden.shape[1], kind)
        if key not in self._contexts:
            positions = torch.arange(hidden.shape[1], device=self.device)[None]
            make_mask = create_sliding_window_causal_mask if kind == "sliding_attention" else create_causal_mask
            mask = make_mask(
                config=self.config,
                inputs_embeds=hidden,
                attention_mask=None,
                past_key_values=None,
                position_ids=positions,
            )
            # Rotary embeddings that differ by the layer's kind have a list of kinds.
            own_base = {"layer_type": kind} if hasattr(self._rotary, "layer_types") else {}
            self._contexts = {
                key: {
                    "attention_mask": mask,
                    "position_ids": positions,
                    "position_embeddings": self._rotary(hidden, position_ids=positions, **own_base),
                }
            }
        return self._contexts[key]


def _layer_types(config: Any) -> list[str]:
    """The kind of attention of every layer; fields that the model's class does not know change nothing there."""
    known = {field.name for field in dataclasses.fields(config)}
    if "layer_types" in known:
        return list(config.layer_types)
    is_sliding = "sliding_window" in known and config.sliding_window is not None
    return ["sliding_attention" if is_sliding else "full_attention"] * config.num_hidden_layers
