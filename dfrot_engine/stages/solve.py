"""Round the weights of linears that do not wait for each other, each rank a part of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.distributed import Ranks
from dfrot_engine.events import Warned
from dfrot_engine.formats import FORMATS
from dfrot_engine.job import Job
from dfrot_engine.memory import return_freed_memory
from dfrot_engine.progress import Report
from dfrot_engine.quantizers import solver_of
from dfrot_engine.quantizers.gptq import NotPositiveDefinite
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import WeightScheme


class Unit(NamedTuple):
    """Linears of one input that is rounded in one way.

    Args:
        moments: of that input; None rounds to nearest.
        owner: the rank that solves them all; None for every rank a part of their rows.
    """

    names: Sequence[str]
    moments: InputMoments | None
    owner: int | None = None


class _Piece(NamedTuple):
    """Rows of linears with one scheme, one linear above the other, and who rounds them."""

    names: list[str]
    scheme: WeightScheme
    rows: slice
    owner: int
    moments: InputMoments | None


def round_units(
    job: Job,
    index: int,
    folded: dict[str, Tensor],
    schemes: Callable[[str], WeightScheme],
    units: Sequence[Unit],
    *,
    say: Callable[[str], None],
    report: Report,
) -> Iterator[tuple[str, QuantizedWeight]]:
    """The units' linears rounded, on every rank.

    Args:
        folded: norms and rotations already folded in.
        say: called with the names of linears before they are rounded; what it raises ends the work.
    """
    table, ranks = job.architecture.block_at(index), job.ranks
    stacks = [stack for unit in units for stack in _stacks(ranks, folded, schemes, unit)]
    mine: list[list[QuantizedWeight | None]] = []
    warnings: list[dict[str, str]] = []
    for names, pieces in stacks:
        say(", ".join(dict.fromkeys(table.named(name).label for name in names)))
        mine.append([_solve(job, index, folded, one, warnings) if one.owner == ranks.rank else None for one in pieces])
    for warning in {one["message"]: one for told in ranks.all_facts(warnings) for one in told}.values():
        report(Warned(**warning))
    for (names, pieces), solved in zip(stacks, mine, strict=True):
        parts = [_exchanged(ranks, job.device, one, weight) for one, weight in zip(pieces, solved, strict=True)]
        rows = [len(folded[f"{name}.weight"]) for name in names]
        yield from zip(names, QuantizedWeight.stacked(parts).split_rows(rows), strict=True)


def _stacks(
    ranks: Ranks, folded: dict[str, Tensor], schemes: Callable[[str], WeightScheme], unit: Unit
) -> Iterator[tuple[list[str], list[_Piece]]]:
    """Linears of a unit with the same scheme, which are rounded as one weight, and who rounds which rows of it."""
    by_scheme: dict[WeightScheme, list[str]] = defaultdict(list)
    for name in unit.names:
        by_scheme[schemes(name)].append(name)
    for scheme, alike in by_scheme.items():
        shares = _shares(ranks, unit, scheme, sum(len(folded[f"{name}.weight"]) for name in alike))
        yield alike, [_Piece(alike, scheme, rows, owner, unit.moments) for owner, rows in shares]


def _shares(ranks: Ranks, unit: Unit, scheme: WeightScheme, rows: int) -> list[tuple[int, slice]]:
    """(rank, which rows it rounds); one rank all of them where they see each other through a common scale."""
    if unit.owner is not None or FORMATS[scheme.format].scales == "e4m3":
        return [(unit.owner or 0, slice(0, rows))]
    shares = [(rank, ranks.share_of(rank, rows)) for rank in range(ranks.world_size)]
    return [(rank, slice(share.start, share.stop)) for rank, share in shares if len(share)]


def _solve(
    job: Job, index: int, folded: dict[str, Tensor], piece: _Piece, warnings: list[dict[str, str]]
) -> QuantizedWeight:
    """To nearest without moments, or where they do not do."""
    solver = job.recipe.solver
    weight_OI = torch.cat([folded[f"{name}.weight"].float() for name in piece.names])[piece.rows]
    if piece.moments is not None:
        # A solver's matrices are the largest of a run: nothing that was freed is to lie beside them.
        return_freed_memory()
    solve: Callable[..., QuantizedWeight] = solve_rtn if piece.moments is None else solver_of(solver)
    try:
        return solve(weight_OI, piece.scheme, solver, scale_dtype=job.checkpoint_dtype, moments=piece.moments)
    except NotPositiveDefinite as error:
        where = f"Block {index}, {', '.join(piece.names)}: {error.message[0].lower()}{error.message[1:]}"
        warnings.append({"message": f"{where} They were rounded to nearest instead.", "remedy": error.remedy})
        return solve_rtn(weight_OI, piece.scheme, scale_dtype=job.checkpoint_dtype)


def _exchanged(ranks: Ranks, device: torch.device, piece: _Piece, solved: QuantizedWeight | None) -> QuantizedWeight:
    if ranks.is_alone:
        assert solved is not None
        return solved
    tensors = ranks.told_tensors(solved.tensors() if solved else None, piece.owner, device)
    return QuantizedWeight.of_parts(tensors, piece.scheme.format)
