"""Round the weights of one block, in the order in which they run, each after what was rounded in front of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.events import Warned
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.quantized_block import OWN_PARTS, block_schemes
from dfrot_engine.forward.stored_clips import has_global_scale, unsearched_clips
from dfrot_engine.forward.stream import Streams
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.quantizers import solver_of
from dfrot_engine.quantizers.gptq import NotPositiveDefinite
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import CALIBRATED, LinearSchemes, WeightScheme
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.running_block import RunningBlock

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
    """

    stored: dict[str, Tensor]
    few_tokens: tuple[FewTokens, ...] = ()


def round_block(
    job: Job,
    factory: BlockFactory,
    index: int,
    folded: dict[str, Tensor],
    streams: Streams,
    rotations: RotationSet,
    say: Callable[[str], None],
    report: Report,
) -> RoundedBlock:
    """The block as it is stored.

    Args:
        folded: norms and rotations already folded in.
        say: called with the name of each linear before it is rounded; what it raises ends the work.
    """
    sees_moments = isinstance(job.recipe.solver, CALIBRATED)
    table, schemes = job.architecture.block_at(index), block_schemes(job, index)
    running: RunningBlock | None = None
    measures = any(has_global_scale(one.activations) for one in schemes.values())
    if sees_moments or measures or unsearched_clips(schemes, job.recipe.kv_cache):
        running = RunningBlock(job, factory, index, folded, streams, rotations, say)
    rounded = partial(_round_group, job, index, folded, schemes, say=say, report=report)
    stored, few = dict(folded), []
    for shared in table.shared_inputs():
        stored |= running.measure_inputs(shared) if running else {}
        for names in _groups(schemes, shared):
            moments = running.moments(names[0]) if running and sees_moments else None
            expert = table.named(names[0]).expert
            if moments is not None and expert is not None and moments.tokens < moments.width:
                few.append(FewTokens(expert, tuple(names), moments.tokens, moments.width))
                moments = None
            for name, weight in rounded(names, moments):
                stored.pop(f"{name}.weight")
                stored |= {f"{name}.{part}": tensor for part, tensor in weight.tensors().items()}
                if running:
                    running.finish(name, weight)
    if few:
        report(_warning(index, few))
    return RoundedBlock({name: _as_stored(name, tensor, job) for name, tensor in stored.items()}, tuple(few))


def _as_stored(name: str, tensor: Tensor, job: Job) -> Tensor:
    is_own = name.endswith(OWN_PARTS) or not tensor.is_floating_point()
    return tensor if is_own else tensor.to(job.checkpoint_dtype)


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


def _groups(schemes: Mapping[str, LinearSchemes], shared: Sequence[str]) -> Iterator[list[str]]:
    """Linears to round, of those that read the same tensor, by how their input is rounded."""
    by_input: dict[object, list[str]] = defaultdict(list)
    for name in shared:
        if schemes[name].weights is not None:
            by_input[schemes[name].activations].append(name)
    yield from by_input.values()


def _round_group(
    job: Job,
    index: int,
    folded: dict[str, Tensor],
    schemes: Mapping[str, LinearSchemes],
    names: list[str],
    moments: InputMoments | None,
    *,
    say: Callable[[str], None],
    report: Report,
) -> Iterator[tuple[str, QuantizedWeight]]:
    """Linears of one input; those with the same scheme are rounded as one weight, to nearest without moments."""
    table, solver = job.architecture.block_at(index), job.recipe.solver
    by_scheme: dict[WeightScheme, list[str]] = defaultdict(list)
    for name in names:
        scheme = schemes[name].weights
        assert scheme is not None
        by_scheme[scheme].append(name)
    for scheme, alike in by_scheme.items():
        say(", ".join(dict.fromkeys(table.named(name).label for name in alike)))
        weights = [folded[f"{name}.weight"].float() for name in alike]
        stacked = torch.cat(weights)
        solve: Callable[..., QuantizedWeight] = solve_rtn if moments is None else solver_of(solver)
        try:
            rounded = solve(stacked, scheme, solver, scale_dtype=job.checkpoint_dtype, moments=moments)
        except NotPositiveDefinite as error:
            where = f"Block {index}, {', '.join(alike)}: {error.message[0].lower()}{error.message[1:]}"
            report(Warned(message=f"{where} They were rounded to nearest instead.", remedy=error.remedy))
            rounded = solve_rtn(stacked, scheme, scale_dtype=job.checkpoint_dtype)
        yield from zip(alike, rounded.split_rows([len(weight) for weight in weights]), strict=True)
