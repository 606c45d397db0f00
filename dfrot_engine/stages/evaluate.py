"""Perplexity, KL divergence and top-1 agreement: the original against what was written, reloaded from disk."""

from __future__ import annotations

import torch
from torch import Tensor

from dfrot_engine.calibration.datasets import evaluation_windows, load_text
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.errors import RunError
from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.evaluation.models import LogitsOf, original_logits, quantized_logits, reloaded_logits
from dfrot_engine.events import Evaluated, StageAdvanced, StageStarted
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.base import Stage
from dfrot_engine.stages.export import output_folder
from dfrot_engine.work_dir import WorkDir

NAME = "evaluate"
RESULT = "evaluation.json"


def run(job: Job, work: WorkDir, _fingerprint: str, report: Report) -> None:
    """Leaves `evaluation.json`."""
    wanted = job.recipe.evaluation
    assert wanted is not None
    tokens_BT = _windows(job)
    num_blocks, num_windows = job.architecture.num_blocks, len(tokens_BT)
    steps = num_blocks + num_windows
    report(StageStarted(stage=NAME, steps=steps))

    def advance(step: int, label: str) -> None:
        report(StageAdvanced(stage=NAME, step=step, steps=steps, label=label))

    original = original_logits(job, tokens_BT, lambda index: advance(index + 1, f"Original: block {index + 1}"))
    quantized, measured = _measured_model(job, work, tokens_BT)
    before, after = Metrics(), Metrics()
    for window in range(num_windows):
        reference = original(window)
        logits = quantized(window)
        if not bool(torch.isfinite(logits).all()):
            raise RunError(
                f"The quantized model ({measured}) gives NaN or infinity.", "Use more bits or a smaller group size."
            )
        before.add(reference, tokens_BT[window])
        after.add(logits, tokens_BT[window], reference)
        advance(num_blocks + window + 1, f"Window {window + 1} of {num_windows}")
    numbers = {
        "perplexity_original": before.perplexity,
        "perplexity_quantized": after.perplexity,
        "kl_divergence": after.kl_divergence,
        "top1_agreement": after.top1_agreement,
    }
    protocol = {
        "dataset": wanted.dataset,
        "seq_len": wanted.seq_len,
        "num_windows": num_windows,
        "tokens": after.tokens,
        "measured": measured,
    }
    work.write_json(RESULT, numbers | {"protocol": protocol})
    _report_numbers(wanted.dataset, numbers, report)


def _windows(job: Job) -> Tensor:
    wanted = job.recipe.evaluation
    assert wanted is not None
    tokens = Tokenizer.load(job.model_dir).encode(load_text(wanted.dataset, "evaluation"))
    return torch.from_numpy(evaluation_windows(tokens, wanted.seq_len, wanted.num_windows))


def _measured_model(job: Job, work: WorkDir, tokens_BT: Tensor) -> tuple[LogitsOf, str]:
    """The first export, loaded as users load it; the engine's own quantized forward when nothing is exported."""
    if job.recipe.exports:
        folder = output_folder(job, job.recipe.exports[0])
        return reloaded_logits(folder, tokens_BT, job.device), f"{job.recipe.exports[0].kind}, loaded by transformers"
    return quantized_logits(job, work, RotationSet.load(work.rotations), tokens_BT), "the engine's quantized forward"


def _report_numbers(dataset: str, numbers: dict[str, float], report: Report) -> None:
    baseline = {"perplexity": numbers["perplexity_original"], "kl_divergence": 0.0, "top1_agreement": 1.0}
    for metric, before in baseline.items():
        value = numbers.get(f"{metric}_quantized", numbers.get(metric))
        assert value is not None
        report(Evaluated(dataset=dataset, metric=metric, value=value, baseline=before))


STAGE = Stage(NAME, lambda recipe: (recipe.evaluation,), lambda job: job.recipe.evaluation is not None, run)
