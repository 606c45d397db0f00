"""Hidden states of all sequences on the first rank ↔ each rank's own sequences on the rank."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dfrot_engine.distributed import Ranks
from dfrot_engine.forward.hidden_states import HiddenStates, HiddenStore
from dfrot_engine.memory import BATCH_TOKENS


def dealt_out(ranks: Ranks, states: HiddenStore, whole: HiddenStates | None, total: int) -> HiddenStates:
    """This rank's part of hidden states that the first one has, which are all a process alone needs.

    Args:
        whole: None on the other ranks.
        total: sequences that are shared out; `whole` may hold no more than the first of them.
    """
    if ranks.is_alone:
        assert whole is not None
        return whole
    facts = None if whole is None else (list(whole.shape), str(whole.dtype).removeprefix("torch."))
    (count, *shape), dtype_name = ranks.told(facts)
    dtype: torch.dtype = getattr(torch, dtype_name)
    parts = [_below(ranks.share_of(rank, total), count) for rank in range(ranks.world_size)]
    mine = states.new((len(parts[ranks.rank]), *shape), dtype)
    for rounds in _rounds(parts, shape[0]):
        given = None if whole is None else [_padded(whole[one.start : one.stop], rounds) for one in rounds]
        room = (max(map(len, rounds)), *shape)
        mine.append(ranks.deal(given, room, dtype)[: len(rounds[ranks.rank])])
    return mine


def collected(ranks: Ranks, states: HiddenStore, mine: HiddenStates, total: int, count: int) -> HiddenStates | None:
    """The inverse of `dealt_out`: on the first rank all sequences, in a file; None on the others.

    Args:
        count: how many sequences all ranks have together.
    """
    if ranks.is_alone:
        return mine
    parts = [_below(ranks.share_of(rank, total), count) for rank in range(ranks.world_size)]
    whole = states.new((count, *mine.shape[1:]), mine.dtype, on_disk=True) if ranks.is_first else None
    first = parts[ranks.rank].start
    for rounds in _rounds(parts, mine.shape[1]):
        own = rounds[ranks.rank]
        arrived = ranks.collect(_padded(mine[own.start - first : own.stop - first], rounds))
        for one, part in zip(rounds, arrived, strict=False):
            if whole is not None:
                whole.put(one.start, part[: len(one)])
    return whole


def _below(share: range, count: int) -> range:
    return range(min(share.start, count), min(share.stop, count))


def _rounds(parts: list[range], seq_len: int) -> Iterator[list[range]]:
    """A few sequences of every rank at a time, until the longest part is through."""
    size = max(1, BATCH_TOKENS // seq_len)
    for start in range(0, max(map(len, parts)), size):
        yield [part[start : start + size] for part in parts]


def _padded(hidden_BTD: Tensor, rounds: list[range]) -> Tensor:
    """With as many sequences as the longest of the round, since all ranks exchange pieces of one shape."""
    padded = torch.zeros(max(map(len, rounds)), *hidden_BTD.shape[1:], dtype=hidden_BTD.dtype)
    padded[: len(hidden_BTD)] = hidden_BTD
    return padded
