"""The two streams of the quantize stage: how many sequences each has, and each rank's part of them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from dfrot_engine.forward.hidden_states import HiddenStates
from dfrot_engine.forward.room import Room
from dfrot_engine.forward.shares import collected, dealt_out
from dfrot_engine.forward.stream import Streams, embed_into
from dfrot_engine.job import Job
from dfrot_engine.recipe import CALIBRATED, Qronos

_MEASURED_TOKENS = 2_048  # whose errors are measured; solvers that need data see all of the calibration


class _Sequences(NamedTuple):
    """How many calibration sequences each stream has, all ranks' together."""

    exact: int
    quantized: int


def _sequences(job: Job) -> _Sequences:
    """A stream that need not have all has no more than errors are measured on."""
    recipe, every = job.recipe, job.recipe.calibration.num_samples
    few = min(every, measured_sequences(recipe.calibration.seq_len))
    recovers = recipe.recovery is not None
    return _Sequences(
        exact=every if recovers or isinstance(recipe.solver, Qronos) else few,
        quantized=every if recovers or isinstance(recipe.solver, CALIBRATED) else few,
    )


def measured_sequences(seq_len: int) -> int:
    """The first so many are what errors are measured on."""
    return max(1, _MEASURED_TOKENS // seq_len)


def first_streams(job: Job, room: Room, embedding_VD: Tensor, tokens_BT: Tensor) -> dict[str, HiddenStates]:
    """All sequences in front of the first block."""
    numbers = _sequences(job)

    def embedded(count: int) -> HiddenStates:
        return embed_into(room.states, embedding_VD, job.architecture, tokens_BT[:count])

    quantized = embedded(numbers.quantized)
    exact = quantized if numbers.exact == numbers.quantized else embedded(numbers.exact)
    return {"exact": exact, "quantized": quantized}


def my_streams(job: Job, room: Room, whole: dict[str, HiddenStates]) -> Streams:
    """Of what the first rank has.

    Args:
        whole: nothing on the other ranks.
    """
    numbers = _sequences(job)
    mine = {name: dealt_out(job.ranks, room.states, whole.get(name), max(numbers)) for name in numbers._fields}
    return Streams(**mine, first=job.ranks.my_share(max(numbers)).start)


def whole_streams(job: Job, room: Room, streams: Streams) -> dict[str, HiddenStates]:
    """All ranks' on the first one, nothing on the others; with several ranks all lie in files."""
    numbers = _sequences(job)
    whole: dict[str, HiddenStates] = {}
    for name, count in numbers._asdict().items():
        collected_states = collected(job.ranks, room.states, getattr(streams, name), max(numbers), count)
        if collected_states is not None:
            whole[name] = collected_states
    return whole
