"""Streams of hidden states that are exact but for one linear, and how far their predictions are from the original's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.errors import RunError
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear, replace_linear
from dfrot_engine.forward.quantized_block import block_schemes, fill_exact_block, kv_quantizer
from dfrot_engine.forward.stored_clips import unsearched_clips
from dfrot_engine.forward.stream import batches, embed, run_block
from dfrot_engine.job import Job
from dfrot_engine.outer import final_norm_parts, finish_logits, head_weight
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.recipe import RTN, LinearSchemes, Recipe
from dfrot_engine.rotations.fold import fold_block, fold_embedding, fold_head
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.sensitivity.budget import CHUNK_TOKENS, Source
from dfrot_engine.sensitivity.types import KV_CACHE


class Say(Protocol):
    """Takes the passes through a block since the last call and what is being done; what it raises ends the work."""

    def __call__(self, passes: int, label: str) -> None: ...


@dataclass(frozen=True)
class Bench:
    """What every stream is measured with; rotations on the job's device."""

    job: Job
    factory: BlockFactory
    reader: CheckpointReader
    rotations: RotationSet
    tokens_BT: Tensor

    @property
    def exact_kv(self) -> KVQuantizer | None:
        return None if self.rotations.r3 is None else KVQuantizer(self.rotations.r3)

    @property
    def rounded_kv(self) -> KVQuantizer | None:
        """Nothing is searched here: clip ratios that the recipe has searched stand at 1.0, linears' too."""
        return kv_quantizer(self.job, self.rotations, unsearched_clips({}, self.job.recipe.kv_cache))


def streams_of(bench: Bench, sources: Sequence[Source], say: Say) -> Tensor:
    """[1 + S, B, T, D] hidden states behind the last block: the exact ones, then one stream for each source.

    Weights are read once. A source's stream leaves the exact one at its block and goes through all later blocks.

    Args:
        sources: in the order of the blocks.
    """
    hidden = _embedded(bench)
    streams = torch.empty(1 + len(sources), *hidden.shape)
    streams[0] = hidden
    count = 1
    for index in range(bench.job.architecture.num_blocks):
        label = f"Block {index + 1} of {bench.job.architecture.num_blocks}"
        say(0, f"{label}, folding")
        folded, block = _exact_block(bench, index)
        before, after = streams[0].clone(), count
        for source in sources[count - 1 :]:
            if source.block != index:
                break
            say(0, f"{label}, {source.linear.rpartition('.')[2]}")
            streams[after] = _perturbed(bench, block, folded, source, before)
            after += 1
            say(1, label)
        _pass_on(bench, block, index, streams[:count], partial(say, label=label))
        count = after
    return streams


def rounded_streams(bench: Bench, recipes: Sequence[Recipe], say: Say) -> Tensor:
    """[1 + R, B, T, D] hidden states behind the last block: the exact ones, then the whole model under each recipe."""
    streams = _embedded(bench).expand(1 + len(recipes), -1, -1, -1).clone()
    prefix = bench.job.architecture.block_prefix
    for index in range(bench.job.architecture.num_blocks):
        label = f"Whole model, block {index + 1}"
        say(0, label)
        folded, block = _exact_block(bench, index)
        streams[0] = run_block(bench.factory, block, index, streams[0], bench.exact_kv)
        for number, recipe in enumerate(recipes, start=1):
            rounded = {
                linear.name: _rounded(bench, block, folded, linear.name, recipe.schemes(prefix(index) + linear.name))
                for linear in bench.job.architecture.block_at(index).linears
            }
            with _in_place_of(block, rounded):
                streams[number] = run_block(bench.factory, block, index, streams[number], bench.rounded_kv)
            say(1, label)
        say(1, label)
    return streams


@torch.no_grad()
def divergences(bench: Bench, streams: Tensor, say: Say) -> list[float]:
    """KL(first stream ‖ other) per token in nats, for every other; a sequence's last token predicts nothing.

    Args:
        streams: [1 + S, B, T, D] behind the last block.
    Raises:
        RunError: a stream gives NaN or infinity.
    """
    names, device = bench.job.architecture, bench.job.device
    parts = {part: tensor.to(device) for part, tensor in final_norm_parts(names, bench.reader).items()}
    head = head_weight(bench.job, bench.reader).to(device)
    head, neutral = fold_head(head, parts, names.final_norm, bench.rotations)
    head_VD, norm = head.float(), bench.factory.fill_final_norm(neutral)
    totals = [0.0] * (len(streams) - 1)
    num_sequences, length = streams.shape[1], streams.shape[2] - 1
    for sequence in range(num_sequences):
        for start in range(0, length, CHUNK_TOKENS):
            rows_STD = streams[:, sequence, start : min(start + CHUNK_TOKENS, length)]
            log_q = finish_logits(norm(rows_STD[0].to(device)) @ head_VD.T, names).log_softmax(-1)
            for number, rows_TD in enumerate(rows_STD[1:]):
                log_p = finish_logits(norm(rows_TD.to(device)) @ head_VD.T, names).log_softmax(-1)
                totals[number] += float((log_q.exp() * (log_q - log_p)).sum(-1).double().sum())
                say(0, "comparing predictions")
    means = [total / (num_sequences * length) for total in totals]
    if not all(map(math.isfinite, means)):
        raise RunError("A rounded model gives NaN or infinity.", "Use more bits or a smaller group size.")
    return means


def _pass_on(bench: Bench, block: nn.Module, index: int, streams: Tensor, say: Callable[[int], None]) -> None:
    """All streams through an exact block, in place.

    Args:
        say: called after each batch with the number of streams that it completed.
    """
    done, num_sequences = 0, streams.shape[1]
    for batch in batches(streams.flatten(0, 1)):
        # The batch is a view of the streams.
        batch.copy_(bench.factory.run(block, index, batch, bench.exact_kv))
        before, done = done // num_sequences, done + len(batch)
        say(done // num_sequences - before)


def _embedded(bench: Bench) -> Tensor:
    """[B, T, D] float32 on the CPU, rotated."""
    hidden = embed(bench.reader, bench.job.architecture, bench.tokens_BT)
    return fold_embedding(hidden.to(bench.job.device), bench.rotations).float().cpu()


def _exact_block(bench: Bench, index: int) -> tuple[dict[str, Tensor], nn.Module]:
    """Its folded tensors in float64, and the block that runs them."""
    job = bench.job
    tensors = read_block(bench.reader, job.architecture, index)
    placed = {name: tensor.to(job.device) for name, tensor in tensors.items()}
    folded = fold_block(placed, job.architecture, bench.rotations, index)
    return folded, fill_exact_block(bench.factory, job, index, folded, bench.rotations)


def _perturbed(bench: Bench, block: nn.Module, folded: dict[str, Tensor], source: Source, before: Tensor) -> Tensor:
    """The block's output when its input is exact and the source alone is rounded."""
    index = source.block
    if source.linear == KV_CACHE:
        return run_block(bench.factory, block, index, before, bench.rounded_kv)
    rounded = {
        name: _rounded(bench, block, folded, name, schemes)
        for name, schemes in block_schemes(bench.job, index).items()
        if bench.job.architecture.block_at(index).named(name).kind == source.linear
    }
    with _in_place_of(block, rounded):
        return run_block(bench.factory, block, index, before, bench.exact_kv)


def _rounded(bench: Bench, block: nn.Module, folded: dict[str, Tensor], name: str, schemes: LinearSchemes) -> nn.Module:
    """The linear as the recipe rounds it, weights to nearest."""
    exact = block.get_submodule(name)
    assert isinstance(exact, QuantizedLinear)
    weight_OI: Tensor = exact.weight
    if schemes.weights is not None:
        own = folded[f"{name}.weight"].float()
        quantized = solve_rtn(own, schemes.weights, RTN(), scale_dtype=bench.job.checkpoint_dtype)
        weight_OI = quantized.dequantize(weight_OI.dtype)
    quantize = activation_quantizer(schemes.activations) if schemes.activations else None
    return QuantizedLinear(weight_OI, exact.bias, quantize, exact.online)


@contextmanager
def _in_place_of(block: nn.Module, linears: dict[str, nn.Module]) -> Iterator[None]:
    exact = {name: block.get_submodule(name) for name in linears}
    for name, linear in linears.items():
        replace_linear(block, name, linear)
    try:
        yield
    finally:
        for name, linear in exact.items():
            replace_linear(block, name, linear)
