"""Logits of whole windows, from the streamed original, the streamed quantized blocks, or a checkpoint others load."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, GgufConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils import logging as transformers_logging

from dfrot_engine.adapter_folder import ADAPTER, ADAPTER_WEIGHTS, has_adapter
from dfrot_engine.architectures.base import Architecture
from dfrot_engine.checkpoint.headers import read_headers, whole_model_bytes
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.errors import RunError
from dfrot_engine.exporters.gguf_table import GGUF_ARCHITECTURES
from dfrot_engine.exporters.rotated_modeling import RotatesInputs
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear
from dfrot_engine.forward.hidden_states import Hidden
from dfrot_engine.forward.quantized_block import fill_quantized_block, kv_quantizer
from dfrot_engine.forward.quantized_head import fill_quantized_head
from dfrot_engine.forward.room import Room
from dfrot_engine.forward.stream import embed_into, pass_on
from dfrot_engine.job import Job
from dfrot_engine.outer import final_norm_parts, finish_logits, folded_norm_parts, head_weight
from dfrot_engine.overlap import read_ahead
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir

#: window number → logits [T, V]
LogitsOf = Callable[[int], Tensor]


def original_logits(job: Job, tokens_BT: Tensor, say: Callable[[int], None], room: Room | None = None) -> LogitsOf:
    """Stream the original through the windows; logits are made from the last hidden states when they are asked for."""
    names, room = job.architecture, room or Room.unlimited()
    factory = BlockFactory(job.model_dir, job.device, batch=room.batch)
    with CheckpointReader(job.model_dir) as reader:
        hidden = embed_into(room.states, reader.tensor(f"{names.embedding}.weight"), names, tokens_BT)
        numbers = range(names.num_blocks)
        blocks = read_ahead(partial(read_block, reader, names), numbers, overlaps=room.overlaps)
        for index in numbers:
            block = factory.fill(index, next(blocks))
            hidden = pass_on(room.states, factory, block, index, hidden, between=lambda index=index: say(index))
            del block  # before the next one is read
        norm = factory.fill_final_norm(final_norm_parts(names, reader))
        head = QuantizedLinear(head_weight(job, reader).to(job.device).float(), None, None, None)
    return _head_logits(names, hidden, norm, head)


def quantized_logits(
    job: Job,
    work: WorkDir,
    rotations: RotationSet,
    tokens_BT: Tensor,
    room: Room | None = None,
    *,
    change: Callable[[int, nn.Module], None] = lambda _index, _block: None,
) -> LogitsOf:
    """Stream the stored blocks with fake-quantized activations: what the recipe means, formats left aside.

    Args:
        change: is handed every filled block before it runs.
    """
    room = room or Room.unlimited()
    factory = BlockFactory(job.model_dir, job.device, batch=room.batch)
    rotations = rotations.to(job.device)
    outer, _ = work.load_block("quantize", "outer")
    hidden = embed_into(room.states, outer["embedding"], job.architecture, tokens_BT)
    numbers = range(job.architecture.num_blocks)
    blocks = read_ahead(lambda index: work.load_block("quantize", f"{index:05}")[0], numbers, overlaps=room.overlaps)
    for index in numbers:
        stored = next(blocks)
        block = fill_quantized_block(factory, job, index, stored, rotations)
        change(index, block)
        hidden = pass_on(room.states, factory, block, index, hidden, kv_quantizer(job, rotations, stored))
        del stored, block  # before the next one is read
    norm = factory.fill_final_norm(folded_norm_parts(outer))
    return _head_logits(job.architecture, hidden, norm, fill_quantized_head(job, outer))


def fits_whole(job: Job, num_copies: int = 1) -> bool:
    """Whether the written model may lie in memory unpacked, in 16 bits or so many times that."""
    sizes = job.architecture
    untied_head = sizes.vocab_size * sizes.hidden_size if sizes.tied else 0
    num_bytes = num_copies * whole_model_bytes(read_headers(job.model_dir).values(), untied_head)
    free = torch.cuda.mem_get_info()[0] if job.device.type == "cuda" else num_bytes
    return num_bytes <= min(job.options.memory_budget, free)


def load_checkpoint(folder: Path, device: torch.device, dtype: torch.dtype | None = None) -> nn.Module:
    """Load a checkpoint folder as any user would, with transformers; of a GGUF file its weights in float32.

    Code in the folder is never run; where one of ours would apply R4, our own copy of that code does.

    Args:
        dtype: of the computation; the checkpoint's own by default.
    Raises:
        RunError: transformers refuses the folder.
    """
    transformers_logging.disable_progress_bar()
    try:
        with without_bars():
            how = _gguf_arguments(folder) or {"dtype": dtype or "auto"}
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            loader = _rotated_class(config) if rotation_of(config) else loader_of(config)
            model = loader.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **how)
            return cast("nn.Module", model).to(device).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise RunError(
            f"transformers cannot load {folder}: {error}.", "Check the folder; if this program wrote it, report it."
        ) from error


def _gguf_arguments(folder: Path) -> dict[str, Any]:
    """What `from_pretrained` needs besides for a folder that holds a GGUF file; nothing for others."""
    path = next(folder.glob("*.gguf"), None)
    if path is None:
        return {}
    # Of the file's own keys transformers loses the head size and the scaling of RoPE.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    row = GGUF_ARCHITECTURES.get(config.get("model_type"))
    if row is not None:
        config["model_type"] = row.name
    return {
        "gguf_file": path.name,
        "config": AutoConfig.for_model(**config),
        "quantization_config": GgufConfig(dequantize=True),
        "dtype": torch.float32,
    }


def reloaded_logits(folder: Path, tokens_BT: Tensor, device: torch.device, *, adapter: bool = True) -> LogitsOf:
    """Of a checkpoint folder that users load, with the adapter beside it, if there is one; raises as `load_checkpoint`.

    Args:
        adapter: whether it is loaded.
    """
    return logits_of(load_model(folder, device, adapter=adapter), tokens_BT)


def load_model(
    folder: Path, device: torch.device, dtype: torch.dtype | None = None, *, adapter: bool = True
) -> nn.Module:
    """`load_checkpoint` with the adapter beside it, if there is one and it is wanted."""
    model = load_checkpoint(folder, device, dtype)
    return _with_adapter(model, folder / ADAPTER) if adapter and has_adapter(folder) else model


def logits_of(model: nn.Module, tokens_BT: Tensor, *, rounds: bool = True) -> LogitsOf:
    """Of a loaded model, on the device it is on.

    Args:
        rounds: activations, keys and values as its files say.
    """
    device = next(model.parameters()).device

    @torch.no_grad()
    def logits(window: int) -> Tensor:
        with without_bars(), contextlib.nullcontext() if rounds else weights_alone(model):
            return model(tokens_BT[window : window + 1].to(device), use_cache=False).logits[0]

    return logits


@contextlib.contextmanager
def weights_alone(model: nn.Module) -> Iterator[None]:
    """A loaded compressed-tensors model rounds neither the inputs of its linears nor keys and values meanwhile."""
    schemes = {id(one): one for one in (getattr(part, "quantization_scheme", None) for part in model.modules()) if one}
    rounded = {key: one.input_activations for key, one in schemes.items()}
    for one in schemes.values():
        one.input_activations = None
    try:
        yield
    finally:
        for key, one in schemes.items():
            one.input_activations = rounded[key]


def rotation_of(config: Any) -> dict[str, Any] | None:
    """What a checkpoint's config says of an R4 to be applied, if it does."""
    found = getattr(config, "rotation_config", None)
    return found if isinstance(found, dict) and isinstance(found.get("config_groups"), dict) else None


def is_rotated(folder: Path) -> bool:
    """Whether the checkpoint in a folder has an R4 to be applied."""
    return rotation_of(AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)) is not None


def _rotated_class(config: Any) -> Any:
    """What the code in a folder with R4 defines, made of our own copy of that code; none in a folder is ever run."""
    base: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return type(f"Rotated{base.__name__}", (RotatesInputs, base), {})


def _with_adapter(model: nn.Module, folder: Path) -> nn.Module:
    """The model with the adapter of this folder.

    Raises:
        RunError: PEFT refuses the adapter.
    """
    from peft import PeftModel  # three seconds, which other runs need not wait

    # PEFT looks for dense weights, which packed linears have from their first forward on.
    with torch.no_grad(), without_bars():
        model(torch.zeros(1, 1, dtype=torch.long, device=next(model.parameters()).device), use_cache=False)
    try:
        return PeftModel.from_pretrained(cast("Any", model), str(folder), local_files_only=True).eval()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        remedy = f"Check {ADAPTER_WEIGHTS} there, or remove the folder to measure the checkpoint alone."
        raise RunError(f"PEFT cannot load {folder}: {error}.", remedy) from error


def loader_of(config: Any) -> Any:
    """The class of transformers that loads models of this config with their head."""
    return AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM


def without_bars() -> contextlib.redirect_stderr[io.StringIO]:
    """compressed-tensors draws bars, at loading and at the first forward, that no switch turns off."""
    return contextlib.redirect_stderr(io.StringIO())


def _head_logits(names: Architecture, hidden: Hidden, norm: nn.Module, head: QuantizedLinear) -> LogitsOf:
    @torch.no_grad()
    def logits(window: int) -> Tensor:
        return finish_logits(head(norm(hidden[window : window + 1][0].to(head.weight.device))), names)

    return logits
