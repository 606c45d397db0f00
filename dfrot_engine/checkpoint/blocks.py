"""What a model's files hold under the names of its table, whether they hold experts one by one or packed.

Packed tensors are `experts.gate_up_proj` [E, 2F, D], gate above up, and `experts.down_proj` [E, D, F], as transformers
holds them in memory. The shapes in the files decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.architectures.moe import MOST_EXPERTS
from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.checkpoint.headers import TensorHeader

_PACKED_DIMENSIONS = 3
#: how a packed tensor's name ends → the linears of each expert that lie in it, one above the other
PACKED = {"experts.gate_up_proj": ("gate_proj", "up_proj"), "experts.down_proj": ("down_proj",)}


class Part(NamedTuple):
    """A tensor of the table: some rows of one expert of a packed tensor, or all of a tensor."""

    name: str
    expert: int | None = None
    rows: slice = slice(None)


def in_table_names(facts: ModelFacts, architecture: Architecture) -> ModelFacts:
    """The facts with headers by the names of the model's table; experts one by one."""
    if not architecture.experts_per_token:
        return facts
    headers = {
        part.name: _header_of(part, header)
        for stored, header in facts.headers.items()
        for part in parts_of(architecture.own_name(stored), header.shape)
    }
    return replace(facts, headers=headers)


def parts_of(name: str, shape: tuple[int, ...]) -> Iterator[Part]:
    """What a tensor of the files holds.

    Args:
        name: as `Architecture.own_name` gives it.
    """
    ending = next((one for one in PACKED if name.endswith(one)), None)
    if ending is None or not _is_packed(shape, len(PACKED[ending])):
        yield Part(name)
        return
    experts = name.removesuffix(ending.rpartition(".")[2])
    height = shape[1] // len(PACKED[ending])
    for expert in range(shape[0]):
        for number, linear in enumerate(PACKED[ending]):
            rows = slice(number * height, (number + 1) * height)
            yield Part(f"{experts}{expert}.{linear}.weight", expert, rows)


def _is_packed(shape: tuple[int, ...], linears: int) -> bool:
    # Headers are not trusted: a shape without numbers in it may claim any number of experts.
    return len(shape) == _PACKED_DIMENSIONS and all(shape) and shape[0] <= MOST_EXPERTS and shape[1] % linears == 0


def _header_of(part: Part, stored: TensorHeader) -> TensorHeader:
    if part.expert is None:
        return TensorHeader(part.name, stored.dtype, stored.shape, stored.shard, stored.num_bytes)
    count, height, columns = stored.shape
    rows = len(range(*part.rows.indices(height)))
    num_bytes = stored.num_bytes * rows // (count * height)
    return TensorHeader(part.name, stored.dtype, (rows, columns), stored.shard, num_bytes)
