"""Round the weights of one block, in the order in which they run, each after what was rounded in front of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple, TypeVar

from torch import Tensor

from dfrot_engine.architectures.base import Block
from dfrot_engine.distributed import Ranks
from dfrot_engine.events import Warned
from dfrot_engine.forward.attended import AttendedStreams
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import HiddenStore
from dfrot_engine.forward.quantized_block import as_stored, block_schemes
from dfrot_engine.forward.stored_clips import has_global_scale, measures_kv, unsearched_clips
from dfrot_engine.forward.stream import Streams
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.recipe import CALIBRATED, LinearSchemes, WeightScheme
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.block_inputs import BlockInputs
from dfrot_engine.stages.running_block import RunningBlock
from dfrot_engine.stages.solve import Unit, round_units

T = TypeVar("T")

_NAMED_EXPERTS = 8  # in a warning; the report lists them all


class FewTokens(NamedTuple):
    """Linears of an expert that saw fewer calibration tokens than they have inputs, and were rounded to nearest.

    So few tokens leave directions of the input that none of them shows; what a solver makes of the weight there is
    decided by its damping, and of no tokens there is nothing to learn at all.
    """

    expert: int
    linears: tuple[str, ...]
    tokens: int
    inputs: int


class RoundedBlock(NamedTuple):
    """
    Args:
        stored: codes and scales of quantized linears, the rest in the checkpoint's dtype.
        few_tokens: what was rounded to nearest for that reason.
        attended: what attention gives in both streams, where it was needed and found room.
    """

    stored: dict[str, Tensor]
    few_tokens: tuple[FewTokens, ...] = ()
    attended: AttendedStreams = AttendedStreams()


def round_block(
    job: Job,
    factory: BlockFactory,
    index: int,
    folded: dict[str, Tensor],
    streams: Streams,
    rotations: RotationSet,
    states: HiddenStore,
    say: Callable[[str], None],
    report: Report,
) -> RoundedBlock:
    """The block as it is stored.

    Args:
        folded: norms and rotations already folded in.
        states: where there may be room to keep what attention gives.
        say: called with the name of each linear before it is rounded; what it raises ends the work.
    """
    sees_moments = isinstance(job.recipe.solver, CALIBRATED)
    table, schemes = job.architecture.block_at(index), block_schemes(job, index)
    running: RunningBlock | None = None
    kv_cache = job.recipe.kv_cache
    measures = measures_kv(kv_cache) or any(has_global_scale(one.activations) for one in schemes.values())
    if sees_moments or measures or unsearched_clips(schemes, kv_cache):
        running = RunningBlock(BlockInputs(job, factory, index, folded, streams, rotations, states, say))
    rounded = partial(round_units, job, index, folded, partial(_weights, schemes), say=say, report=report)
    stored, few = dict(folded), []
    for wave in _waves(table, job.ranks.world_size):
        for shared in wave:
            stored |= running.measure_inputs(shared) if running else {}
        for together in _together([names for shared in wave for names in _groups(schemes, shared)], job.ranks):
            units: list[Unit] = []
            for names, owner in together:
                moments = running.moments(names[0], owner) if running and sees_moments else None
                expert = table.named(names[0]).expert
                if moments is not None and expert is not None and moments.tokens < moments.width:
                    few.append(FewTokens(expert, tuple(names), moments.tokens, moments.width))
                    moments = None
                units.append(Unit(names, moments, owner))
            for name, weight in rounded(units):
                stored.pop(f"{name}.weight")
                stored |= {f"{name}.{part}": tensor for part, tensor in weight.tensors().items()}
                if running:
                    running.finish(name, weight)
    if few:
        report(_warning(index, few))
    stored = {name: as_stored(job, name, tensor) for name, tensor in stored.items()}
    return RoundedBlock(stored, tuple(few), running.attended if running else AttendedStreams())


def _warning(index: int, few: Sequence[FewTokens]) -> Warned:
    least: dict[int, int] = {}
    for one in few:
        least[one.expert] = min(one.tokens, least.get(one.expert, one.tokens))
    words = [f"expert {expert} ({tokens:,} tokens)" for expert, tokens in least.items()]
    more = f" and {len(words) - _NAMED_EXPERTS} more" if len(words) > _NAMED_EXPERTS else ""
    return Warned(
        message=f"Block {index}: {', '.join(words[:_NAMED_EXPERTS])}{more} saw fewer calibration tokens than there are "
        "inputs. They were rounded to nearest instead.",
        remedy="Calibrate on more tokens; report.json lists them all.",
    )


def _waves(table: Block, together: int) -> Iterator[list[tuple[str, ...]]]:
    """Linears by their inputs; those of a wave do not wait for each other.

    Args:
        together: how many experts go through their steps side by side.
    """
    for is_expert, groups in groupby(table.shared_inputs(), lambda shared: table.named(shared[0]).expert is not None):
        if not is_expert:
            yield from ([shared] for shared in groups)
            continue
        experts: dict[int | None, list[tuple[str, ...]]] = defaultdict(list)
        for shared in groups:
            experts[table.named(shared[0]).expert].append(shared)
        for some in _chunks(list(experts.values()), together):
            yield from (list(step) for step in zip(*some, strict=True))


def _together(groups: Sequence[list[str]], ranks: Ranks) -> Iterator[list[tuple[list[str], int | None]]]:
    """As many groups as there are ranks at a time, each with its owner; one that is alone is everybody's."""
    for some in _chunks(groups, ranks.world_size):
        yield [(names, rank if len(some) > 1 else None) for rank, names in enumerate(some)]


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _weights(schemes: Mapping[str, LinearSchemes], name: str) -> WeightScheme:
    scheme = schemes[name].weights
    assert scheme is not None
    return scheme


def _groups(schemes: Mapping[str, LinearSchemes], shared: Sequence[str]) -> Iterator[list[str]]:
    """Linears to round, of those that read the same tensor, by how their input is rounded."""
    by_input: dict[object, list[str]] = defaultdict(list)
    for name in shared:
        if schemes[name].weights is not None:
            by_input[schemes[name].activations].append(name)
    yield from by_input.values()
