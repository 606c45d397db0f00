"""Round the weights of one block, in the order in which they run, each after what was rounded in front of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.events import Warned
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.quantized_block import OWN_PARTS, block_schemes
from dfrot_engine.forward.stored_clips import unsearched_clips
from dfrot_engine.forward.stream import Streams
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.quantizers import solver_of
from dfrot_engine.quantizers.gptq import NotPositiveDefinite
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import CALIBRATED, WeightScheme
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.running_block import RunningBlock


def round_block(
    job: Job,
    factory: BlockFactory,
    index: int,
    folded: dict[str, Tensor],
    streams: Streams,
    rotations: RotationSet,
    say: Callable[[str], None],
    report: Report,
) -> dict[str, Tensor]:
    """The block as it is stored: codes and scales of quantized linears, the rest in the checkpoint's dtype.

    Args:
        folded: norms and rotations already folded in.
        say: called with the name of each linear before it is rounded; what it raises ends the work.
    """
    sees_moments = isinstance(job.recipe.solver, CALIBRATED)
    running: RunningBlock | None = None
    if sees_moments or unsearched_clips(block_schemes(job, index), job.recipe.kv_cache):
        running = RunningBlock(job, factory, index, folded, streams, rotations, say)
    stored = dict(folded)
    for shared in job.architecture.block.shared_inputs():
        stored |= running.search_clips(shared) if running else {}
        for names in _groups(job, index, shared):
            moments = running.moments(names[0]) if running and sees_moments else None
            for name, weight in _round_group(job, index, folded, names, moments, say, report):
                stored.pop(f"{name}.weight")
                stored |= {f"{name}.{part}": tensor for part, tensor in weight.tensors().items()}
                if running:
                    running.finish(name, weight)
    return {
        name: tensor if name.endswith(OWN_PARTS) or not tensor.is_floating_point() else tensor.to(job.checkpoint_dtype)
        for name, tensor in stored.items()
    }


def _groups(job: Job, index: int, shared: Sequence[str]) -> Iterator[list[str]]:
    """Linears to round, of those that read the same tensor, by how their input is rounded."""
    schemes = block_schemes(job, index)
    by_input: dict[object, list[str]] = defaultdict(list)
    for name in shared:
        if schemes[name].weights is not None:
            by_input[schemes[name].activations].append(name)
    yield from by_input.values()


def _round_group(
    job: Job,
    index: int,
    folded: dict[str, Tensor],
    names: list[str],
    moments: InputMoments | None,
    say: Callable[[str], None],
    report: Report,
) -> Iterator[tuple[str, QuantizedWeight]]:
    """Linears of one input; those with the same scheme are rounded as one weight."""
    schemes = block_schemes(job, index)
    by_scheme: dict[WeightScheme, list[str]] = defaultdict(list)
    for name in names:
        scheme = schemes[name].weights
        assert scheme is not None
        by_scheme[scheme].append(name)
    for scheme, alike in by_scheme.items():
        say(", ".join(name.rpartition(".")[2] for name in alike))
        weights = [folded[f"{name}.weight"].float() for name in alike]
        stacked = torch.cat(weights)
        solver = job.recipe.solver
        try:
            rounded = solver_of(solver)(stacked, scheme, solver, scale_dtype=job.checkpoint_dtype, moments=moments)
        except NotPositiveDefinite as error:
            where = f"Block {index}, {', '.join(alike)}: {error.message[0].lower()}{error.message[1:]}"
            report(Warned(message=f"{where} They were rounded to nearest instead.", remedy=error.remedy))
            rounded = solve_rtn(stacked, scheme, scale_dtype=job.checkpoint_dtype)
        yield from zip(alike, rounded.split_rows([len(weight) for weight in weights]), strict=True)
