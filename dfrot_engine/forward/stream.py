"""The only loop over sequences: hidden states in, hidden states out, one block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory

BATCH_TOKENS = 2_048


@dataclass(frozen=True)
class Streams:
    """Hidden states in front of a block, in rotated space, [B, T, D] float32.

    Args:
        exact: through the folded, unquantized blocks; the first sequences only, unless the solver wants them all.
        quantized: through the quantized blocks.
    """

    exact: Tensor
    quantized: Tensor


def embed(reader: CheckpointReader, architecture: Architecture, tokens_BT: Tensor) -> Tensor:
    """[B, T, D] float32 on the CPU: the residual stream in front of the first block."""
    return look_up(reader.tensor(f"{architecture.embedding}.weight"), architecture, tokens_BT)


def look_up(embedding_VD: Tensor, architecture: Architecture, tokens_BT: Tensor) -> Tensor:
    """[B, T, D] float32: the tokens' rows, scaled as the model scales them."""
    return embedding_VD[tokens_BT].float() * architecture.embedding_scale


def run_block(
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden_BTD: Tensor,
    kv_quantizer: KVQuantizer | None = None,
    *,
    between: Callable[[], None] = lambda: None,
) -> Tensor:
    """Every sequence through one block, a few at a time; returns a new tensor where the old one was, on the CPU.

    Args:
        between: called after each batch; what it raises ends the work.
    """
    outputs: list[Tensor] = []
    for batch in batches(hidden_BTD):
        outputs.append(factory.run(block, index, batch, kv_quantizer).to(hidden_BTD.device, hidden_BTD.dtype))
        between()
    return torch.cat(outputs)


def first_tokens(hidden_BTD: Tensor) -> Tensor:
    """[B, T, D] about two thousand tokens: the first sequences, or evenly spread ones of one that is longer.

    Not to be run through a block, which wants whole sequences.
    """
    step = -(-hidden_BTD.shape[1] // BATCH_TOKENS)
    return hidden_BTD[: max(1, BATCH_TOKENS // hidden_BTD.shape[1]), ::step]


def batches(hidden_BTD: Tensor) -> Iterator[Tensor]:
    """A few whole sequences at a time, about two thousand tokens."""
    yield from hidden_BTD.split(max(1, BATCH_TOKENS // hidden_BTD.shape[1]))


class _Reached(Exception):
    """The module that was waited for has been called."""


def inputs_of(
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden_BTD: Tensor,
    linear: str,
    kv_quantizer: KVQuantizer | None = None,
) -> Iterator[Tensor]:
    """What one linear of a block reads, [B, T, I], a few sequences at a time; the block is run no further than that."""
    for read, *_ in arguments_of(factory, block, index, hidden_BTD, linear, kv_quantizer):
        yield read


def arguments_of(
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden_BTD: Tensor,
    module: str,
    kv_quantizer: KVQuantizer | None = None,
) -> Iterator[tuple[Tensor, ...]]:
    """What one module of a block is called with, a few sequences at a time; the block is run no further than that."""
    seen: list[tuple[Tensor, ...]] = []

    def stop(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        seen.append(args)
        raise _Reached

    for batch in batches(hidden_BTD):
        handle = block.get_submodule(module).register_forward_pre_hook(stop)
        try:
            factory.run(block, index, batch, kv_quantizer)
        except _Reached:
            yield seen.pop()
        finally:
            handle.remove()
