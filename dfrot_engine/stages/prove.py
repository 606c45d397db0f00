"""Prove what was written: files, tensors, the fold, the reloaded model and the texts it writes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dfrot_engine.calibration.datasets import evaluation_windows, load_text
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.errors import ProofError
from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.evaluation.models import LogitsOf, fits_whole, load_checkpoint, load_model, logits_of
from dfrot_engine.evaluation.streamed import streamed_logits
from dfrot_engine.events import Proved, StageAdvanced, StageStarted
from dfrot_engine.exporters.gguf_table import GGUF_KINDS
from dfrot_engine.forward.room import Room
from dfrot_engine.job import Job
from dfrot_engine.marker import FAILED, mark_failed, mark_passed
from dfrot_engine.progress import Report
from dfrot_engine.proof.files import prove_files, prove_model
from dfrot_engine.proof.reload import (
    computes_in_float32,
    has_few_codes,
    prove_reload,
    reference_logits,
    rounds_activations,
)
from dfrot_engine.proof.text import NEW_TOKENS, PROMPTS, continuations, marks, prompts_of, prove_text
from dfrot_engine.proof.types import ProofRow, Written, failures
from dfrot_engine.recipe import Evaluation, Export
from dfrot_engine.stages.base import Stage
from dfrot_engine.stages.export import output_folder
from dfrot_engine.work_dir import WorkDir

NAME = "prove"
RESULT = "proof.json"
_WINDOWS, _WINDOW = 4, 256
_FOLD_TOKENS = 64
_REMEDIES = {
    "files": "Run the same again, which writes the files anew. If it fails again, have this computer's disk and "
    "memory checked.",
    "tensors": "Run the same again, which writes the files anew. If it fails again, have this computer's disk and "
    "memory checked.",
    "folding": "Delete the work folder and run again. If it fails again, report it: the program cannot rotate this "
    "model.",
    "reload": "Report it with dfrot.json of the folder. To keep such files all the same, set proof = 'quick'.",
    "text": "Use more bits, smaller groups or another rotation. To keep such files all the same, set proof = 'quick'.",
}


@dataclass
class _Proof:
    """What is being proved, and what is known so far."""

    job: Job
    work: WorkDir
    report: Report
    steps: int
    done: int = 0
    rows: list[ProofRow] = field(default_factory=list)
    texts: list[dict[str, str]] = field(default_factory=list)

    def take(self, *rows: ProofRow) -> None:
        self.rows += rows
        for row in rows:
            self.report(Proved(row=row))

    @contextmanager
    def part(self, steps: int, label: str) -> Iterator[Callable[[int], None]]:
        """Steps of one part of the proof; the bar ends where the part does."""

        def say(step: int) -> None:
            self.report(StageAdvanced(stage=NAME, step=self.done + step, steps=self.steps, label=label))

        say(0)
        yield say
        self.done += steps

    def end_if_failed(self) -> None:
        """Raises: ProofError: something failed; the folders it is about are marked."""
        failed = failures(self.rows)
        if not failed:
            return
        self.save()
        for export in self.job.recipe.exports:
            own = [row for row in failed if row.output in ("", self.job.recipe.label(export))]
            if own:
                mark_failed(output_folder(self.job, export), [f"{row.output or 'model'}: {row.note}" for row in own])
        # A tensor's name says more than that of the file it is in.
        first = min(failed, key=lambda row: row.check == "files")
        what = f"what was written as {first.output}" if first.output else "the rotated model"
        more = f" {len(failed) - 1} more {'check' if len(failed) == 2 else 'checks'} failed." if len(failed) > 1 else ""
        raise ProofError(
            f"The proof of {what} failed: {first.note}.{more}",
            f"{_REMEDIES[first.check]} Until then no program loads the folder; {FAILED} in it says why.",
            "proof",
        )

    def save(self) -> None:
        rows = [row.model_dump(mode="json") for row in self.rows]
        self.work.write_json(RESULT, {"proof": rows, "proof_texts": self.texts})


def run(job: Job, work: WorkDir, _fingerprint: str, report: Report) -> None:
    """Leaves `proof.json`.

    Raises:
        ProofError: what was written is not what it should be; the output folder says so then.
    """
    is_full, exports = job.recipe.proof == "full", job.recipe.exports
    num_blocks = job.architecture.num_blocks
    steps = num_blocks * (len(exports) + 1) + is_full * (len(exports) * (_WINDOWS + NEW_TOKENS) + NEW_TOKENS)
    report(StageStarted(stage=NAME, steps=steps))
    proof = _Proof(job, work, report, steps)
    outputs = [Written(job.recipe.label(export), export.kind, output_folder(job, export)) for export in exports]
    with proof.part(num_blocks * len(exports), "Reading the files back") as say:
        proof.take(*prove_files(job, work, outputs, say))
    proof.end_if_failed()
    windows_BT = _windows(job) if is_full else None
    with proof.part(num_blocks, "Folding again") as say:
        proof.take(*prove_model(job, work, outputs, None if windows_BT is None else windows_BT[0, :_FOLD_TOKENS], say))
    proof.end_if_failed()
    if windows_BT is not None:
        _prove_reloaded(proof, windows_BT)
        proof.end_if_failed()
    proof.save()
    for output in outputs:
        mark_passed(output.folder, job.recipe.proof)


def _windows(job: Job) -> Tensor:
    """A few windows of the evaluation's text."""
    wanted = job.recipe.evaluation or Evaluation()
    length = min(wanted.window(job.architecture.max_length), _WINDOW)
    tokens = Tokenizer.load(job.model_dir).encode(load_text(wanted.dataset, "evaluation"))
    return torch.from_numpy(evaluation_windows(tokens, length, _WINDOWS))


@dataclass(frozen=True)
class _Reloaded:
    """What is kept of a checkpoint when it has left memory."""

    output: str
    perplexity: float
    written_BT: Tensor


def _prove_reloaded(proof: _Proof, windows_BT: Tensor) -> None:
    job, tokenizer = proof.job, Tokenizer.load(proof.job.model_dir)
    prompts_BT = prompts_of(tokenizer.encode)
    fits = fits_whole(job)
    kept: list[_Reloaded] = []
    for export in job.recipe.exports:
        room = Room.of(job, proof.work.root / NAME, proof.report)
        with proof.part(_WINDOWS + NEW_TOKENS, f"Reloading {job.recipe.label(export)}") as say:
            kept += _reload(proof, export, windows_BT, prompts_BT, room, fits, say)
        gc.collect()
    proof.end_if_failed()
    if not fits:
        reason = "the model does not fit into the memory budget whole, which writing text needs"
        proof.take(*(_not_done("text", job.recipe.label(export), reason) for export in job.recipe.exports))
        return
    with proof.part(NEW_TOKENS, "The original writes") as say:
        _judge_texts(proof, kept, windows_BT, prompts_BT, tokenizer, say)


def _reload(
    proof: _Proof,
    export: Export,
    windows_BT: Tensor,
    prompts_BT: Tensor,
    room: Room,
    fits: bool,
    say: Callable[[int], None],
) -> list[_Reloaded]:
    job = proof.job
    if not fits and (job.architecture.experts_per_token or export.kind in GGUF_KINDS):
        proof.take(
            _not_done(
                "reload", job.recipe.label(export), "these files cannot be read block by block, and do not fit whole"
            )
        )
        return []
    folder = output_folder(job, export)
    if not fits:

        def streamed(rounds: bool) -> LogitsOf:
            return streamed_logits(
                folder, job.architecture, windows_BT, job.device, room, lambda _index: say(0), rounds=rounds
            )

        _compare(proof, export, windows_BT, room, streamed, adapter=False, is_float32=False)
        return []
    is_float32 = fits_whole(job, 2) and computes_in_float32(job.recipe)
    model = load_model(folder, job.device, torch.float32 if is_float32 else None)
    whole = partial(logits_of, model, windows_BT)
    perplexity = _compare(
        proof, export, windows_BT, room, lambda rounds: whole(rounds=rounds), adapter=True, is_float32=is_float32
    )
    written_BT = continuations(model, prompts_BT, lambda tokens: say(_WINDOWS + tokens))
    return [_Reloaded(job.recipe.label(export), perplexity, written_BT)]


def _compare(
    proof: _Proof,
    export: Export,
    windows_BT: Tensor,
    room: Room,
    logits: Callable[[bool], LogitsOf],
    *,
    adapter: bool,
    is_float32: bool,
) -> float:
    """The reloaded model with the engine's own forward; where noise decides, the weights alone as well.

    With few codes it always does. With those of 8 bits it does on computers whose sums depend on a batch's size, and
    where it is not farther off than noise would bring it, that is no fault of the files.

    Args:
        logits: of the reloaded model, by whether it rounds activations.
    Returns:
        The reloaded model's perplexity.
    """
    job = proof.job
    expected = partial(reference_logits, job, proof.work, export.kind, windows_BT, room, adapter=adapter)
    prove = partial(prove_reload, export, job.recipe, tokens=windows_BT, is_float32=is_float32)
    if not has_few_codes(export.kind, job.recipe):
        rows, perplexity = prove(expected(), logits(True))
        if all(row.passed for row in rows) or not rounds_activations(export.kind, job.recipe):
            proof.take(*rows)
            return perplexity
    alone, _ = prove(expected(rounds=False), logits(False), rounds=False)
    proof.take(*alone)
    rows, perplexity = prove(expected(), logits(True), noisy=expected(noisy=True))
    proof.take(*rows)
    return perplexity


def _judge_texts(
    proof: _Proof,
    kept: list[_Reloaded],
    windows_BT: Tensor,
    prompts_BT: Tensor,
    tokenizer: Tokenizer,
    say: Callable[[int], None],
) -> None:
    dtype = torch.float32 if fits_whole(proof.job, 2) else None
    original = load_checkpoint(proof.job.model_dir, proof.job.device, dtype)
    perplexity = _perplexity(logits_of(original, windows_BT), windows_BT)
    models: dict[str, Tensor] = {"original": continuations(original, prompts_BT, say)}
    models |= {one.output: one.written_BT for one in kept}
    texts = {name: [tokenizer.decode(row) for row in rows.tolist()] for name, rows in models.items()}
    judged = {name: marks(original, prompts_BT, rows, texts[name]) for name, rows in models.items()}
    prompts = [tokenizer.decode(row) for row in prompts_BT.tolist()]
    proof.texts = [
        {"prompt": prompts[number], **{name: rows[number] for name, rows in texts.items()}}
        for number in range(len(PROMPTS))
    ]
    for one in kept:
        ratio = one.perplexity / perplexity
        proof.take(prove_text(one.output, judged[one.output], judged["original"], ratio))


def _perplexity(logits: LogitsOf, windows_BT: Tensor) -> float:
    metrics = Metrics()
    for window, tokens_T in enumerate(windows_BT):
        metrics.add(logits(window), tokens_T)
    return metrics.perplexity


def _not_done(check: Any, output: str, reason: str) -> ProofRow:
    return ProofRow(check=check, output=output, what="", note=f"not done: {reason}")


STAGE = Stage(
    NAME,
    lambda recipe: (recipe.proof, recipe.evaluation.dataset if recipe.evaluation else ""),
    lambda job: bool(job.recipe.exports) and job.recipe.proof != "none",
    run,
)
