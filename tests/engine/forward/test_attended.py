"""A block that is run without its attention, from what it gave: the same bits, on every architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dfrot_engine.architectures.base import Architecture, Space
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.forward.attended import Attended, without_attention
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import HiddenStore
from dfrot_engine.forward.stream import input_of, pass_on
from tests.tiny_models import TINY_MODELS, architecture_in, save_tiny_model

SEQUENCES, SEQ_LEN = 5, 32
FIRST = 1  # block


def made(name: str, folder: Path) -> tuple[BlockFactory, nn.Module, Architecture, Tensor]:
    """(factory, its second block, what its tensors mean, hidden states in front of it)."""
    model = save_tiny_model(name, folder / "model")
    names = architecture_in(model)
    factory = BlockFactory(model, torch.device("cpu"))
    with CheckpointReader(model) as reader:
        block = factory.fill(FIRST, read_block(reader, names, FIRST))
    hidden = torch.randn(SEQUENCES, SEQ_LEN, names.hidden_size, generator=torch.Generator().manual_seed(1))
    return factory, block, names, hidden


def reader_of(names: Architecture) -> str:
    return next(one.name for one in names.block_at(FIRST).linears if one.reads is Space.VALUE)


def attended_of(factory: BlockFactory, block: nn.Module, reader: str, hidden: Tensor, kept: int) -> Attended:
    read = [input_of(factory, block, FIRST, part, reader) for part in hidden.split(2)]
    attended = Attended(reader, HiddenStore().new((kept, SEQ_LEN, read[0].shape[-1])))
    for part in read:
        attended.add(part)
    return attended


def refuse(_module: nn.Module, _args: tuple[Tensor, ...]) -> None:
    raise AssertionError("attention was run")


@pytest.mark.parametrize("name", TINY_MODELS)
def test_what_is_behind_attention_is_the_same_without_it(name: str, tmp_path: Path) -> None:
    factory, block, names, hidden = made(name, tmp_path)
    reader = reader_of(names)
    attended, part = attended_of(factory, block, reader, hidden, SEQUENCES), slice(1, 4)
    behind = [one.name for one in names.block_at(FIRST).linears if one.reads is Space.MLP_HIDDEN and one.expert is None]
    wanted = factory.run(block, FIRST, hidden[part])
    inputs = [input_of(factory, block, FIRST, hidden[part], linear) for linear in behind]
    attention = block.get_submodule(reader.rpartition(".")[0])
    attention.register_forward_pre_hook(refuse)
    with without_attention(attended, block, part):
        assert torch.equal(factory.run(block, FIRST, hidden[part]), wanted)
        for linear, expected in zip(behind, inputs, strict=True):
            assert torch.equal(input_of(factory, block, FIRST, hidden[part], linear), expected)
    assert block.get_submodule(reader.rpartition(".")[0]) is attention


def test_sequences_that_found_no_room_go_through_attention(tmp_path: Path) -> None:
    factory, block, names, hidden = made("llama", tmp_path)
    reader = reader_of(names)
    wanted = factory.run(block, FIRST, hidden)
    attended = attended_of(factory, block, reader, hidden, 3)
    factory.batch.tokens = 2 * SEQ_LEN
    called: list[int] = []
    attention = block.get_submodule("self_attn")
    attention.register_forward_pre_hook(
        lambda _module, _args, kwargs: called.append(len(kwargs["hidden_states"])), with_kwargs=True
    )
    output = pass_on(HiddenStore(), factory, block, FIRST, hidden, attended=attended)
    torch.testing.assert_close(output[:], wanted)
    # The first two alone were kept whole; the third shares its batch with one that was not.
    assert called == [2, 1]


def test_attention_is_back_after_an_error(tmp_path: Path) -> None:
    factory, block, names, hidden = made("llama", tmp_path)
    reader = reader_of(names)
    attended, attention = attended_of(factory, block, reader, hidden, SEQUENCES), block.get_submodule("self_attn")
    with pytest.raises(MemoryError), without_attention(attended, block, slice(0, 2)):
        raise MemoryError
    assert block.get_submodule("self_attn") is attention
