"""Rewrite block after block: read, fold norms and rotations, round the weights, measure, write, forget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.events import BlockQuantized, StageAdvanced, StageStarted
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.quantized_block import (
    block_schemes,
    fill_exact_block,
    fill_quantized_block,
    kv_quantizer,
    round_block,
)
from dfrot_engine.forward.quantized_head import round_outer
from dfrot_engine.forward.stream import run_block
from dfrot_engine.job import Job
from dfrot_engine.outer import fold_outer
from dfrot_engine.progress import Report
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.base import Stage
from dfrot_engine.stages.calibrate import calibration_tokens
from dfrot_engine.work_dir import WorkDir

NAME = "quantize"
OUTER = "outer"  # embedding, final norm and head
_HIDDEN = "hidden"
_PROBE_TOKENS = 2_048  # rounding needs no data; errors are measured on this many tokens


def run(job: Job, work: WorkDir, fingerprint: str, report: Report) -> None:
    """Leaves `quantize/outer.safetensors` and `quantize/00000.safetensors` …"""
    num_blocks = job.architecture.num_blocks
    report(StageStarted(stage=NAME, steps=num_blocks))
    rotations = RotationSet.load(work.rotations).to(job.device)
    factory = BlockFactory(job.model_dir, job.device)
    with CheckpointReader(job.model_dir) as reader:
        if not work.has_block(NAME, OUTER, fingerprint):
            report(StageAdvanced(stage=NAME, step=0, steps=num_blocks, label="Embedding and head"))
            work.save_block(NAME, OUTER, round_outer(job, fold_outer(job, reader, rotations)), fingerprint)
        start, probe = _resume(job, work, fingerprint)
        for index in range(start, num_blocks):
            started = time.monotonic()
            tensors = _to_device(reader.block(job.architecture.block_prefix(index)), job.device)
            folded = fold_block(tensors, job.architecture, rotations, index)
            say = _sayer(index, num_blocks, report)
            stored = round_block(job, index, folded, say)
            probe, errors = _measure(job, factory, index, folded, stored, rotations, probe, say)
            work.save_block(NAME, f"{index:05}", stored, fingerprint)
            _save_probe(work, fingerprint, index, probe)
            report(
                BlockQuantized(
                    block=index,
                    relative_error=errors,
                    seconds=time.monotonic() - started,
                    bytes=_stored_bytes(job, index, stored),
                )
            )
            report(StageAdvanced(stage=NAME, step=index + 1, steps=num_blocks, label=f"Block {index + 1}"))


def _sayer(index: int, num_blocks: int, report: Report) -> Callable[[str], None]:
    """Says what is done inside a block; also where a pause or a stop lands within a second or so."""
    label = f"Block {index + 1} of {num_blocks}"
    return lambda what: report(StageAdvanced(stage=NAME, step=index, steps=num_blocks, label=f"{label}, {what}"))


@dataclass(frozen=True)
class _Probe:
    """Hidden states of a few calibration sequences in rotated space, [B, T, D] float32.

    Args:
        exact: through the folded, unquantized blocks.
        quantized: through the quantized blocks.
    """

    exact: Tensor
    quantized: Tensor


def _resume(job: Job, work: WorkDir, fingerprint: str) -> tuple[int, _Probe]:
    if work.has_block(NAME, _HIDDEN, fingerprint):
        tensors, facts = work.load_block(NAME, _HIDDEN)
        return int(facts["next_block"]), _Probe(tensors["exact"], tensors["quantized"])
    tokens_BT = calibration_tokens(job, Tokenizer.load(job.model_dir))
    tokens_BT = tokens_BT[: max(1, _PROBE_TOKENS // tokens_BT.shape[1])]
    outer, _ = work.load_block(NAME, OUTER)
    hidden = outer["embedding"][tokens_BT].float()
    return 0, _Probe(hidden, hidden)


def _save_probe(work: WorkDir, fingerprint: str, index: int, probe: _Probe) -> None:
    tensors = {"exact": probe.exact, "quantized": probe.quantized.clone()}
    work.save_block(NAME, _HIDDEN, tensors, fingerprint, {"next_block": str(index + 1)})


def _measure(
    job: Job,
    factory: BlockFactory,
    index: int,
    folded: dict[str, Tensor],
    stored: dict[str, Tensor],
    rotations: RotationSet,
    probe: _Probe,
    say: Callable[[str], None],
) -> tuple[_Probe, dict[str, float]]:
    """Run both streams through the block; the relative error of each linear, and of the block since the embedding."""
    block = fill_quantized_block(factory, job, index, stored, rotations)
    exact_block = fill_exact_block(factory, job, index, folded, rotations)
    say("measuring")
    with _linear_errors(job, block, exact_block) as errors:
        quantized = run_block(factory, block, index, probe.quantized, kv_quantizer(job, rotations))
    say("measuring")
    exact = run_block(factory, exact_block, index, probe.exact, _rotate_only(rotations))
    measured = {name: (float(wrong) / max(float(total), 1e-30)) ** 0.5 for name, (wrong, total) in errors.items()}
    measured["block"] = float((quantized - exact).norm() / exact.norm().clamp(min=1e-12))
    return _Probe(exact, quantized), measured


def _rotate_only(rotations: RotationSet) -> KVQuantizer | None:
    return None if rotations.r3 is None else KVQuantizer(rotations.r3, None)


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
    bits = {name: schemes.weights.format for name, schemes in block_schemes(job, index).items() if schemes.weights}
    size = 0
    for name, tensor in stored.items():
        linear, _, part = name.rpartition(".")
        size += tensor.numel() * int(bits[linear][3:]) // 8 if part == "codes" else tensor.nbytes
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
        recipe.overrides,
        recipe.skip,
        recipe.calibration,
    ),
    lambda _job: True,
    run,
)
