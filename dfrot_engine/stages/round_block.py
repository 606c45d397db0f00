"""Round the weights of one block, in the order in which they run, each after what was rounded in front of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import repeat

import torch
from torch import Tensor, nn

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.events import Warned
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear
from dfrot_engine.forward.quantized_block import (
    CODE_PARTS,
    block_schemes,
    fill_exact_block,
    fill_quantized_block,
    kv_quantizer,
)
from dfrot_engine.forward.stream import Streams, inputs_of
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.quantizers import solver_of
from dfrot_engine.quantizers.gptq import NotPositiveDefinite
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import CALIBRATED, Qronos, WeightScheme
from dfrot_engine.rotations.rotation_set import RotationSet


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
    find_moments = _moments_finder(job, factory, index, folded, streams, rotations, say)
    stored = dict(folded)
    for names in _groups(job, index):
        moments, ready = find_moments(names[0])
        for name, weight in _round_group(job, index, folded, names, moments, say, report):
            stored.pop(f"{name}.weight")
            stored |= {f"{name}.{part}": tensor for part, tensor in weight.tensors().items()}
            ready(name, weight)
    return {
        name: tensor if name.endswith(CODE_PARTS) or not tensor.is_floating_point() else tensor.to(job.checkpoint_dtype)
        for name, tensor in stored.items()
    }


def _groups(job: Job, index: int) -> Iterator[list[str]]:
    """Linears to round that see the same input, rounded the same way, in the order they run."""
    schemes = block_schemes(job, index)
    for shared in job.architecture.block.shared_inputs():
        by_input: dict[object, list[str]] = defaultdict(list)
        for name in shared:
            if schemes[name].weights is not None:
                by_input[schemes[name].activations].append(name)
        yield from by_input.values()


# name of a linear → moments of what it reads, and what to call with each rounded weight
_Finder = Callable[[str], tuple[InputMoments | None, Callable[[str, QuantizedWeight], None]]]


def _moments_finder(
    job: Job,
    factory: BlockFactory,
    index: int,
    folded: dict[str, Tensor],
    streams: Streams,
    rotations: RotationSet,
    say: Callable[[str], None],
) -> _Finder:
    if not isinstance(job.recipe.solver, CALIBRATED):
        return lambda _name: (None, lambda _linear, _weight: None)
    block = fill_quantized_block(factory, job, index, folded, rotations)
    exact_block = fill_exact_block(factory, job, index, folded, rotations)
    kv, rotate_only = kv_quantizer(job, rotations), rotate_only_of(rotations)
    with_exact = isinstance(job.recipe.solver, Qronos)

    def ready(name: str, weight: QuantizedWeight) -> None:
        _linear(block, name).weight.copy_(weight.dequantize())

    def find(name: str) -> tuple[InputMoments, Callable[[str, QuantizedWeight], None]]:
        linear, exact_linear = _linear(block, name), _linear(exact_block, name)
        moments = InputMoments(linear.weight.shape[1], factory.device, with_exact=with_exact)
        exact = inputs_of(factory, exact_block, index, streams.exact, name, rotate_only) if with_exact else repeat(None)
        for seen, wanted in zip(inputs_of(factory, block, index, streams.quantized, name, kv), exact, strict=False):
            say(f"inputs of {name.rpartition('.')[2]}")
            rounded = linear.read(seen).flatten(0, 1)
            moments.add(rounded, None if wanted is None else exact_linear.read(wanted).flatten(0, 1))
        return moments, ready

    return find


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


def rotate_only_of(rotations: RotationSet) -> KVQuantizer | None:
    """What attention does in the exact model: R3, and no rounding."""
    return None if rotations.r3 is None else KVQuantizer(rotations.r3, None)


def _linear(block: nn.Module, name: str) -> QuantizedLinear:
    module = block.get_submodule(name)
    assert isinstance(module, QuantizedLinear)
    return module
