"""Perplexity, KL divergence, top-1 agreement and tasks: the original against what was written, reloaded from disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfrot_engine.adapter_folder import has_adapter
from dfrot_engine.calibration.datasets import evaluation_windows, load_text
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.errors import RunError
from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.evaluation.models import LogitsOf, fits_whole, original_logits, quantized_logits, reloaded_logits
from dfrot_engine.evaluation.streamed import streamed_logits
from dfrot_engine.evaluation.tasks import harness_version, run_tasks
from dfrot_engine.events import Evaluated, StageAdvanced, StageStarted
from dfrot_engine.exporters.gguf_table import GGUF_KINDS
from dfrot_engine.forward.room import Room
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.recipe import Evaluation
from dfrot_engine.report_file import ENGINE
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages.base import Stage
from dfrot_engine.stages.export import output_folder
from dfrot_engine.stages.seen_folders import share_of_seen
from dfrot_engine.work_dir import WorkDir

NAME = "evaluate"
RESULT = "evaluation.json"

#: (finished steps, what is being done)
Advance = Callable[[int, str], None]


def run(job: Job, work: WorkDir, _fingerprint: str, report: Report) -> None:
    """Leaves `evaluation.json`."""
    wanted = job.recipe.evaluation
    assert wanted is not None
    ranks = job.ranks
    all_BT = ranks.told_tensors({"tokens": _windows(job)} if ranks.is_first else None)["tokens"]
    # A folder beside the first rank's may be another one of that name on another computer.
    tokens_BT = all_BT[share_of_seen(ranks, _read_folders(job), len(all_BT))]
    fits = ranks.told(fits_whole(job))
    has_own = ranks.told(not _is_engine(job, fits))  # other computers may not see the adapter
    num_blocks, num_windows = job.architecture.num_blocks, len(tokens_BT)
    own_steps = has_own * num_blocks
    text_steps = own_steps + num_blocks + num_windows
    steps = text_steps + 2 * len(wanted.tasks)
    report(StageStarted(stage=NAME, steps=steps))

    def advance(step: int, label: str) -> None:
        report(StageAdvanced(stage=NAME, step=step, steps=steps, label=label))

    room = Room.of(job, work.root / NAME, report)
    own = _own_forward(job, tokens_BT, room, advance).together(ranks) if has_own else None
    before, after, measured = _measured(
        job, fits, tokens_BT, room, lambda step, label: advance(own_steps + step, label)
    )
    before, after = before.together(ranks), after.together(ranks)
    measured = next(filter(None, ranks.all_facts(measured)))  # of a rank that had windows
    alone = None
    if ranks.told(fits and _with_adapter(job) is not None):
        advance(text_steps, "Without the adapter")
        alone = _without_adapter(job, tokens_BT).together(ranks)
    if not ranks.is_first:
        return
    protocol = {
        "dataset": wanted.dataset,
        "seq_len": all_BT.shape[1],
        "num_windows": len(all_BT),
        "tokens": after.tokens,
        "measured": measured,
    }
    numbers = _numbers(before, after, own, alone)
    tasks = _tasks(job, wanted, lambda step, label: advance(text_steps + step, label)) if wanted.tasks else {}
    work.write_json(RESULT, numbers | {"protocol": protocol} | tasks)
    _report_numbers(wanted.dataset, numbers, report)
    for row in tasks.get("tasks", ()):
        # With the task's name, since tasks have metrics such as "perplexity" too.
        metric = f"{row['task']}/{row['metric']}"
        report(Evaluated(dataset=row["task"], metric=metric, value=row["quantized"], baseline=row["original"]))


def _numbers(before: Metrics, after: Metrics, own: Metrics | None, alone: Metrics | None) -> dict[str, float]:
    """As they stand in the report.

    Args:
        own: the engine's forward, where something else was measured.
        alone: the checkpoint without the adapter beside it.
    """
    numbers = {
        "perplexity_original": before.perplexity,
        "perplexity_quantized": after.perplexity,
        "kl_divergence": after.kl_divergence,
        "top1_agreement": after.top1_agreement,
    }
    others = {"perplexity_engine": own, "perplexity_without_adapter": alone}
    return numbers | {name: one.perplexity for name, one in others.items() if one is not None}


def _own_forward(job: Job, tokens_BT: Tensor, room: Room, advance: Advance) -> Metrics:
    """The recipe as the engine itself computes it, in float32: what runtimes are compared with."""
    own = Metrics()
    if not len(tokens_BT):
        return own
    logits = _engine_logits(job, tokens_BT, room, lambda index: advance(index + 1, f"By the engine: block {index + 1}"))
    for window, tokens_T in enumerate(tokens_BT):
        own.add(logits(window), tokens_T)
    return own


def _engine_logits(job: Job, tokens_BT: Tensor, room: Room, say: Callable[[int], None]) -> LogitsOf:
    work = WorkDir(job.options.work_path)  # which other ranks may see as well
    rotations = RotationSet.load(work.rotations)
    return quantized_logits(job, work, rotations, tokens_BT, room, change=lambda index, _block: say(index))


def _measured(job: Job, fits: bool, tokens_BT: Tensor, room: Room, advance: Advance) -> tuple[Metrics, Metrics, str]:
    """The original and the quantized model on this rank's windows, and what was measured."""
    before, after = Metrics(), Metrics()
    num_blocks = job.architecture.num_blocks
    if not len(tokens_BT):
        return before, after, ""
    original = original_logits(job, tokens_BT, lambda index: advance(index + 1, f"Original: block {index + 1}"), room)
    quantized, measured = _measured_model(
        job, fits, tokens_BT, room, lambda index: advance(num_blocks, f"Quantized: block {index + 1}")
    )
    for window in range(len(tokens_BT)):
        reference = original(window)
        logits = quantized(window)
        if not bool(torch.isfinite(logits).all()):
            raise RunError(
                f"The quantized model ({measured}) gives NaN or infinity.", "Use more bits or a smaller group size."
            )
        before.add(reference, tokens_BT[window])
        after.add(logits, tokens_BT[window], reference)
        advance(num_blocks + window + 1, f"Window {window + 1} of {len(tokens_BT)}")
    return before, after, measured


def _with_adapter(job: Job) -> Path | None:
    """The folder that is measured, if an adapter lies in it."""
    folder = output_folder(job, job.recipe.exports[0]) if job.recipe.exports else None
    return folder if folder is not None and has_adapter(folder) else None


def _without_adapter(job: Job, tokens_BT: Tensor) -> Metrics:
    alone, folder = Metrics(), _with_adapter(job)
    if folder is not None and len(tokens_BT):
        logits = reloaded_logits(folder, tokens_BT, job.device, adapter=False)
        for window, tokens_T in enumerate(tokens_BT):
            alone.add(logits(window), tokens_T)
    return alone


def _tasks(job: Job, wanted: Evaluation, advance: Advance) -> dict[str, Any]:
    """What goes into the result: "tasks", a row for each task and metric, and "task_protocol"."""
    before = run_tasks(
        job.model_dir, wanted.tasks, wanted.task_limit, job.device, lambda done: advance(done, "Original: tasks")
    )
    export = job.recipe.exports[0]
    after = run_tasks(
        output_folder(job, export),
        wanted.tasks,
        wanted.task_limit,
        job.device,
        lambda done: advance(len(wanted.tasks) + done, "Quantized: tasks"),
    )
    rows = []
    for original, quantized in zip(before, after, strict=True):
        row = asdict(quantized)
        row |= {"quantized": row.pop("value"), "quantized_stderr": row.pop("stderr")}
        rows.append(row | {"original": original.value, "original_stderr": original.stderr})
    protocol = {
        "harness": f"lm-evaluation-harness {harness_version()}",
        "task_limit": wanted.task_limit,
        "measured": f"{export.kind}, loaded by transformers",
    }
    return {"tasks": rows, "task_protocol": protocol}


def _read_folders(job: Job) -> list[Path]:
    """Where the quantized model is read from."""
    return [WorkDir(job.options.work_path).block_path("quantize", "outer").parent] + [
        output_folder(job, export) for export in job.recipe.exports[:1]
    ]


def _windows(job: Job) -> Tensor:
    wanted = job.recipe.evaluation
    assert wanted is not None
    tokens = Tokenizer.load(job.model_dir).encode(load_text(wanted.dataset, "evaluation"))
    return torch.from_numpy(evaluation_windows(tokens, wanted.window(job.architecture.max_length), wanted.num_windows))


def _is_engine(job: Job, fits: bool) -> bool:
    """Whether nothing is exported, or nothing that can be read."""
    if not job.recipe.exports:
        return True
    # Of experts the files are laid out in another way than the modules that would read them; GGUF is no safetensors; an
    # adapter is read by PEFT alone, beside a whole model.
    kind = job.recipe.exports[0].kind
    return not fits and bool(job.architecture.experts_per_token or kind in GGUF_KINDS or _with_adapter(job))


def _measured_model(
    job: Job, fits: bool, tokens_BT: Tensor, room: Room, say: Callable[[int], None]
) -> tuple[LogitsOf, str]:
    """The first export, as users load it; the engine's own quantized forward where nothing is exported or can be."""
    if _is_engine(job, fits):
        return _engine_logits(job, tokens_BT, room, say), ENGINE
    export = job.recipe.exports[0]
    folder = output_folder(job, export)
    if fits:
        adapter = " with the adapter beside it" if has_adapter(folder) else ""
        return reloaded_logits(folder, tokens_BT, job.device), f"{export.kind}, loaded by transformers{adapter}"
    logits = streamed_logits(folder, job.architecture, tokens_BT, job.device, room, say)
    return logits, f"{export.kind}, by the modules of transformers, block by block"


def _report_numbers(dataset: str, numbers: dict[str, float], report: Report) -> None:
    baseline = {"perplexity": numbers["perplexity_original"], "kl_divergence": 0.0, "top1_agreement": 1.0}
    for metric, before in baseline.items():
        value = numbers.get(f"{metric}_quantized", numbers.get(metric))
        assert value is not None
        report(Evaluated(dataset=dataset, metric=metric, value=value, baseline=before))


STAGE = Stage(NAME, lambda recipe: (recipe.evaluation,), lambda job: job.recipe.evaluation is not None, run)
