"""What a sensitivity pass takes in time and memory, from sizes alone. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dfrot_engine.memory import BATCH_TOKENS
from dfrot_engine.plan_estimates import PROCESS_BYTES, Workload, search_seconds
from dfrot_engine.sensitivity.types import KV_CACHE

CHUNK_TOKENS = 256


class Source(NamedTuple):
    """The one thing that is rounded in a stream; the same linear of all experts of a block counts as one."""

    block: int
    linear: str


class Cost(NamedTuple):
    seconds: float
    bytes: int


def sources_of(work: Workload) -> tuple[Source, ...]:
    """What is rounded alone, in the order of the blocks; linears that stay exact are left out."""
    names, recipe = work.architecture, work.recipe
    found: list[Source] = []
    for index in range(names.num_blocks):
        kinds: dict[str, None] = {}
        for linear in names.block_at(index).linears:
            schemes = recipe.schemes(names.block_prefix(index) + linear.name)
            if schemes.weights is not None or schemes.activations is not None:
                kinds[linear.kind] = None
        found += [Source(index, kind) for kind in kinds]
        if recipe.kv_cache is not None:
            found.append(Source(index, KV_CACHE))
    return tuple(found)


def num_passes(sources: Sequence[Source], num_blocks: int) -> int:
    """How often the tokens go through a block: the exact ones through all, the others from their block to the last."""
    return num_blocks + sum(num_blocks - source.block for source in sources)


def cost_of(work: Workload, sources: Sequence[Source], *, check: bool) -> Cost:
    """Of the pass; rough, but of the right order."""
    sizes, tokens = work.architecture, work.calibration_tokens
    passes = num_passes(sources, sizes.num_blocks) + (3 * sizes.num_blocks if check else 0)
    streams = 1 + len(sources)
    head = sizes.vocab_size * sizes.hidden_size
    flops = 2 * tokens * (passes * work.passed_parameters / sizes.num_blocks + streams * head)
    # Folding in float64, block by block.
    flops += 4 * (work.parameters + work.outer_parameters) * sizes.hidden_size
    seconds = work.seconds(flops) + search_seconds(work) * (3 if check else 1)
    hidden = streams * tokens * sizes.hidden_size
    batch = 3 * BATCH_TOKENS * max(sizes.mlp_widths)
    # A block lies in the checkpoint's precision, in float64 and in float32 while it is folded; the head, which is
    # folded last, in float64 three times over.
    inside = max(4 * batch + 14 * work.block_parameters, 32 * head + 20 * CHUNK_TOKENS * sizes.vocab_size)
    return Cost(seconds, PROCESS_BYTES + 4 * hidden + inside)
