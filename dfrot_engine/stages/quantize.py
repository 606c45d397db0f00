"""Rewrite block after block: read, fold norms and rotations, round the weights, measure, write, forget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.events import BlockQuantized, StageAdvanced, StageStarted
from dfrot_engine.formats import FORMATS
from dfrot_engine.forward.attended import Attended, AttendedStreams
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import HiddenStates
from dfrot_engine.forward.low_rank import FACTOR_PARTS
from dfrot_engine.forward.quantized_block import (
    block_schemes,
    fill_exact_block,
    fill_quantized_block,
    kv_quantizer,
    rotate_only_of,
)
from dfrot_engine.forward.quantized_head import finish_outer, round_outer, waits_for_last_block
from dfrot_engine.forward.room import Room
from dfrot_engine.forward.stored_clips import CLIP_PARTS, has_global_scale
from dfrot_engine.forward.stream import Streams, on_pass, outputs_of, pass_on
from dfrot_engine.job import Job
from dfrot_engine.outer import fold_outer
from dfrot_engine.overlap import WriteBehind, read_ahead
from dfrot_engine.progress import Report
from dfrot_engine.recipe import Recipe
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.base import Stage
from dfrot_engine.stages.calibrate import calibration_tokens
from dfrot_engine.stages.note_clips import note_clips
from dfrot_engine.stages.quantize_streams import first_streams, measured_sequences, my_streams, whole_streams
from dfrot_engine.stages.recover import recover_block
from dfrot_engine.stages.round_block import FewTokens, round_block
from dfrot_engine.work_dir import WorkDir

NAME = "quantize"
RESULT = "recovery.json"
EXPERTS = "experts.json"
_TO_NEAREST = "experts_to_nearest"
OUTER = "outer"  # embedding, final norm and head


def run(job: Job, work: WorkDir, fingerprint: str, report: Report) -> None:
    """Leaves `quantize/outer.safetensors`, `quantize/00000.safetensors` …, `experts.json`, perhaps `recovery.json`."""
    num_blocks = job.architecture.num_blocks
    report(StageStarted(stage=NAME, steps=num_blocks))
    job.ranks.copy_file(work.rotations)
    rotations = RotationSet.load(work.rotations).to(job.device)
    room = Room.of(job, work.root / NAME, report)
    bench = _Bench(job, work, room, BlockFactory(job.model_dir, job.device, batch=room.batch), rotations, report)
    with CheckpointReader(job.model_dir) as reader:
        if job.ranks.is_first and not work.has_block(NAME, OUTER, fingerprint):
            report(StageAdvanced(stage=NAME, step=0, steps=num_blocks, label="Embedding and head"))
            work.save_block(NAME, OUTER, round_outer(job, fold_outer(job, reader, rotations)), fingerprint)
        start, streams = _resume(job, work, room, fingerprint)
        streams = _quantize_blocks(bench, reader, range(start, num_blocks), streams, fingerprint)
        if waits_for_last_block(job):
            report(StageAdvanced(stage=NAME, step=num_blocks, steps=num_blocks, label="Head"))
            outer = finish_outer(job, bench.factory, fold_outer(job, reader, rotations), streams)
            if job.ranks.is_first:
                work.save_block(NAME, OUTER, outer, fingerprint)
    if job.ranks.is_first:
        note_clips(job, work, report)


@dataclass(frozen=True)
class _Bench:
    """What blocks are worked on with."""

    job: Job
    work: WorkDir
    room: Room
    factory: BlockFactory
    rotations: RotationSet
    report: Report

    def sayer(self, index: int) -> Callable[[str], None]:
        """Says what is done inside a block; also where a pause or a stop lands within a second or so."""
        steps = self.job.architecture.num_blocks
        label = f"Block {index + 1} of {steps}"
        return lambda what: self.report(StageAdvanced(stage=NAME, step=index, steps=steps, label=f"{label}, {what}"))


@dataclass(frozen=True)
class _Done:
    """A finished block, on the CPU; the streams behind it; its linears' errors and recovery's before and after."""

    stored: dict[str, Tensor]
    streams: Streams
    errors: dict[str, float]
    recovery: tuple[float, float] | None


def _quantize_blocks(
    bench: _Bench, reader: CheckpointReader, numbers: range, streams: Streams, fingerprint: str
) -> Streams:
    """The streams behind the last of these blocks."""
    job, report, overlaps = bench.job, bench.report, bench.room.overlaps
    blocks = read_ahead(partial(read_block, reader, job.architecture), numbers, overlaps=overlaps)
    # Several ranks write after every block what the others have, and exchange nothing else meanwhile.
    with closing(blocks), WriteBehind(overlaps=overlaps and job.ranks.is_alone) as behind:
        for index in numbers:
            started = time.monotonic()
            done = _quantize_block(bench, index, blocks, streams)
            streams = done.streams
            event = BlockQuantized(
                block=index,
                relative_error=done.errors,
                seconds=time.monotonic() - started,
                bytes=_stored_bytes(job, index, done.stored),
                recovery=done.recovery,
            )
            behind.submit(partial(_save, bench, index, done, fingerprint), then=partial(report, event))
            del done  # before the next block is read
            label = f"Block {index + 1}"
            report(StageAdvanced(stage=NAME, step=index + 1, steps=job.architecture.num_blocks, label=label))
    return streams


def _quantize_block(bench: _Bench, index: int, blocks: Iterator[dict[str, Tensor]], streams: Streams) -> _Done:
    """The next of the blocks. Each form of it goes as soon as it has served: together they are six times the block."""
    job, factory, rotations, states = bench.job, bench.factory, bench.rotations, bench.room.states
    report, say = bench.report, bench.sayer(index)
    folded = fold_block(_to_device(next(blocks), job.device), job.architecture, rotations, index)
    stored, few_tokens, attended = round_block(job, factory, index, folded, streams, rotations, states, say, report)
    if job.ranks.is_first:
        _note_few_tokens(bench.work, index, few_tokens)
    exact_block = fill_exact_block(factory, job, index, folded, rotations)
    del folded
    between, kv = partial(say, "the original"), rotate_only_of(rotations)
    exact = pass_on(states, factory, exact_block, index, streams.exact, kv, attended=attended.exact, between=between)
    recovery = None
    if job.recipe.recovery is not None:
        attended = AttendedStreams()  # of weights that are about to change
        recovered = recover_block(job, factory, index, stored, streams, exact, rotations, say)
        stored, recovery = recovered.stored, (recovered.before, recovered.after)
        if job.ranks.is_first:
            _note_recovery(bench.work, index, recovery)
    after, errors = _measure(bench, index, exact_block, exact, stored, streams, attended.quantized)
    return _Done({name: tensor.cpu() for name, tensor in stored.items()}, after, errors, recovery)


def _save(bench: _Bench, index: int, done: _Done, fingerprint: str) -> None:
    """The block first: the streams behind it say that it is there."""
    whole = whole_streams(bench.job, bench.room, done.streams)
    if bench.job.ranks.is_first:
        bench.work.save_block(NAME, f"{index:05}", done.stored, fingerprint)
        bench.room.states.keep(whole, fingerprint, next_block=index + 1)


def _resume(job: Job, work: WorkDir, room: Room, fingerprint: str) -> tuple[int, Streams]:
    """The first block that is not there yet, and this rank's part of the streams in front of it."""
    start, whole = _whole(job, work, room, fingerprint) if job.ranks.is_first else (0, {})
    return job.ranks.told(start), my_streams(job, room, whole)


def _whole(job: Job, work: WorkDir, room: Room, fingerprint: str) -> tuple[int, dict[str, HiddenStates]]:
    kept = room.states.kept(fingerprint)
    if kept is not None and work.has_blocks(NAME, kept.facts["next_block"], fingerprint):
        return kept.facts["next_block"], kept.streams
    tokens_BT = calibration_tokens(job, Tokenizer.load(job.model_dir))
    outer, _ = work.load_block(NAME, OUTER, ("embedding",))
    return 0, first_streams(job, room, outer["embedding"], tokens_BT)


def _note_recovery(work: WorkDir, index: int, errors: tuple[float, float]) -> None:
    """Errors of each block before and after; a block done again, or for the first time, has nothing behind it."""
    known = work.read_json(RESULT) or {"before": [], "after": []}
    work.write_json(
        RESULT, {name: [*known[name][:index], error] for name, error in zip(("before", "after"), errors, strict=True)}
    )


def _note_few_tokens(work: WorkDir, index: int, few_tokens: Sequence[FewTokens]) -> None:
    """Experts that were rounded to nearest because they saw too few tokens, up to this block."""
    known = work.read_json(EXPERTS) or {_TO_NEAREST: []}
    before = [one for one in known[_TO_NEAREST] if one["block"] < index]
    new = [{"block": index, **one._asdict()} for one in few_tokens]
    work.write_json(EXPERTS, {_TO_NEAREST: before + new})


def _measure(
    bench: _Bench,
    index: int,
    exact_block: nn.Module,
    exact: HiddenStates,
    stored: dict[str, Tensor],
    streams: Streams,
    attended: Attended | None,
) -> tuple[Streams, dict[str, float]]:
    """Both streams behind the block; the relative error of each linear, and of the block since the embedding."""
    job, factory, say = bench.job, bench.factory, bench.sayer(index)
    block = fill_quantized_block(factory, job, index, stored, bench.rotations)
    kv = kv_quantizer(job, bench.rotations, stored)
    measured = streams.among_first(measured_sequences(streams.exact.shape[1]))
    quantized = bench.room.states.new(streams.quantized.shape)

    def run(sequences: range, attended: Attended | None) -> None:
        run_on, between = partial(outputs_of, factory, block, index, streams.quantized, kv), partial(say, "measuring")
        for output in run_on(sequences=sequences, attended=attended, between=between):
            quantized.append(output)

    say("measuring")
    with _linear_errors(job, index, block, exact_block) as errors:
        run(range(measured), None)  # those of attention's linears too
    run(range(measured, len(quantized)), attended)
    sums = {kind: (float(wrong), float(total)) for kind, (wrong, total) in errors.items()}
    difference = quantized[:measured] - exact[:measured]
    # Norms and not their squares, so that nothing overflows and a process alone has them as they are.
    mine = [float(difference.norm()), float(exact[:measured].norm())]
    wrong, total = (math.hypot(*ranks) for ranks in zip(*job.ranks.all_facts(mine), strict=True))
    added = [job.ranks.sums_across_ranks(*two) for two in sums.values()]
    relative = {kind: (part / max(whole, 1e-30)) ** 0.5 for kind, (part, whole) in zip(sums, added, strict=True)}
    relative["block"] = wrong / max(total, 1e-12)
    return replace(streams, exact=exact, quantized=quantized), relative


@contextmanager
def _linear_errors(job: Job, index: int, block: nn.Module, exact_block: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Kind → [Σ‖ŷ − y‖², Σ‖y‖²] of each linear, all experts' together, on the inputs seen while the context is open."""
    linears = job.architecture.block_at(index).linears
    sums = {linear.kind: [torch.zeros(()), torch.zeros(())] for linear in linears}
    kinds = {linear.name: linear.kind for linear in linears}
    passing: dict[str, tuple[Tensor, Tensor]] = {}
    handles = []
    for name in kinds:
        exact = exact_block.get_submodule(name)

        def measure(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor, exact=exact, name=name) -> None:
            reference = exact(args[0])
            passing[name] = (output - reference).square().sum().cpu(), reference.square().sum().cpu()

        handles.append(block.get_submodule(name).register_forward_hook(measure))

    def add() -> None:
        for name, (wrong, total) in passing.items():
            before = sums[kinds[name]]
            sums[kinds[name]] = [before[0] + wrong, before[1] + total]

    try:
        with on_pass(block, passing.clear, add):
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
        if name.endswith(CLIP_PARTS + FACTOR_PARTS):
            continue
        size += tensor.numel() * bits[linear] // 8 if part == "codes" else tensor.nbytes
    return size


def _has_global_scales(recipe: Recipe) -> bool:
    return any(map(has_global_scale, (recipe.activations, *(one.activations for one in recipe.overrides))))


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
        *(["bfloat16"] if recipe.needs_bfloat16 else []),
        # Earlier versions did not measure them.
        *(["global scales of inputs"] if _has_global_scales(recipe) else []),
    ),
    lambda _job: True,
    run,
)
