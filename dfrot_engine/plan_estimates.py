"""What each stage takes in memory, disk and time, from sizes alone: rough, but of the right order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dfrot_engine.architectures import Architecture
from dfrot_engine.architectures.base import Block
from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.nvidia import has_nvidia_gpu
from dfrot_engine.options import RunOptions
from dfrot_engine.plan_evaluation import evaluation_estimate
from dfrot_engine.plan_hidden import batch_bytes, held_bytes, spilled_bytes
from dfrot_engine.plan_inner import inner_disk_bytes, inner_memory_bytes, inner_seconds, inner_words
from dfrot_engine.plan_linears import PlannedLinear
from dfrot_engine.plan_network import network_bytes, network_seconds
from dfrot_engine.plan_outputs import outputs_of, scale_bytes
from dfrot_engine.plan_places import gigabytes
from dfrot_engine.plan_proof import proof_estimate
from dfrot_engine.plan_recovery import recovery_bytes, recovery_seconds
from dfrot_engine.plan_solver import (
    attended_bytes,
    share_of_expert,
    solver_bytes,
    solver_seconds,
    solver_words,
    stream_bytes,
)
from dfrot_engine.plan_types import StageEstimate
from dfrot_engine.recipe import REFINED, Cayley, Descent, DFRot, NoRotation, Recipe, Whip
from dfrot_engine.site_charts import FIRST_BYTES
from dfrot_engine.speed import core_flops

# Python with torch and transformers loaded, measured.
PROCESS_BYTES = 450_000_000
# Of what a core reaches with small matrices, once activations, norms and what is not overlapped are counted in.
CORE_SHARE = 0.45
CUDA_FLOPS = 50e12
# Rounding with a search over a hundred clip ratios, in multiplications of a core; a GPU is bound by its memory.
SEARCH_FLOPS_PER_WEIGHT = 7_000
CUDA_SEARCH_S_PER_WEIGHT = 2.5e-9
CONVERT_BYTES_PER_S = 25e6
WRITE_BYTES_PER_S = 200e6
SHARD_BYTES = 5_000_000_000
PROBE_TOKENS = 2_048
# Those that are tried for an input.
CLIP_RATIOS = 29
# For each number of a block while it is rounded to nearest: as read, folded in float64, as codes and as it runs;
# measured on a block of 64 experts and on dense ones.
ROUNDED_BLOCK_BYTES = 17
# For each number of embedding and head while they are folded in float64, without and with rounding the head; measured.
OUTER_BYTES, ROUNDED_OUTER_BYTES = 10, 19


@dataclass(frozen=True)
class Workload:
    """What the estimates are made from."""

    recipe: Recipe
    options: RunOptions
    facts: ModelFacts
    architecture: Architecture
    linears: tuple[PlannedLinear, ...]

    @cached_property
    def block_parameters(self) -> int:
        """Of the largest block."""
        return max(sum(own for own, _ in self._weights_of(block)) for block, _ in self.architecture.blocks_of_kind)

    @cached_property
    def parameters(self) -> int:
        """Of all blocks."""
        kinds = self.architecture.blocks_of_kind
        return sum(len(numbers) * own for block, numbers in kinds for own, _ in self._weights_of(block))

    @cached_property
    def passed_parameters(self) -> int:
        """Of all blocks, those that a token passes: of experts only its own."""
        kinds = self.architecture.blocks_of_kind
        passed = (len(numbers) * own * share for block, numbers in kinds for own, share in self._weights_of(block))
        return int(sum(passed))

    def _weights_of(self, block: Block) -> Iterator[tuple[int, float]]:
        """(number of weights, share of the tokens that pass them) of each linear."""
        share = share_of_expert(self.architecture, block)
        for linear in block.linears:
            rows, columns = self.architecture.linear_shape(linear)
            yield rows * columns, 1.0 if linear.expert is None else share

    @property
    def outer_parameters(self) -> int:
        """Embedding and head, which is untied."""
        return 2 * self.architecture.vocab_size * self.architecture.hidden_size

    @property
    def calibration_tokens(self) -> int:
        return self.recipe.calibration.num_samples * self.recipe.calibration.seq_len

    @property
    def hidden_bytes(self) -> int:
        """Hidden states of all calibration samples, float32."""
        return self.calibration_tokens * self.hidden_token_bytes

    @cached_property
    def block_bytes(self) -> int:
        """Of the first block in the checkpoint."""
        prefix = self.architecture.block_prefix(0)
        return sum(one.num_bytes for name, one in self.facts.headers.items() if name.startswith(prefix))

    @cached_property  # free memory changes from one moment to the next
    def memory_budget(self) -> int:
        return self.options.memory_budget

    @property
    def batch_bytes(self) -> int:
        """Activations of one batch of the calibration inside a block."""
        return batch_bytes(self, self.recipe.calibration.seq_len, self.calibration_tokens)

    def pass_flops(self, tokens: int, seq_len: int) -> float:
        """Of so many tokens through all blocks, attention included."""
        scores = self.architecture.num_blocks * self.scores_flops(seq_len)
        return tokens * (2 * self.passed_parameters + scores)

    def scores_flops(self, seq_len: int) -> float:
        """Of a token's attention in one block, the linears aside."""
        return 2 * seq_len * self.architecture.num_heads * self.architecture.head_size

    @property
    def probe_bytes(self) -> int:
        """Hidden states of the sequences that errors are measured on."""
        return min(self.hidden_bytes, max(PROBE_TOKENS, self.recipe.calibration.seq_len) * self.hidden_token_bytes)

    @property
    def hidden_token_bytes(self) -> int:
        return 4 * self.architecture.hidden_size

    @property
    def sample_rows(self) -> int:
        num_sites = self.architecture.num_blocks * len(self.architecture.block.sites())
        return min(self.recipe.rotation.sample_rows, self.calibration_tokens * num_sites)

    @cached_property  # asking the driver takes longer than the rest of the plan
    def is_on_cuda(self) -> bool:
        return self.options.device != "cpu" and has_nvidia_gpu()

    @property
    def cores(self) -> int:
        return self.options.threads or max(1, (os.cpu_count() or 2) - 1)

    def seconds(self, flops: float) -> float:
        return flops / (CUDA_FLOPS if self.is_on_cuda else CORE_SHARE * core_flops() * self.cores)

    def stage(self, name: str, summary: str, memory: int, disk: int, seconds: float | None) -> StageEstimate:
        return StageEstimate(
            stage=name,
            summary=summary,
            peak_memory_bytes=PROCESS_BYTES + memory,
            disk_bytes=disk,
            seconds=None if seconds is None else round(seconds, 1),
        )


def stage_estimates(work: Workload) -> tuple[StageEstimate, ...]:
    """The stages this recipe goes through, in order."""
    recipe = work.recipe
    stages = [_load(work)]
    if recipe.rotation.needs_activations:
        stages.append(_calibrate(work))
    stages += [_rotate(work), _quantize(work)]
    if recipe.exports:
        stages.append(_export(work))
        if recipe.proof != "none":
            stages.append(proof_estimate(work))
    if recipe.evaluation is not None:
        stages.append(evaluation_estimate(work, recipe.evaluation))
    return tuple(stages)


def refinement_flops(r1: DFRot | Descent | Whip, rows: int, width: int) -> float:
    """Of one step of a refinement on this many sampled rows."""
    if isinstance(r1, Descent | Whip):
        # Two products with a batch, six rounds of evening out, a Cayley step; every tenth time the rows held out.
        return 4 * min(r1.batch_rows, rows) * width**2 + rows * width**2 / 40 + 45 * width**3
    # Two products with its rows and a Cayley step in float64; every fifth time the loss.
    return 4.4 * min(r1.rows_per_step(width), rows) * width**2 + 30 * width**3


def search_seconds(work: Workload) -> float:
    """For the clip ratios of all weights that search them."""
    searched = sum(
        linear.shape[0] * linear.shape[1]
        for linear in work.linears
        if linear.weights and linear.weights.clip_ratio == "search"
    )
    return searched * CUDA_SEARCH_S_PER_WEIGHT if work.is_on_cuda else work.seconds(searched * SEARCH_FLOPS_PER_WEIGHT)


def clip_search_flops(work: Workload) -> float:
    """For the clip ratios of all activations that search them: each ratio multiplies the rows once."""
    return sum(
        CLIP_RATIOS * 2 * PROBE_TOKENS * linear.shape[1] * min(linear.shape)
        + 2 * linear.shape[0] * linear.shape[1] ** 2
        for linear in work.linears
        if linear.activations and linear.activations.clip_ratio == "search"
    )


def _load(work: Workload) -> StageEstimate:
    facts = work.facts
    if facts.folder is not None:
        return work.stage("load", "Already on this computer", 0, 0, 1.0)
    if facts.revision:
        size = facts.download_bytes
        return work.stage("load", f"Download {gigabytes(size)}", 0, size, None)
    size = sum(header.num_bytes for header in facts.headers.values())
    summary = f"Convert {gigabytes(sum(file.bytes for file in facts.files))} of GGUF, once"
    return work.stage("load", summary, 2 * size, size, size / CONVERT_BYTES_PER_S)


def _calibrate(work: Workload) -> StageEstimate:
    wanted, sizes = work.recipe.calibration, work.architecture
    rows_bytes = work.sample_rows * sizes.hidden_size * 4
    # In front of a block and behind it, and what enters each place that is sampled.
    streams = (2 + len(sizes.block.sites())) * work.hidden_bytes
    block = work.block_bytes + 4 * work.block_parameters
    memory = max(block + work.batch_bytes + held_bytes(work, streams), 4 * rows_bytes)
    seconds = work.seconds(work.pass_flops(work.calibration_tokens, wanted.seq_len))
    summary = f"{wanted.num_samples:,} × {wanted.seq_len:,} tokens"
    # The hidden states behind the last finished block and behind the next, which a resumed run needs.
    disk = 2 * work.hidden_bytes + spilled_bytes(work, streams)
    places = sizes.num_blocks * len(sizes.block.sites()) * sizes.hidden_size * 2
    first = min(wanted.seq_len * places, FIRST_BYTES)
    return work.stage("calibrate", summary, memory, disk + 2 * rows_bytes + first + inner_disk_bytes(work), seconds)


def _rotate(work: Workload) -> StageEstimate:
    """R1, and the inner rotations behind it, which take their memory one after the other."""
    r1, seconds = _rotate_r1(work), inner_seconds(work)
    words = inner_words(work)
    return r1.model_copy(
        update={
            "summary": f"{r1.summary}; {words}" if words else r1.summary,
            "peak_memory_bytes": max(r1.peak_memory_bytes, PROCESS_BYTES + inner_memory_bytes(work)),
            "seconds": None if r1.seconds is None else round(r1.seconds + seconds, 1),
        }
    )


def _rotate_r1(work: Workload) -> StageEstimate:
    r1, width = work.recipe.rotation.r1, work.architecture.hidden_size
    square_bytes = width * width * 8
    if not isinstance(r1, REFINED):
        summary = "No R1" if isinstance(r1, NoRotation) else f"R1: {r1.kind.replace('-', ' ')}"
        memory = 4 * square_bytes + 4 * work.sample_rows * width * 4
        return work.stage("rotate", summary, memory, square_bytes, work.seconds(4 * width**3) + 1.0)
    if isinstance(r1, Cayley):
        summary = f"{r1.steps:,} iterations through the whole model"
        memory = 4 * work.sample_rows * width * 4 + 6 * square_bytes + network_bytes(work, r1)
        return work.stage("rotate", summary, memory, square_bytes, network_seconds(work, r1))
    summary = f"{r1.steps:,} iterations on {work.sample_rows:,} rows"
    flops = r1.steps * refinement_flops(r1, work.sample_rows, width)
    # The rows, two draws of them at most and a chunk's errors; a dozen matrices in float64.
    memory = 4 * work.sample_rows * width * 4 + 12 * square_bytes
    return work.stage("rotate", summary, memory, square_bytes, work.seconds(flops))


def _quantize(work: Workload) -> StageEstimate:
    sizes, recipe = work.architecture, work.recipe
    weights = {linear.name: linear.shape[0] * linear.shape[1] for linear in work.linears if linear.weights}
    # Folding in float64 takes two products with R1; the probe goes through both versions of each block.
    parameters = work.parameters
    flops = 2 * (parameters + work.outer_parameters) * sizes.hidden_size
    flops += 4 * work.pass_flops(PROBE_TOKENS, recipe.calibration.seq_len)
    flops += clip_search_flops(work)
    outer_bytes = ROUNDED_OUTER_BYTES if sizes.head in weights else OUTER_BYTES
    folded = ROUNDED_BLOCK_BYTES * work.block_parameters
    inside = max(folded, 9 * work.block_parameters + work.batch_bytes, recovery_bytes(work), solver_bytes(work))
    streams = stream_bytes(work)
    memory = max(inside + held_bytes(work, streams + attended_bytes(work)), outer_bytes * work.outer_parameters)
    # Codes take a byte each until they are packed.
    disk = parameters - sum(weights.values()) + parameters + 2 * work.outer_parameters + scale_bytes(work)
    count = f"{len(weights):,} linears, {solver_words(recipe)}" if weights else "weights keep their precision"
    recovery = recipe.recovery
    if recovery is not None:
        count += f"; recovery in {recovery.steps:,} steps a block"
    disk += streams  # a resumed run needs them complete
    seconds = search_seconds(work) + work.seconds(flops) + recovery_seconds(work) + solver_seconds(work)
    return work.stage("quantize", count, memory, disk, seconds)


def _export(work: Workload) -> StageEstimate:
    size = sum(output.bytes for output in outputs_of(work))
    # Bytes go to a file of parts first, and from there into their shard.
    disk = size + max((min(output.bytes, SHARD_BYTES) for output in outputs_of(work)), default=0)
    memory = 4 * work.block_parameters + 4 * work.outer_parameters
    return work.stage("export", f"about {gigabytes(size)}", memory, disk, 2 * size / WRITE_BYTES_PER_S + 1.0)
