"""What proving the written files takes, for the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfrot_engine.plan_outputs import outputs_of
from dfrot_engine.plan_types import StageEstimate

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

# Windows and continuations, all outputs and the original alike.
_TOKENS = 4 * 256 + 5 * 60
# A token that is generated waits for the whole model to be read; counted in tokens that go through together.
_SINGLE_TOKENS = 48 * 20
_READ_BYTES_PER_S = 300e6


def proof_estimate(work: Workload) -> StageEstimate:
    sizes = work.architecture
    written = sum(output.bytes for output in outputs_of(work))
    seconds, memory = written / _READ_BYTES_PER_S + 1.0, 9 * work.block_parameters
    summary = "Read the files back"
    if work.recipe.proof == "full":
        # The fold in float64 costs twice as much a multiplication.
        folding = 4 * (work.parameters + work.outer_parameters) * sizes.hidden_size
        models = 1 + 2 * len(work.recipe.exports)
        flops = folding + models * work.pass_flops(_TOKENS + _SINGLE_TOKENS, 256)
        seconds += work.seconds(flops)
        memory = max(19 * work.block_parameters, 10 * work.outer_parameters)
        half = 2 * (work.parameters + work.outer_parameters)
        if half <= work.memory_budget:  # it is loaded whole, in float32 where that fits as well; else block by block
            memory = max(memory, half + written + (half if 2 * half <= work.memory_budget else 0))
        summary += ", fold again, reload, write text"
    return work.stage("prove", summary, memory, 0, seconds)
