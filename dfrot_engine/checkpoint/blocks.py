"""A block's tensors under the names of its table, however the files hold its experts: one by one, or packed.

Packed tensors are `experts.gate_up_proj` [E, 2F, D], gate above up, and `experts.down_proj` [E, D, F], as transformers
holds them in memory. The shapes in the files decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.architectures.moe import MOST_EXPERTS
from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.checkpoint.headers import TensorHeader

if TYPE_CHECKING:
    from torch import Tensor

    from dfrot_engine.checkpoint.reader import CheckpointReader

_PACKED_DIMENSIONS = 3
#: how a packed tensor's name ends → the linears of each expert that lie in it, one above the other
PACKED = {"experts.gate_up_proj": ("gate_proj", "up_proj"), "experts.down_proj": ("down_proj",)}


class _Part(NamedTuple):
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
        for part in _parts(architecture.own_name(stored), header.shape)
    }
    return replace(facts, headers=headers)


def read_block(reader: CheckpointReader, architecture: Architecture, index: int) -> dict[str, Tensor]:
    """Every tensor of a block by its table's name relative to the block, in the checkpoint's own dtype, on the CPU.

    Raises:
        ModelError: there is none, or a shard cannot be read.
    """
    return {
        part.name: tensor if part.expert is None else tensor[part.expert, part.rows]
        for stored, tensor in reader.block(architecture.block_prefix(index)).items()
        for part in _parts(architecture.own_name(stored), tuple(tensor.shape))
    }


def _parts(name: str, shape: tuple[int, ...]) -> Iterator[_Part]:
    """What a tensor of the files holds."""
    ending = next((one for one in PACKED if name.endswith(one)), None)
    # Headers are not trusted: a shape without numbers in it may claim any number of experts.
    if ending is None or len(shape) != _PACKED_DIMENSIONS or not 0 < shape[0] <= MOST_EXPERTS or not all(shape):
        yield _Part(name)
        return
    experts = name.removesuffix(ending.rpartition(".")[2])
    height = shape[1] // len(PACKED[ending])
    for expert in range(shape[0]):
        for number, linear in enumerate(PACKED[ending]):
            rows = slice(number * height, (number + 1) * height)
            yield _Part(f"{experts}{expert}.{linear}.weight", expert, rows)


def _header_of(part: _Part, stored: TensorHeader) -> TensorHeader:
    if part.expert is None:
        return TensorHeader(part.name, stored.dtype, stored.shape, stored.shard, stored.num_bytes)
    count, height, columns = stored.shape
    rows = len(range(*part.rows.indices(height)))
    num_bytes = stored.num_bytes * rows // (count * height)
    return TensorHeader(part.name, stored.dtype, (rows, columns), stored.shard, num_bytes)
