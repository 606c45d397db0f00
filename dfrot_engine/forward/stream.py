"""The only loop over sequences: hidden states in, hidden states out, one block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.forward.attended import Attended, without_attention
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import Hidden, HiddenStates, HiddenStore
from dfrot_engine.memory import BATCH_TOKENS


@dataclass(frozen=True)
class Streams:
    """Hidden states in front of a block, in rotated space, [B, T, D] float32.

    Args:
        exact: through the folded, unquantized blocks; the first sequences only, unless the solver wants them all.
        quantized: through the quantized blocks.
        first: number of the first of them, where each of several processes has its own sequences.
    """

    exact: Hidden
    quantized: Hidden
    first: int = 0

    def among_first(self, count: int) -> int:
        """How many of this process's sequences are among the first of all."""
        return max(0, min(count - self.first, len(self.quantized)))


def embed(reader: CheckpointReader, architecture: Architecture, tokens_BT: Tensor) -> Tensor:
    """[B, T, D] float32 on the CPU: the residual stream in front of the first block."""
    return look_up(reader.tensor(f"{architecture.embedding}.weight"), architecture, tokens_BT)


def look_up(embedding_VD: Tensor, architecture: Architecture, tokens_BT: Tensor) -> Tensor:
    """[B, T, D] float32: the tokens' rows, scaled as the model scales them."""
    return embedding_VD[tokens_BT].float() * architecture.embedding_scale


def embed_into(
    states: HiddenStore, embedding_VD: Tensor, architecture: Architecture, tokens_BT: Tensor
) -> HiddenStates:
    """`look_up`, a few sequences at a time."""
    hidden = states.new((*tokens_BT.shape, embedding_VD.shape[1]))
    for batch_BT in batches(tokens_BT):
        hidden.append(look_up(embedding_VD, architecture, batch_BT))
    return hidden


def run_block(
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden: Hidden,
    kv_quantizer: KVQuantizer | None = None,
    *,
    between: Callable[[], None] = lambda: None,
) -> Tensor:
    """Every sequence through one block, a few at a time; returns a new tensor where the old one was, on the CPU.

    Args:
        between: called after each batch; what it raises ends the work.
    """
    return torch.cat(list(outputs_of(factory, block, index, hidden, kv_quantizer, between=between)))


def pass_on(
    states: HiddenStore,
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden: Hidden,
    kv_quantizer: KVQuantizer | None = None,
    *,
    attended: Attended | None = None,
    between: Callable[[], None] = lambda: None,
) -> HiddenStates:
    """`run_block` within the budget of a store."""
    after = states.new(hidden.shape, hidden.dtype)
    for output in outputs_of(factory, block, index, hidden, kv_quantizer, attended=attended, between=between):
        after.append(output)
    return after


def outputs_of(
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden: Hidden,
    kv_quantizer: KVQuantizer | None = None,
    *,
    sequences: range | None = None,
    attended: Attended | None = None,
    between: Callable[[], None] = lambda: None,
) -> Iterator[Tensor]:
    """The block's output for a few sequences at a time, all of them or these, in their dtype and where they were.

    Args:
        attended: what attention gives, where it is known already.
    """
    device = hidden.device if isinstance(hidden, Tensor) else torch.device("cpu")
    which = range(len(hidden)) if sequences is None else sequences

    def run(part: slice) -> Tensor:
        with without_attention(attended, block, part):
            return factory.run(block, index, hidden[part], kv_quantizer)

    for output in factory.batch.in_batches(which, hidden.shape[1], run):
        yield output.to(device, hidden.dtype)
        between()


def first_tokens(streams: Streams) -> Tensor:
    """[b, T, D] of the quantized stream about two thousand tokens: the first sequences, those of them that are here, or
    evenly spread tokens of one that is longer.

    Not to be run through a block, which wants whole sequences.
    """
    hidden = streams.quantized
    step = -(-hidden.shape[1] // BATCH_TOKENS)
    return hidden[: streams.among_first(max(1, BATCH_TOKENS // hidden.shape[1]))][:, ::step]


def batches(hidden: Hidden) -> Iterator[Tensor]:
    """A few whole sequences at a time, about two thousand tokens."""
    size = max(1, BATCH_TOKENS // hidden.shape[1])
    for start in range(0, len(hidden), size):
        yield hidden[start : min(start + size, len(hidden))]


class _Reached(Exception):
    """The module that was waited for has been called."""


def input_of(
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden_BTD: Tensor,
    linear: str,
    kv_quantizer: KVQuantizer | None = None,
) -> Tensor:
    """What one linear of a block reads, [B, T, I]; the block is run no further than that."""
    return arguments_of(factory, block, index, hidden_BTD, linear, kv_quantizer)[0]


def arguments_of(
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden_BTD: Tensor,
    module: str,
    kv_quantizer: KVQuantizer | None = None,
) -> tuple[Tensor, ...]:
    """What one module of a block is called with; the block is run no further than that."""
    seen: list[tuple[Tensor, ...]] = []

    def stop(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        seen.append(args)
        raise _Reached

    handle = block.get_submodule(module).register_forward_pre_hook(stop)
    try:
        factory.run(block, index, hidden_BTD, kv_quantizer)
    except _Reached:
        return seen.pop()
    finally:
        handle.remove()
    raise AssertionError(f"{module} was not called")


@contextmanager
def on_pass(block: nn.Module, begin: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    """`begin` before each batch enters the block, `end` after it has left it; one that fails in between never ends.

    What hooks inside the block gather belongs to the pass, and counts only when it ends.
    """
    handles = [
        block.register_forward_pre_hook(lambda _module, _args: begin()),
        block.register_forward_hook(lambda _module, _args, _output: end()),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
