"""What rounding the weights costs, by scheme, rotation and solver: `--what rounding` of the accuracy benchmark."""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import Any

import torch

from dfrot_engine.calibration.datasets import evaluation_windows, load_text
from dfrot_engine.checkpoint import source
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.evaluation.models import original_logits, quantized_logits
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.recipe import Recipe
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages import calibrate, quantize, rotate
from dfrot_engine.work_dir import WorkDir
from tests.benchmarks.held_out import Text

#: name → (preset, fields that differ from it)
SCHEMES: dict[str, tuple[str, dict[str, Any]]] = {
    "w4a4kv4-paper": ("w4a4kv4-paper", {}),
    "w4a8": ("w4a8", {}),
    "w4a16": ("w4a16", {}),
    "w4a16 per channel": ("w4a16", {"weights.granularity": "per-channel"}),
    "w8a8": ("w8a8", {}),
}
SOLVERS = ("rtn", "gptq", "qronos")
ROTATIONS = ("none", "hadamard", "dfrot", "descent")
_PAPER = "w4a4kv4-paper"


class RoundingBench:
    """One model; calibrated once a seed, rotated once for each scheme and rotation, rounded by every solver."""

    def __init__(self, asked: argparse.Namespace, text: Text, folder: Path) -> None:
        self._asked, self._text, self._folder = asked, text, folder
        self._options = RunOptions.model_validate(
            {"output_dir": folder / "out", "device": asked.device, "keep_rotations": False}
        )
        self._model_dir = source.fetch(self.recipe("w8a8", "hadamard", 0).model, lambda *_: None)
        job = self._job(self.recipe("w8a8", "hadamard", 0))
        tokens = Tokenizer.load(job.model_dir).encode(load_text(text.dataset, "evaluation"))
        self._tokens_BT = torch.from_numpy(evaluation_windows(tokens, asked.seq_len, asked.windows))
        self._original = original_logits(job, self._tokens_BT, lambda _index: None)
        self._calibrated: set[int] = set()

    def original(self) -> float:
        metrics = Metrics()
        for window, tokens_T in enumerate(self._tokens_BT):
            metrics.add(self._original(window), tokens_T)
        return metrics.perplexity

    def recipe(self, scheme: str, rotation: str, seed: int) -> Recipe:
        """The preset with one rotation; `none` leaves out R2 to R4 as well, `descent` refines them too."""
        preset, fields = SCHEMES[scheme]
        recipe = Recipe.preset(preset).with_field("exports", []).with_field("evaluation", None)
        fields = fields | {
            "model.id_or_path": self._asked.model,
            "calibration.dataset": self._text.calibration,
            "calibration.num_samples": self._asked.samples,
            "calibration.seq_len": self._asked.seq_len,
            "calibration.seed": seed,
            "rotation.compare": False,
        }
        for name, value in fields.items():
            recipe = recipe.with_field(name, value)
        for name, section in _rotations(recipe, rotation, seed).items():
            recipe = recipe.with_field(f"rotation.{name}", section)
        return recipe.with_field("rotation.r3", recipe.rotation.r3 and rotation != "none")

    def measure(self, scheme: str, rotation: str, solvers: tuple[str, ...], seed: int) -> Iterator[dict[str, float]]:
        """Perplexity, KL, agreement and seconds of each solver in turn."""
        recipe = self.recipe(scheme, rotation, seed)
        with WorkDir.open(self._folder / f"seed-{seed}") as work:
            if seed not in self._calibrated:
                calibrate.run(self._job(_with_every_row(recipe)), work, "same", _quiet)
                self._calibrated.add(seed)
            name = f"{scheme} {rotation} {seed}"
            started = time.monotonic()
            rotate.run(self._job(recipe), work, name, _quiet)
            rotating_s = time.monotonic() - started
            for solver in solvers:
                job = self._job(recipe.with_field("solver.kind", solver))
                started = time.monotonic()
                quantize.run(job, work, f"{name} {solver}", _quiet)
                seconds = {"rotate_s": round(rotating_s, 1), "round_s": round(time.monotonic() - started, 1)}
                yield self._numbers(job, work) | seconds

    def _numbers(self, job: Job, work: WorkDir) -> dict[str, float]:
        quantized = quantized_logits(job, work, RotationSet.load(work.rotations), self._tokens_BT)
        metrics = Metrics()
        for window, tokens_T in enumerate(self._tokens_BT):
            metrics.add(quantized(window), tokens_T, self._original(window))
        return {"perplexity": metrics.perplexity, "kl": metrics.kl_divergence, "top1": metrics.top1_agreement}

    def _job(self, recipe: Recipe) -> Job:
        return Job.prepare(recipe, self._options, recipe.model.id_or_path, self._model_dir)


def run(asked: argparse.Namespace, text: Text, folder: Path, found: dict[str, Any], keep: Any) -> None:
    """Fill `found` with what is missing in it; seeds outermost, so that a stopped benchmark has compared everything."""
    bench = RoundingBench(asked, text, folder)
    found["original"] = found["original"] or bench.original()
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for scheme in asked.schemes:
            for rotation in asked.only or ROTATIONS:
                name = f"{scheme}/{rotation}"
                missing = tuple(one for one in asked.solvers if f"{name}/{one}/{seed}" not in found["runs"])
                numbers = bench.measure(scheme, rotation, missing, seed) if missing else ()
                for solver, measured in zip(missing, numbers, strict=False):
                    found["runs"][f"{name}/{solver}/{seed}"] = measured
                    keep()


def table(found: dict[str, Any]) -> str:
    """One line for each scheme, rotation and solver: means over the seeds, and the gap in log-perplexity."""
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    for name, numbers in found["runs"].items():
        runs[name.rpartition("/")[0]].append(numbers)
    lines = [
        f"original {found['original']:.3f}",
        "| scheme/rotation/solver | seeds | perplexity | gap | KL | top-1 | rotate | round |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, of_seeds in runs.items():
        mean = {key: sum(one[key] for one in of_seeds) / len(of_seeds) for key in of_seeds[0]}
        gap = sum(log(one["perplexity"] / found["original"]) for one in of_seeds) / len(of_seeds)
        lines.append(
            f"| {name} | {len(of_seeds)} | {mean['perplexity']:.2f} | {gap:.4f} | {mean['kl']:.4f} "
            f"| {mean['top1']:.1%} | {mean['rotate_s']:.0f} s | {mean['round_s']:.0f} s |"
        )
    best = _gaps(found, f"{_PAPER}/descent/qronos")
    for rival in ("hadamard/rtn", "hadamard/gptq"):
        other = _gaps(found, f"{_PAPER}/{rival}")
        if both := best.keys() & other.keys():
            ratio = sum(best[seed] for seed in both) / sum(other[seed] for seed in both)
            lines.append(f"{_PAPER}: gap of descent/qronos is {ratio:.2f} of that of {rival}, seeds {sorted(both)}")
    return "\n".join(lines)


def _gaps(found: dict[str, Any], name: str) -> dict[int, float]:
    """Seed → gap in log-perplexity of a scheme, rotation and solver."""
    rows = ((key.rpartition("/"), numbers) for key, numbers in found["runs"].items())
    return {int(seed): log(one["perplexity"] / found["original"]) for (of, _, seed), one in rows if of == name}


def _rotations(recipe: Recipe, rotation: str, seed: int) -> dict[str, dict[str, Any]]:
    if rotation == "none":
        return {name: {"kind": "none"} for name in ("r1", "r2", "r4")}
    activations, has_r4 = recipe.activations, recipe.rotation.r4.kind != "none"
    r1, r2, r4 = {"kind": rotation, "seed": seed}, {"kind": "hadamard", "seed": seed}, {"kind": "none"}
    if has_r4:
        r4 = {"kind": "hadamard", "seed": seed}
    if rotation == "descent":
        if activations is not None and not activations.symmetric:
            r1["start"] = "householder"
        if activations is not None:
            r2["kind"] = "descent"
            r4["kind"] = "block-descent" if has_r4 else "none"
    return {"r1": r1, "r2": r2, "r4": r4}


def _with_every_row(recipe: Recipe) -> Recipe:
    """Rows for R1, R2 and R4, whether this rotation learns from them or not."""
    for name, kind in (("r1", "descent"), ("r2", "descent"), ("r4", "block-descent")):
        recipe = recipe.with_field(f"rotation.{name}", {"kind": kind})
    return recipe


def _quiet(_event: object) -> None:
    pass
