"""Batches that halve themselves when memory runs out, on a real block that refuses more than so many sequences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from dfrot_engine.architectures import architecture_of
from dfrot_engine.calibration.block_rows import picked_rows
from dfrot_engine.checkpoint.local import inspect_folder
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.events import Warned
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import HiddenStore
from dfrot_engine.forward.room import BatchSize
from dfrot_engine.forward.stream import pass_on
from dfrot_engine.memory import is_out_of_memory, split_budget
from tests.tiny_models import save_tiny_model

NUM_SEQUENCES, SEQ_LEN, WIDTH = 7, 16, 48

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("not enough memory: you tried to allocate 8 bytes."),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("model") / "tiny")


@contextmanager
def refusing(block: nn.Module, most: int, error: BaseException) -> Iterator[list[int]]:
    """The block fails in its MLP for more than `most` sequences; yields the sizes that were tried."""
    tried: list[int] = []

    def refuse(_module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        tried.append(len(args[0]))
        if len(args[0]) > most:
            raise error

    handle = block.get_submodule("mlp").register_forward_pre_hook(refuse)
    try:
        yield tried
    finally:
        handle.remove()


def factory_of(model: Path, warnings: list[Warned]) -> tuple[BlockFactory, nn.Module]:
    factory = BlockFactory(model, torch.device("cpu"), batch=BatchSize(warnings.append, tokens=4 * SEQ_LEN))
    with CheckpointReader(model) as reader:
        return factory, factory.fill(0, reader.block("model.layers.0."))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:20])
def test_the_batch_halves_itself_until_it_fits(error: BaseException, model: Path) -> None:
    warnings: list[Warned] = []
    factory, block = factory_of(model, warnings)
    hidden = torch.randn(NUM_SEQUENCES, SEQ_LEN, WIDTH)
    whole = pass_on(HiddenStore(), factory, block, 0, hidden)[:]
    with refusing(block, 1, error) as tried:
        output = pass_on(HiddenStore(), factory, block, 0, hidden)[:]
    assert tried == [4, 2] + [1] * NUM_SEQUENCES
    assert torch.allclose(output, whole, atol=1e-5)
    assert [one.message.split(":")[1][:30] for one in warnings] == [
        " from here on 32 tokens go thr",
        " from here on 16 tokens go thr",
    ]


def test_one_sequence_that_does_not_fit_is_an_error(model: Path) -> None:
    factory, block = factory_of(model, [])
    with refusing(block, 0, ERRORS[0]), pytest.raises(torch.OutOfMemoryError):
        pass_on(HiddenStore(), factory, block, 0, torch.randn(3, SEQ_LEN, WIDTH))


def test_other_errors_are_no_reason_to_try_again(model: Path) -> None:
    factory, block = factory_of(model, [])
    with refusing(block, 0, RuntimeError("shapes cannot be multiplied")) as tried, pytest.raises(RuntimeError):
        pass_on(HiddenStore(), factory, block, 0, torch.randn(3, SEQ_LEN, WIDTH))
    assert tried == [3]


def test_rows_picked_inside_a_block_come_once(model: Path) -> None:
    """q, k and v have run, and their hooks with them, when the MLP runs out of memory."""
    factory, block = factory_of(model, [])
    sizes = architecture_of(inspect_folder(model, model_id="tiny").config)
    hidden = torch.randn(NUM_SEQUENCES, SEQ_LEN, WIDTH)
    found = []
    for most in (4, 1):
        rows = picked_rows(
            block,
            sizes,
            num_tokens=NUM_SEQUENCES * SEQ_LEN,
            value_rows=20,
            hidden_rows=10,
            generator=torch.Generator().manual_seed(0),
        )
        with refusing(block, most, ERRORS[0]), rows as kept:
            pass_on(HiddenStore(), factory, block, 0, hidden)
        found.append(kept)
    assert found[0].keys() == found[1].keys()
    for name, tensor in found[0].items():
        assert torch.allclose(tensor.float(), found[1][name].float(), atol=1e-2), name


def test_only_words_of_allocators_count() -> None:
    assert all(map(is_out_of_memory, ERRORS))
    assert not is_out_of_memory(RuntimeError("device-side assert triggered"))
    assert not is_out_of_memory(OSError("out of memory"))


def test_blocks_overlap_where_two_more_fit() -> None:
    assert split_budget(1_000, 250) == (True, 500)
    assert split_budget(1_000, 251) == (False, 1_000)
