"""What measuring the result takes, for the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfrot_engine.calibration.datasets import dataset_file
from dfrot_engine.errors import DataError
from dfrot_engine.plan_types import StageEstimate
from dfrot_engine.recipe import Evaluation

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

_BYTES_PER_TOKEN = 4
# Of WikiText-2's test split and of what is read of C4, in tokens.
_HUB_TOKENS = {"wikitext-2": 290_000, "c4": 4_000_000}


def evaluation_estimate(work: Workload, wanted: Evaluation) -> StageEstimate:
    """Both models, whole."""
    sizes = work.architecture
    window = wanted.window(sizes.max_length)
    windows = wanted.num_windows or max(1, _evaluation_tokens(wanted, window) // window)
    tokens = windows * window
    parameters, passed = (own + work.outer_parameters // 2 for own in (work.parameters, work.passed_parameters))
    logits_bytes = 3 * 4 * window * sizes.vocab_size
    memory = 4 * (parameters + work.outer_parameters // 2) + logits_bytes + 4 * tokens * sizes.hidden_size
    about = "" if wanted.num_windows else "about "
    summary = f"{about}{windows:,} windows of {window:,} tokens"
    if wanted.tasks:
        # How long they take depends on their data, which nobody knows before they are loaded.
        summary += f", then {len(wanted.tasks)} {'task' if len(wanted.tasks) == 1 else 'tasks'} (not in the time)"
    # The original and the quantized model.
    return work.stage("evaluate", summary, memory, 0, work.seconds(2 * 2 * passed * tokens))


def _evaluation_tokens(wanted: Evaluation, window: int) -> int:
    try:
        path = dataset_file(wanted.dataset, "evaluation")
    except DataError:  # already a problem of the plan
        return window
    if path is None:
        return _HUB_TOKENS[wanted.dataset]
    return path.stat().st_size // _BYTES_PER_TOKEN
