from __future__ import annotations

from collections import Counter

import pytest
import torch

from dfrot_engine.recipe import Cayley
from dfrot_engine.rotations import BUILDERS, RotationStep
from dfrot_engine.rotations.cayley import descend_network
from dfrot_engine.rotations.random import random_orthogonal
from tests.engine.rotations.planted import WIDTH, RowsNetwork, planted, planted_rows


def network() -> RowsNetwork:
    made = planted().network
    assert isinstance(made, RowsNetwork)
    return made


def run(made: RowsNetwork, **settings) -> list[RotationStep]:
    settings = {"steps": 12, "batch_size": 1, "learning_rate": 0.02, "seed": 0} | settings
    return list(descend_network(made, random_orthogonal(WIDTH, 0), **settings))


def test_the_loss_it_tells_is_that_of_the_sequences_held_out() -> None:
    made = network()
    for step in run(made):
        assert step.loss == made.loss(step.rotation_DD, torch.tensor([6, 7]))
    assert not any({6, 7} & {*batch} for batch in made.asked)


def test_the_last_step_is_the_best() -> None:
    steps = run(network(), learning_rate=0.5)
    assert [step.index for step in steps] == [0, 5, 10, 12]
    assert steps[-1].loss == min(step.loss for step in steps)


@pytest.mark.parametrize(("batch_size", "each"), [(1, 2), (6, 12), (100, 12)])
def test_every_other_sequence_has_its_turn(batch_size: int, each: int) -> None:
    made = network()
    run(made, steps=12, batch_size=batch_size)
    assert Counter(number for batch in made.asked for number in batch) == dict.fromkeys(range(6), each)


def test_a_single_sequence_serves_both_ends() -> None:
    rows, _ = planted_rows(40, 4)
    made = RowsNetwork(rows, planted().scheme)
    assert made.num_sequences == 1
    steps = run(made, steps=30)
    assert steps[-1].loss < steps[0].loss


def test_seeds_draw_other_batches() -> None:
    first, other = (run(network(), seed=seed)[-1].rotation_DD for seed in (0, 1))
    assert not torch.equal(first, other)


def test_without_a_network_there_is_nothing_to_learn_from() -> None:
    with pytest.raises(AssertionError):
        next(BUILDERS[Cayley](Cayley(), WIDTH, None))
