"""Rewrite block after block: read, fold norms and rotations, round the weights, measure, write, forget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.events import BlockQuantized, StageAdvanced, StageStarted
from dfrot_engine.formats import FORMATS
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.quantized_block import (
    block_schemes,
    fill_exact_block,
    fill_quantized_block,
    kv_quantizer,
)
from dfrot_engine.forward.quantized_head import finish_outer, round_outer, waits_for_last_block
from dfrot_engine.forward.stored_clips import CLIP_PARTS
from dfrot_engine.forward.stream import Streams, look_up, run_block
from dfrot_engine.job import Job
from dfrot_engine.outer import fold_outer
from dfrot_engine.progress import Report
from dfrot_engine.recipe import CALIBRATED, Qronos, Recipe
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.base import Stage
from dfrot_engine.stages.calibrate import calibration_tokens
from dfrot_engine.stages.note_clips import note_clips
from dfrot_engine.stages.recover import recover_block
from dfrot_engine.stages.round_block import round_block
from dfrot_engine.stages.running_block import rotate_only_of
from dfrot_engine.work_dir import WorkDir

NAME = "quantize"
RESULT = "recovery.json"
OUTER = "outer"  # embedding, final norm and head
_HIDDEN = "hidden"
_MEASURED_TOKENS = 2_048  # whose errors are measured; solvers that need data see all of the calibration


def run(job: Job, work: WorkDir, fingerprint: str, report: Report) -> None:
    """Leaves `quantize/outer.safetensors` and `quantize/00000.safetensors` …, and `recovery.json` if asked for."""
    num_blocks = job.architecture.num_blocks
    report(StageStarted(stage=NAME, steps=num_blocks))
    rotations = RotationSet.load(work.rotations).to(job.device)
    factory = BlockFactory(job.model_dir, job.device)
    with CheckpointReader(job.model_dir) as reader:
        if not work.has_block(NAME, OUTER, fingerprint):
            report(StageAdvanced(stage=NAME, step=0, steps=num_blocks, label="Embedding and head"))
            work.save_block(NAME, OUTER, round_outer(job, fold_outer(job, reader, rotations)), fingerprint)
        start, streams = _resume(job, work, fingerprint)
        for index in range(start, num_blocks):
            started = time.monotonic()
            tensors = _to_device(reader.block(job.architecture.block_prefix(index)), job.device)
            folded = fold_block(tensors, job.architecture, rotations, index)
            say = _sayer(index, num_blocks, report)
            stored = round_block(job, factory, index, folded, streams, rotations, say, report)
            exact_block = fill_exact_block(factory, job, index, folded, rotations)
            exact = _run_exact(factory, exact_block, index, streams, rotations, say)
            recovery = None
            if job.recipe.recovery is not None:
                recovered = recover_block(job, factory, index, stored, streams, exact, rotations, say)
                stored, recovery = recovered.stored, (recovered.before, recovered.after)
                _note_recovery(work, index, recovery)
            streams, errors = _measure(job, factory, index, exact_block, exact, stored, rotations, streams, say)
            work.save_block(NAME, f"{index:05}", stored, fingerprint)
            _save_streams(work, fingerprint, index, streams)
            report(
                BlockQuantized(
                    block=index,
                    relative_error=errors,
                    seconds=time.monotonic() - started,
                    bytes=_stored_bytes(job, index, stored),
                    recovery=recovery,
                )
            )
            report(StageAdvanced(stage=NAME, step=index + 1, steps=num_blocks, label=f"Block {index + 1}"))
        if waits_for_last_block(job):
            report(StageAdvanced(stage=NAME, step=num_blocks, steps=num_blocks, label="Head"))
            outer = finish_outer(job, factory, fold_outer(job, reader, rotations), streams)
            work.save_block(NAME, OUTER, outer, fingerprint)
    note_clips(job, work, report)


def _sayer(index: int, num_blocks: int, report: Report) -> Callable[[str], None]:
    """Says what is done inside a block; also where a pause or a stop lands within a second or so."""
    label = f"Block {index + 1} of {num_blocks}"
    return lambda what: report(StageAdvanced(stage=NAME, step=index, steps=num_blocks, label=f"{label}, {what}"))


def _resume(job: Job, work: WorkDir, fingerprint: str) -> tuple[int, Streams]:
    if work.has_block(NAME, _HIDDEN, fingerprint):
        tensors, facts = work.load_block(NAME, _HIDDEN)
        return int(facts["next_block"]), Streams(tensors["exact"], tensors["quantized"])
    tokens_BT = calibration_tokens(job, Tokenizer.load(job.model_dir))
    measured = max(1, _MEASURED_TOKENS // tokens_BT.shape[1])
    outer, _ = work.load_block(NAME, OUTER)
    wanted = _wants_every_sequence(job.recipe)
    hidden = look_up(outer["embedding"], job.architecture, tokens_BT if wanted.quantized else tokens_BT[:measured])
    return 0, Streams(hidden if wanted.exact else hidden[:measured], hidden)


class _Wanted(NamedTuple):
    exact: bool
    quantized: bool


def _wants_every_sequence(recipe: Recipe) -> _Wanted:
    """Which streams hold every calibration sequence; the others hold no more than errors are measured on."""
    recovers = recipe.recovery is not None
    return _Wanted(
        exact=recovers or isinstance(recipe.solver, Qronos), quantized=recovers or isinstance(recipe.solver, CALIBRATED)
    )


def _note_recovery(work: WorkDir, index: int, errors: tuple[float, float]) -> None:
    """Errors of each block before and after; a block done again, or for the first time, has nothing behind it."""
    known = work.read_json(RESULT) or {"before": [], "after": []}
    work.write_json(
        RESULT, {name: [*known[name][:index], error] for name, error in zip(("before", "after"), errors, strict=True)}
    )


def _save_streams(work: WorkDir, fingerprint: str, index: int, streams: Streams) -> None:
    tensors = {"exact": streams.exact, "quantized": streams.quantized.clone()}
    work.save_block(NAME, _HIDDEN, tensors, fingerprint, {"next_block": str(index + 1)})


def _run_exact(
    factory: BlockFactory,
    exact_block: nn.Module,
    index: int,
    streams: Streams,
    rotations: RotationSet,
    say: Callable[[str], None],
) -> Tensor:
    between = partial(say, "the original")
    return run_block(factory, exact_block, index, streams.exact, rotate_only_of(rotations), between=between)


def _measure(
    job: Job,
    factory: BlockFactory,
    index: int,
    exact_block: nn.Module,
    exact: Tensor,
    stored: dict[str, Tensor],
    rotations: RotationSet,
    streams: Streams,
    say: Callable[[str], None],
) -> tuple[Streams, dict[str, float]]:
    """Both streams behind the block; the relative error of each linear, and of the block since the embedding."""
    block = fill_quantized_block(factory, job, index, stored, rotations)
    kv = kv_quantizer(job, rotations, stored)
    measured = max(1, _MEASURED_TOKENS // streams.exact.shape[1])

    def between() -> None:
        say("measuring")

    between()
    with _linear_errors(job, block, exact_block) as errors:
        quantized = run_block(factory, block, index, streams.quantized[:measured], kv, between=between)
    if len(streams.quantized) > measured:
        rest = run_block(factory, block, index, streams.quantized[measured:], kv, between=between)
        quantized = torch.cat([quantized, rest])
    relative = {name: (float(wrong) / max(float(total), 1e-30)) ** 0.5 for name, (wrong, total) in errors.items()}
    difference = quantized[:measured] - exact[:measured]
    relative["block"] = float(difference.norm() / exact[:measured].norm().clamp(min=1e-12))
    return Streams(exact, quantized), relative


@contextmanager
def _linear_errors(job: Job, block: nn.Module, exact_block: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Name → [Σ‖ŷ − y‖², Σ‖y‖²] of each linear on the inputs it sees while the context is open."""
    sums: dict[str, list[Tensor]] = {}
    handles = []
    for linear in job.architecture.block.linears:
        total = [torch.zeros(()), torch.zeros(())]
        sums[linear.name] = total
        exact = exact_block.get_submodule(linear.name)

        def add(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor, exact=exact, total=total) -> None:
            reference = exact(args[0])
            total[0] = total[0] + (output - reference).square().sum().cpu()
            total[1] = total[1] + reference.square().sum().cpu()

        handles.append(block.get_submodule(linear.name).register_forward_hook(add))
    try:
        yield sums
    finally:
        for handle in handles:
            handle.remove()


def _stored_bytes(job: Job, index: int, stored: dict[str, Tensor]) -> int:
    """Bytes of the block in a checkpoint, codes packed."""
    schemes = block_schemes(job, index)
    bits = {name: FORMATS[one.weights.format].bits for name, one in schemes.items() if one.weights}
    size = 0
    for name, tensor in stored.items():
        linear, _, part = name.rpartition(".")
        if name.endswith(CLIP_PARTS):
            continue
        size += tensor.numel() * bits[linear] // 8 if part == "codes" else tensor.nbytes
    return size


def _to_device(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


STAGE = Stage(
    NAME,
    lambda recipe: (
        recipe.weights,
        recipe.activations,
        recipe.kv_cache,
        recipe.solver,
        recipe.recovery,
        recipe.overrides,
        recipe.skip,
        recipe.calibration,
        *(["float16"] if recipe.needs_float16 else []),
    ),
    lambda _job: True,
    run,
)
