"""What runtimes make of what is written: ``python -m tests.benchmarks.runtimes --out runtimes.json``.

Each row quantizes the sample model in the cheapest way (R1 and R2 Hadamard, weights to nearest, no search for clip
ratios) and measures it by the engine's own forward and by every runtime that reads its files, through the code of
`dfrot serve-check`. Rows and runtimes that the result file has are not measured again; `--rows` and `--runtimes`
choose some.

"/float32" behind a runtime's name is the same runtime asked to compute in float32, as the engine does.

A runtime that leaves activations at other bits than the recipe says is compared with the engine's forward of the same
codes with weights alone rounded, since nothing else would be the same computation.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dfrot_engine.checkpoint import source
from dfrot_engine.errors import RunError
from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.evaluation.models import quantized_logits
from dfrot_engine.forward.room import Room
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.progress import Control
from dfrot_engine.proof.reload import has_few_codes, reference_logits
from dfrot_engine.recipe import Recipe, preset_names
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.run import run as run_recipe
from dfrot_engine.run_process import use_threads
from dfrot_engine.serve_check.checkpoint import Checkpoint, Text, read_checkpoint
from dfrot_engine.serve_check.environments import environment, runtime_names
from dfrot_engine.serve_check.run import Asked, check
from dfrot_engine.serve_check.types import Reference
from dfrot_engine.work_dir import WorkDir
from tests.benchmarks.held_out import evaluation_text
from tests.benchmarks.measuring import machine_facts

RESULTS = Path(__file__).with_name("results")
_GGUF = {"weights.group_size": 32, "exports.0.kind": "gguf"}
_FOLDERS = ("transformers", "vllm-cpu")
_FILES = ("llama.cpp", "openvino")
#: Where activations have few codes, the runtime's own 16 bits decide over many of them.
_IN_FLOAT32 = (*_FOLDERS, "transformers/float32")
_FP8 = {"weights.format": "fp8", "activations.format": "fp8"}


@dataclass(frozen=True)
class Row:
    """A preset, the fields that differ from it, and the runtimes that read its files."""

    preset: str
    fields: dict[str, Any]
    runtimes: tuple[str, ...] = _FOLDERS


ROWS = {
    "w4a16 g64": Row("w4a16", {}),
    "w4a16 g64 asymmetric": Row("w4a16", {"weights.symmetric": False}),
    "w8a8": Row("w8a8", {}),
    "w4a8 g64": Row("w4a8", {}),
    "w4a4 g64, down_proj a8": Row("w4a4", {}, _IN_FLOAT32),
    "w4a4-r4": Row("w4a4-r4", {}, _IN_FLOAT32),
    "fp8": Row("w8a8", _FP8),
    "fp8, kv fp8": Row("w8a8", _FP8 | {"kv_cache.format": "fp8", "kv_cache.granularity": "per-tensor"}, _IN_FLOAT32),
    "gguf Q8_0": Row("w4a16", {"weights.format": "int8"} | _GGUF, _FILES),
    "gguf Q4_0": Row("w4a16", _GGUF, _FILES),
    "gguf Q4_1": Row("w4a16", {"weights.symmetric": False} | _GGUF, _FILES),
}
_CHEAP: dict[str, Any] = {
    "rotation.r1.kind": "hadamard",
    "rotation.r2.kind": "hadamard",
    "rotation.compare": False,
    "weights.clip_ratio": 1.0,
    "solver.kind": "rtn",
    "evaluation": None,
}


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for and is missing, keep every number at once, print the table."""
    asked = _parser().parse_args(arguments)
    use_threads(asked.threads)
    found = _before(asked)
    for name in asked.rows or ROWS:
        row = ROWS[name]
        if row.preset not in preset_names():
            print(f"{name}: left out, there is no preset {row.preset}.")
            continue
        wanted = [one for one in row.runtimes if not asked.runtimes or one.partition("/")[0] in asked.runtimes]
        done = found["rows"].get(name, {}).get("runtimes", {})
        if "unwritten" not in found["rows"].get(name, {}) and any(one not in done for one in wanted):
            _measure_row(asked, name, [one for one in wanted if one not in done], found)
    print(table(found))
    return 0


def recipe_of(row: Row, model: str) -> Recipe:
    """The preset, made cheap; row fields last, formats before what depends on them."""
    recipe = Recipe.preset(row.preset).with_field("model.id_or_path", model)
    for name, value in (_CHEAP | row.fields).items():
        recipe = recipe.with_field(name, value)
    return recipe


def weights_alone(recipe: Recipe) -> Recipe:
    """The same codes, with the linears' inputs left as they are."""
    overrides = tuple(one.model_copy(update={"activations": None}) for one in recipe.overrides)
    return recipe.model_copy(update={"activations": None, "overrides": overrides})


def table(found: dict[str, Any]) -> str:
    """One line for each row and runtime."""
    lines = [
        "| scheme | runtime | said before | perplexity there | the engine's own | with noise of 1e-7 | weights alone "
        "| compared with | difference | limit | seconds | agreed |",
        f"|{12 * '---|'}",
    ]
    for name, row in found["rows"].items():
        if "unwritten" in row:
            lines.append(f"| {name} | not written: {row['unwritten']} {10 * '| '}|")
            continue
        noisy = f"{row['own_noisy']:.2f}" if "own_noisy" in row else ""
        own = [f"{row['own']:.2f}", noisy, f"{row['own_weights']:.2f}" if row["own_weights"] != row["own"] else ""]
        for runtime, one in row["runtimes"].items():
            there, *rest = ("refused", "", "", "", "") if "refused" in one else _cells(one)
            cells = (name, runtime, one["expected"], there, *own, *rest, "yes" if one["agrees"] else "**no**")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    against = "the engine's own" if one["compared_with"] == "engine" else "weights alone"
    difference, limit = f"{100 * one['difference']:+.2f} %", f"{100 * one['limit']:.0f} %"
    return f"{one['perplexity']:.2f}", against, difference, limit, f"{one['seconds']:.0f}"


def agrees(expected: str, one: dict[str, Any]) -> bool:
    """Whether the table's word before was what was seen."""
    if "refused" in one:
        return expected == "refused"
    return expected not in {"refused", "not tried"} and abs(one["difference"]) <= one["limit"]


def _measure_row(asked: argparse.Namespace, name: str, runtimes: list[str], found: dict[str, Any]) -> None:
    folder = asked.folder / name.replace(" ", "-").replace(",", "")
    with tempfile.TemporaryDirectory(prefix="dfrot-runtimes-") as scratch:
        text = Text(evaluation_text(Path(scratch)).dataset, asked.seq_len, asked.windows)
        recipe = recipe_of(ROWS[name], asked.model)
        row = found["rows"].setdefault(name, {"runtimes": {}})
        row |= _own_numbers(asked, recipe, folder, text) if "own" not in row else {}
        if "unwritten" in row:
            _keep(asked.out, found)
            return
        checkpoint = read_checkpoint(folder)
        for runtime in runtimes:
            one = _by_runtime(asked, checkpoint, runtime, text, row)
            one["agrees"] = agrees(one["expected"], one)
            row["runtimes"][runtime] = one
            _keep(asked.out, found)
            print(name, runtime, one, flush=True)


def _keep(out: Path, found: dict[str, Any]) -> None:
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _own_numbers(asked: argparse.Namespace, recipe: Recipe, folder: Path, text: Text) -> dict[str, Any]:
    """Writes the folder; perplexities of the engine's forward, or why nothing is written."""
    options = RunOptions.model_validate(
        {"output_dir": folder, "device": "cpu", "keep_rotations": False, "keep_work": True, "overwrite": True}
    )
    ended = run_recipe(recipe, options, lambda _event: None, Control())
    if ended.status != "finished":
        return {"unwritten": ended.message}
    windows = torch.tensor(read_checkpoint(folder).windows(text))
    own = _own(recipe, options, windows)
    plain = weights_alone(recipe)
    row = {"own": own, "own_weights": own if plain == recipe else _own(plain, options, windows)}
    # Where activations have few codes, the last bits decide over many of them: by how much?
    is_chaotic = any(has_few_codes(one.kind, recipe) for one in recipe.exports)
    return row | ({"own_noisy": _own(recipe, options, windows, noisy=True)} if is_chaotic else {})


def _own(recipe: Recipe, options: RunOptions, windows: torch.Tensor, *, noisy: bool = False) -> float:
    model_dir = source.fetch(recipe.model, lambda *_: None)
    job = Job.prepare(recipe, options, recipe.model.id_or_path, model_dir)
    metrics = Metrics()
    with WorkDir.open(options.work_path) as work:
        if noisy:
            logits = reference_logits(job, work, recipe.exports[0].kind, windows, Room.unlimited(), noisy=True)
        else:
            logits = quantized_logits(job, work, RotationSet.load(work.rotations), windows)
        for window, tokens_T in enumerate(windows):
            metrics.add(logits(window), tokens_T)
    return metrics.perplexity


def _by_runtime(
    asked: argparse.Namespace, checkpoint: Checkpoint, runtime: str, text: Text, row: dict[str, Any]
) -> dict[str, Any]:
    name, _, precision = runtime.partition("/")
    env = environment(name, asked.envs_folder)
    verdict = checkpoint.verdict(env.runtime)
    expected = verdict.words if verdict else ""
    known: dict[Reference, float] = {"engine": row["own"], "weights": row["own_weights"]}
    started = time.monotonic()
    try:
        seen = check(
            Asked(checkpoint.folder, env, text, known, asked.threads, trusts=True, in_float32=bool(precision)),
            may_install=lambda _env: asked.yes,
            reload=lambda *_: float("nan"),
            say=lambda *_: None,
        )
    except RunError as error:  # it does not load the folder, or fails at its first token
        return {"refused": error.message.replace(str(checkpoint.folder), "the folder"), "expected": expected}
    numbers = {"perplexity": seen.perplexity, "compared_with": seen.compared_with, "limit": seen.limit}
    seconds = {"seconds": round(time.monotonic() - started, 1), "load_s": round(seen.load_s, 1)}
    return numbers | {"difference": seen.difference, "versions": seen.versions, "expected": expected} | seconds


def _before(asked: argparse.Namespace) -> dict[str, Any]:
    """The result file, or a new one; another text or model is another file."""
    with tempfile.TemporaryDirectory() as scratch:
        text = evaluation_text(Path(scratch)).name
    settings = {"model": asked.model, "text": text, "seq_len": asked.seq_len, "windows": asked.windows}
    found: dict[str, Any] = {"settings": settings, "machine": machine_facts(), "rows": {}}
    if asked.out.is_file():
        found = json.loads(asked.out.read_text(encoding="utf-8"))
        if found["settings"] != settings:
            raise SystemExit(f"{asked.out} was measured with {found['settings']}; choose another --out.")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.runtimes", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "runtimes.json", help="result file; goes on from it")
    parser.add_argument("--rows", nargs="+", choices=ROWS, help="only these")
    parser.add_argument("--runtimes", nargs="+", choices=runtime_names(), help="only these")
    parser.add_argument("--model", default="sample")
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "dfrot-runtimes")
    parser.add_argument("--envs-folder", type=Path, help="as of dfrot serve-check")
    parser.add_argument("--yes", action="store_true", help="make environments that are missing")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
