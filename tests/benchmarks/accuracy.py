"""Held-out perplexity of rotations and of solvers: ``python -m tests.benchmarks.accuracy --help``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from dfrot_engine.checkpoint import source
from dfrot_engine.errors import DFRotError
from dfrot_engine.forward.stored_clips import searches
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.recipe import Recipe
from dfrot_engine.stages import calibrate, quantize, rotate
from dfrot_engine.work_dir import WorkDir
from tests.benchmarks import rounding
from tests.benchmarks.held_out import HeldOut, Text, evaluation_text
from tests.benchmarks.strategies import GRIDS, SWEEP, Strategy, base_recipe, rotation_strategies

_RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for, print it, and keep it after every number, so that a stopped benchmark goes on."""
    asked = _parser().parse_args(arguments)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    try:
        found = run(asked)
    except DFRotError as error:
        print(f"{error.message} {error.remedy}", file=sys.stderr)
        return 1
    table = rounding.table if asked.what == "rounding" else _table
    print(json.dumps(found, indent=1) if asked.json else table(found))
    return 0


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """Every strategy on every grid and seed; numbers that stand in the result file are not measured again."""
    with tempfile.TemporaryDirectory(prefix="dfrot-accuracy-") as folder:
        return _run_in(asked, Path(folder))


def _run_in(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    text = evaluation_text(folder)
    settings = {
        key: getattr(asked, key) for key in ("model", "what", "windows", "seq_len", "skip_windows", "dtype", "steps")
    }
    if asked.what == "rounding":
        settings["samples"] = asked.samples
    settings |= {"text": text.name, "calibration": text.calibration_name}
    found: dict[str, Any] = {"settings": settings, "original": None, "runs": {}}
    path = _RESULTS / asked.out if asked.out else None
    if path is not None and path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        found = before if before["settings"] == settings else found

    def keep() -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    if asked.what == "rounding":
        rounding.run(asked, text, folder, found, keep)
        return found
    bench = _Bench(asked, text, folder)
    found["original"] = found["original"] or bench.held_out.original()
    keep()
    for grid, strategy, seed in _wanted(asked):
        name = f"{grid}/{strategy.name}/{seed}"
        if name not in found["runs"]:
            found["runs"][name] = bench.measure(grid, strategy, seed)
            print(f"{name}: {found['runs'][name]}", file=sys.stderr, flush=True)
            keep()
    return found


class _Bench:
    """One model, calibrated once for each grid; every strategy learns from the same rows."""

    def __init__(self, asked: argparse.Namespace, text: Text, folder: Path) -> None:
        self._asked, self._text, self._folder = asked, text, folder
        self._options = RunOptions.model_validate(
            {"output_dir": folder / "out", "device": asked.device, "keep_rotations": False}
        )
        recipe = self._base("symmetric")
        self._model_dir = source.fetch(recipe.model, lambda *_: None)
        self.held_out = HeldOut(
            self._job(recipe), text.dataset, asked.windows, asked.seq_len, asked.skip_windows, asked.dtype
        )
        self._calibrated: set[int] = set()

    def measure(self, grid: str, strategy: Strategy, seed: int) -> dict[str, float]:
        """Perplexity, seconds that learning took, and the loss before and after, where there is one."""
        recipe = strategy.recipe(self._base(grid), seed, self._asked.steps)
        job = self._job(recipe)
        rows = recipe.rotation.sample_rows
        with WorkDir.open(self._folder / f"rows-{rows}") as work:
            if rows not in self._calibrated:
                calibrate.run(self._job(_with_every_row(recipe)), work, "same", lambda _event: None)
                self._calibrated.add(rows)
            started = time.monotonic()
            # A fingerprint of its own keeps one strategy's blocks from being taken for another's.
            rotate.run(job, work, f"{grid} {strategy.name} {seed}", lambda _event: None)
            learned_s = time.monotonic() - started
            if searches(recipe.activations):
                quantize.run(job, work, f"{grid} {strategy.name} {seed}", lambda _event: None)
            losses = work.read_json(rotate.RESULT)["loss"]
            perplexity = self.held_out.perplexity(job, work)
        found = {"perplexity": perplexity, "seconds": round(learned_s, 1)}
        return found | ({"loss_start": losses[0], "loss_end": min(losses)} if losses else {})

    def _base(self, grid: str) -> Recipe:
        return base_recipe(self._asked.model, self._text.calibration, GRIDS[grid])

    def _job(self, recipe: Recipe) -> Job:
        return Job.prepare(recipe, self._options, recipe.model.id_or_path, self._model_dir)


def _with_every_row(recipe: Recipe) -> Recipe:
    """The same rows for R1, and rows for R2 and R4 besides, whether this strategy learns them or not."""
    learned = {"kind": "descent"}, {"kind": "block-descent"}
    return recipe.with_field("rotation.r2", learned[0]).with_field("rotation.r4", learned[1])


def _wanted(asked: argparse.Namespace) -> Iterator[tuple[str, Strategy, int]]:
    """Seeds outermost, so that a benchmark that is stopped has compared everything at least once."""
    for seed in range(asked.seeds):
        for grid in asked.grids:
            strategies = SWEEP if asked.what == "sweep" else rotation_strategies(grid)
            for strategy in strategies:
                is_asked = not asked.only or strategy.name in asked.only
                if is_asked and (strategy.is_random or seed == 0):
                    yield grid, strategy, seed


def _table(found: dict[str, Any]) -> str:
    """One line for each grid and strategy: mean over the seeds, and the share of RH's loss that is recovered."""
    original = found["original"]
    by_strategy: dict[str, list[dict[str, float]]] = {}
    for name, numbers in found["runs"].items():
        by_strategy.setdefault(name.rpartition("/")[0], []).append(numbers)
    means = {name: sum(one["perplexity"] for one in runs) / len(runs) for name, runs in by_strategy.items()}
    lines = [
        f"original {original:.3f}",
        "| grid/strategy | perplexity (seeds) | recovered | learning |",
        "|---|---|---|---|",
    ]
    for name, runs in by_strategy.items():
        hadamard = means.get(f"{name.partition('/')[0]}/hadamard")
        recovered = (hadamard - means[name]) / (hadamard - original) if hadamard else float("nan")
        each = ", ".join(f"{one['perplexity']:.2f}" for one in runs)
        seconds = sum(one["seconds"] for one in runs) / len(runs)
        lines.append(f"| {name} | {means[name]:.2f} ({each}) | {recovered:+.0%} | {seconds:.0f} s |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.accuracy", description=__doc__)
    parser.add_argument("--what", choices=("rotation", "sweep", "rounding"), default="rotation")
    parser.add_argument("--model", default="sample")
    parser.add_argument("--grids", nargs="+", choices=tuple(GRIDS), default=["symmetric", "asymmetric"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="of rounding")
    parser.add_argument("--schemes", nargs="+", choices=tuple(rounding.SCHEMES), default=list(rounding.SCHEMES))
    parser.add_argument("--solvers", nargs="+", choices=rounding.SOLVERS, default=list(rounding.SOLVERS))
    parser.add_argument("--samples", type=int, default=32, help="calibration sequences of rounding")
    parser.add_argument("--only", nargs="+", default=[], help="names of strategies or rotations; all otherwise")
    parser.add_argument("--steps", type=int, default=0, help="iterations of descent and whip; 0 takes the defaults")
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--skip-windows", type=int, default=0, help="of the text's start, to tune on other text")
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the forward pass")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", help="file in tests/benchmarks/results/, which a stopped benchmark goes on from")
    return parser


if __name__ == "__main__":
    sys.exit(main())
