"""Killed at any moment, the same command goes on and leaves bit for bit what an undisturbed run leaves."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from dfrot_engine.run_record import read_run
from tests.engine.survive.killing import (
    CASES,
    Killed,
    Straight,
    arguments,
    contents,
    leftovers,
    points,
    run_straight,
)
from tests.warm import Warm

PLACES = {"qronos": 14, "gptq": 12}  # each is killed at twice
LONGEST = 90  # operations until the second kill


@pytest.fixture(scope="module")
def undisturbed(warm: Warm, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Straight]:
    """The run of a case that nobody disturbed, done once."""
    folder = tmp_path_factory.mktemp("straight")
    return cache(lambda case: run_straight(warm, case, source, folder / case))


@pytest.mark.parametrize("case", CASES)
def test_killed_twice_at_any_place(
    case: str, undisturbed: Callable[[str], Straight], warm: Warm, model: Path, tmp_path: Path
) -> None:
    straight = undisturbed(case)
    chooser = random.Random(1)
    stages: Counter[str] = Counter()
    for place in points(straight, PLACES[case], seed=0):
        killed = Killed(warm, case, model, tmp_path / f"at-{place}")
        assert killed.start(kill_at=place)
        killed.start(kill_at=chooser.randrange(LONGEST))
        assert not killed.start()
        stages.update(killed.stages)
        assert killed.differences(straight) == [], f"killed at {place} in {killed.stages}"
        said = killed.blocks_said()
        assert len(said) == len(set(said)), "a block that was reported as finished was done again"
        assert not leftovers(killed.folder)
    assert set(stages) == set(straight.operations)
    assert stages.total() >= 2 * PLACES[case] - 4  # a second kill may come after the end


def test_killed_in_the_middle_of_writes(
    undisturbed: Callable[[str], Straight], warm: Warm, model: Path, tmp_path: Path
) -> None:
    """The kernel ends the process at the first file that grows beyond a limit; the next start gets further."""
    killed = Killed(warm, "qronos", model, tmp_path / "run")
    for limit in (600, 2_000, 109_000, 130_000, 160_000):
        assert killed.start(size_limit=limit)
        assert leftovers(killed.folder), "nothing was torn"
    assert not killed.start()
    assert killed.stages == ["load", "calibrate", "calibrate", "export", "export"]
    assert killed.differences(undisturbed("qronos")) == []
    assert not leftovers(killed.folder)


def test_a_killed_run_is_known_as_one(
    undisturbed: Callable[[str], Straight], warm: Warm, model: Path, tmp_path: Path
) -> None:
    killed = Killed(warm, "qronos", model, tmp_path / "run")
    places = undisturbed("qronos").operations["quantize"]
    assert killed.start(kill_at=places[len(places) // 2])
    run = read_run(tmp_path / "run" / "out.dfrot")
    assert run is not None
    assert (run.status, run.starts) == ("killed", 1)
    assert "killed" in run.message
    assert run.where.startswith("quantize, Block ")
    assert f"dfrot run {tmp_path}/run/out.dfrot/recipe.toml --output {tmp_path}/run/out" in run.resume


def test_warm_children_do_what_the_program_does(
    undisturbed: Callable[[str], Straight], model: Path, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-m", "dfrot_engine", *arguments("qronos", model, tmp_path / "out")],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert contents(tmp_path) == undisturbed("qronos").contents
