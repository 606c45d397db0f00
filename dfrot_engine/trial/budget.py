"""How much of a model a trial can afford: blocks and refinement steps from estimated seconds. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dfrot_engine.plan_estimates import Workload, refinement_flops, search_seconds
from dfrot_engine.recipe import REFINED
from dfrot_engine.trial.candidates import MOST_STEPS, SAMPLE_ROWS, shortened

READ_S = 40.0
ROUND_S = 60.0  # folding and rounding the chosen blocks, for all rotations together
REFINE_S = 30.0  # for each refinement
MOST_BLOCKS = 6
_FEWEST_STEPS = 10
_READ_BYTES_PER_S = 300e6
_BYTES_PER_PARAMETER = 2


@dataclass(frozen=True)
class Budget:
    """What a trial does.

    Args:
        read_blocks: blocks the tokens go through, from the first.
        blocks: those on which rounding is tried, spread over the depth.
        sections: rotations to try, refinements shortened.
        cut_short: kinds that take fewer steps than in a run.
        left_out: kinds whose refinement would take too long for a trial here.
    """

    read_blocks: int
    blocks: tuple[int, ...]
    sections: tuple[Any, ...]
    cut_short: tuple[str, ...]
    left_out: tuple[str, ...]


def plan_trial(work: Workload, sections: Sequence[Any]) -> Budget:
    """Fit a trial into a minute or two on this computer.

    Args:
        work: the trial's recipe on its model.
        sections: of R1, as they would run.
    """
    num_blocks = work.architecture.num_blocks
    read = max(1, min(num_blocks, int(READ_S / _read_seconds(work))))
    tried = tuple(short for section in sections if (short := _fitting(work, section)) is not None)
    steps = {section.kind: getattr(section, "steps", 0) for section in tried}
    cut_short = tuple(one.kind for one in sections if one.kind in steps and steps[one.kind] < getattr(one, "steps", 0))
    left_out = tuple(section.kind for section in sections if section.kind not in steps)
    affordable = int(ROUND_S / (len(tried) * _round_seconds(work)))
    count = max(1, min(read, MOST_BLOCKS, affordable))
    return Budget(read, spread(count, read), tried, cut_short, left_out)


def spread(count: int, blocks: int) -> tuple[int, ...]:
    """`count` of the numbers below `blocks`, evenly."""
    return tuple(int((number + 0.5) * blocks / count) for number in range(count))


def _fitting(work: Workload, section: Any) -> Any | None:
    """The section with the steps that fit, or None when hardly any would."""
    if not isinstance(section, REFINED):
        return section
    if type(section) not in MOST_STEPS:
        return None
    short = shortened(section, MOST_STEPS[type(section)])
    width = work.architecture.hidden_size
    steps = int(REFINE_S / work.seconds(refinement_flops(short, SAMPLE_ROWS, width)))
    return shortened(short, steps) if steps >= min(_FEWEST_STEPS, short.steps) else None


def _read_seconds(work: Workload) -> float:
    """One block from disk, and all tokens through it."""
    flops = 2 * work.passed_parameters / work.architecture.num_blocks * work.calibration_tokens
    return work.seconds(flops) + _BYTES_PER_PARAMETER * work.block_parameters / _READ_BYTES_PER_S


def _round_seconds(work: Workload) -> float:
    """One block folded in float64, rounded, and run."""
    flops = 4 * work.block_parameters * work.architecture.hidden_size
    flops += 2 * work.passed_parameters / work.architecture.num_blocks * work.calibration_tokens
    return search_seconds(work) / work.architecture.num_blocks + work.seconds(flops)
