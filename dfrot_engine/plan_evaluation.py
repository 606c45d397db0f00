"""What measuring the original and the written model takes, for the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfrot_engine.calibration.datasets import dataset_file
from dfrot_engine.checkpoint.headers import whole_model_bytes
from dfrot_engine.errors import DataError
from dfrot_engine.plan_hidden import batch_bytes, held_bytes, spilled_bytes
from dfrot_engine.plan_outputs import outputs_of
from dfrot_engine.plan_types import StageEstimate
from dfrot_engine.recipe import Evaluation

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

_BYTES_PER_TOKEN = 4
# Of WikiText-2's test split and of what is read of C4, in tokens.
_HUB_TOKENS = {"wikitext-2": 290_000, "c4": 4_000_000}
# How often a window's logits lie in memory.
_LOGITS_COPIES = 3


def evaluation_estimate(work: Workload, wanted: Evaluation) -> StageEstimate:
    sizes = work.architecture
    window = wanted.window(sizes.max_length)
    windows = wanted.num_windows or max(1, _evaluation_tokens(wanted, window) // window)
    tokens = windows * window
    head = work.outer_parameters // 2
    streamed = work.block_bytes + 4 * work.block_parameters + batch_bytes(work, window, tokens)
    heads = 8 * head + _LOGITS_COPIES * 4 * window * sizes.vocab_size
    hidden = held_bytes(work, 2 * 4 * tokens * sizes.hidden_size)
    memory = hidden + max(streamed, heads, head * 4 + _reloaded_bytes(work))
    about = "" if wanted.num_windows else "about "
    summary = f"{about}{windows:,} windows of {window:,} tokens"
    if wanted.tasks:
        # How long they take depends on their data, which nobody knows before they are loaded.
        summary += f", then {len(wanted.tasks)} {'task' if len(wanted.tasks) == 1 else 'tasks'} (not in the time)"
    flops = work.pass_flops(tokens, window) + 2 * head * tokens
    disk = spilled_bytes(work, 2 * 4 * tokens * sizes.hidden_size)
    # The original and the quantized model, and what was written besides.
    passes = 3 if work.recipe.exports else 2
    return work.stage("evaluate", summary, memory, disk, work.seconds(passes * flops))


def _reloaded_bytes(work: Workload) -> int:
    """Of the written model where it is loaded whole, packed and unpacked."""
    sizes = work.architecture
    whole = whole_model_bytes(work.facts.headers.values(), work.outer_parameters // 2 if sizes.tied else 0)
    if not work.recipe.exports or whole > work.memory_budget:
        return 0
    return whole + outputs_of(work)[0].bytes


def _evaluation_tokens(wanted: Evaluation, window: int) -> int:
    try:
        path = dataset_file(wanted.dataset, "evaluation")
    except DataError:  # already a problem of the plan
        return window
    if path is None:
        return _HUB_TOKENS[wanted.dataset]
    return path.stat().st_size // _BYTES_PER_TOKEN
