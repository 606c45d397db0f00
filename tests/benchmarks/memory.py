"""Peak memory of whole runs on models of growing depth: ``python -m tests.benchmarks.memory --out memory.json``.

Random checkpoints of one width (hidden size 2,048) with 4, 8 and 16 blocks of 130 MB go through a whole run of the
preset w4a16 with GPTQ, and one of 48 blocks, 6 GB, through rounding to nearest, each in a process of its own with
256 MB for hidden states. What depends on the model's depth would show as growth. Few tokens are read, since memory is
what is measured; weights are random, so that perplexities mean nothing.

Peak memory is the kernel's: the largest resident set of the process, file pages that it maps counted in. Beside each
number stands what `make_plan` said before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig

from dfrot_engine.checkpoint.writer import ShardWriter
from dfrot_engine.options import RunOptions
from dfrot_engine.plan import make_plan
from dfrot_engine.recipe import Recipe
from tests.benchmarks.measuring import machine_facts
from tests.tiny_models import tiny_tokenizer

RESULTS = Path(__file__).with_name("results")
MEMORY = 256_000_000
MOST_GROWTH, MOST_OFF = 0.05, 0.2
MOST_RTN_BYTES = 2_500_000_000
SHARD_BYTES = 1_000_000_000
RTN_BLOCKS = 48
_SHAPE: dict[str, Any] = {
    "hidden_size": 2_048,
    "intermediate_size": 5_120,
    "num_attention_heads": 64,
    "num_key_value_heads": 64,
    "head_dim": 64,
    "vocab_size": 4_096,
    "max_position_embeddings": 4_096,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "rope_theta": 10_000.0,
}
_FIELDS: dict[str, Any] = {
    "calibration.num_samples": 2,
    "calibration.seq_len": 512,
    # The search for clip ratios takes a third of the time, a few rows at a time, and R1's refinement none of the peak.
    "weights.clip_ratio": 1.0,
    "rotation.compare": False,
    "evaluation.seq_len": 512,
    "evaluation.num_windows": 1,
}
_DISK_EVERY_S = 0.05


@dataclass(frozen=True)
class Case:
    """One run."""

    name: str
    num_blocks: int
    fields: dict[str, Any]


_GPTQ = _FIELDS | {"solver.kind": "gptq", "rotation.r1.steps": 2, "rotation.r1.sample_rows": 8_192}
_RTN = _FIELDS | {"solver.kind": "rtn", "rotation.r1.kind": "hadamard"}
CASES = (
    *(Case(f"gptq-{count}", count, _GPTQ) for count in (4, 8, 16)),
    Case("rtn-6gb", RTN_BLOCKS, _RTN),
)


def write_model(folder: Path, num_blocks: int) -> int:
    """A random Llama with this many blocks in bfloat16, one tensor in memory at a time; its bytes."""
    config = LlamaConfig(num_hidden_layers=num_blocks, dtype="bfloat16", architectures=["LlamaForCausalLM"], **_SHAPE)
    config.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    generator = torch.Generator().manual_seed(0)
    writer = ShardWriter(folder, SHARD_BYTES)
    total = 0
    for name, shape in _shapes(num_blocks):
        tensor = torch.ones(shape) if len(shape) == 1 else 0.02 * torch.randn(shape, generator=generator)
        writer.add(name, tensor.bfloat16())
        total += 2 * tensor.numel()
    writer.finish({})
    return total


def _shapes(num_blocks: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, inner, vocabulary = _SHAPE["hidden_size"], _SHAPE["intermediate_size"], _SHAPE["vocab_size"]
    queries, keys = (_SHAPE[name] * _SHAPE["head_dim"] for name in ("num_attention_heads", "num_key_value_heads"))
    linears = {
        "self_attn.q_proj": (queries, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, queries),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }
    yield "model.embed_tokens.weight", (vocabulary, width)
    for index in range(num_blocks):
        yield from ((f"model.layers.{index}.{name}.weight", shape) for name, shape in linears.items())
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (vocabulary, width)


def run_case(case: Case, root: Path) -> dict[str, Any]:
    """Write the model, plan, run in a process of its own, and clean up; plan and measurement side by side."""
    folder = root / case.name
    output = folder / "out"
    try:
        plan = planned(case, folder)
        measured = _run(folder, output)
        report = json.loads((output / "report.json").read_text(encoding="utf-8"))
        return {
            "name": case.name,
            "num_blocks": case.num_blocks,
            **measured,
            "output_bytes": sum(report["output_bytes"].values()),
            "measured_with": report["protocol"]["measured"],
            "stages": report["stages"],
            "planned": plan,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def planned(case: Case, folder: Path) -> dict[str, Any]:
    """Write the case's model and recipe into the folder; what `make_plan` says about them."""
    model = folder / "model"
    model.mkdir(parents=True)
    model_bytes = write_model(model, case.num_blocks)
    recipe = Recipe.preset("w4a16").with_field("model.id_or_path", str(model))
    for name, value in case.fields.items():
        recipe = recipe.with_field(name, value)
    recipe.save(folder / "recipe.toml")
    options = RunOptions(output_dir=folder / "out", device="cpu", threads=1, memory=MEMORY, keep_rotations=False)
    plan = make_plan(recipe, options)
    plan.raise_problems()
    return {
        "model_bytes": model_bytes,
        "peak_bytes": max(stage.peak_memory_bytes for stage in plan.stages),
        "disk_bytes": sum(stage.disk_bytes for stage in plan.stages),
        "output_bytes": sum(one.bytes for one in plan.outputs),
        "seconds": round(sum(stage.seconds or 0.0 for stage in plan.stages), 1),
        "stages": {
            stage.stage: {"peak_bytes": stage.peak_memory_bytes, "seconds": stage.seconds} for stage in plan.stages
        },
    }


def _run(folder: Path, output: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "dfrot_engine", "run", str(folder / "recipe.toml"), "--output", str(output)]
    command += ["--device", "cpu", "--threads", "1", "--memory", str(MEMORY), "--no-library", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    with (folder / "events.jsonl").open("w") as events, _disk_use(folder) as disk:
        process = subprocess.Popen(command, stdout=events, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((folder / "events.jsonl").read_text()[-2_000:])
    return {
        "peak_bytes": usage.ru_maxrss * 1024,
        "disk_bytes": max(disk),
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    }


@contextmanager
def _disk_use(folder: Path) -> Iterator[list[int]]:
    """Samples the bytes on disk below the folder, what was there before left out."""
    before, sizes, stop = _disk_bytes(folder), [0], threading.Event()

    def sample() -> None:
        while not stop.wait(_DISK_EVERY_S):
            sizes.append(_disk_bytes(folder) - before)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        thread.join()


def _disk_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0
        except FileNotFoundError:  # the run goes on meanwhile
            continue
    return total


def _replanned(case: Case, root: Path) -> dict[str, Any]:
    try:
        return planned(case, root / case.name)
    finally:
        shutil.rmtree(root / case.name, ignore_errors=True)


def verdict(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What was to be shown, as far as its cases were run."""
    by_name = {one["name"]: one for one in found}
    shown: dict[str, Any] = {}
    if {"gptq-4", "gptq-16"} <= by_name.keys():
        growth = by_name["gptq-16"]["peak_bytes"] / by_name["gptq-4"]["peak_bytes"] - 1
        shown |= {"growth_4_to_16_blocks": round(growth, 4), "grows_less_than_5_percent": growth < MOST_GROWTH}
    if "rtn-6gb" in by_name:
        one = by_name["rtn-6gb"]
        shown["6_gb_below_2_5_gb"] = one["planned"]["model_bytes"] >= 6e9 and one["peak_bytes"] < MOST_RTN_BYTES
    for kind in ("peak_bytes", "disk_bytes", "output_bytes"):
        off = [abs(one["planned"][kind] / one[kind] - 1) for one in found]
        shown[f"planned_{kind}_off_by_most"] = round(max(off), 3)
        shown[f"planned_{kind}_within_20_percent"] = max(off) < MOST_OFF
    return shown


def table(found: list[dict[str, Any]]) -> str:
    """Measured and planned, in GB and seconds."""
    columns = ("model", "peak", "plan", "disk", "plan", "output", "plan")
    lines = [f"{'run':9} {' '.join(f'{column:>6}' for column in columns)} {'time':>7} {'plan':>7}"]
    for one in found:
        plan = one["planned"]
        sizes = [plan["model_bytes"]]
        for kind in ("peak_bytes", "disk_bytes", "output_bytes"):
            sizes += [one[kind], plan[kind]]
        lines.append(
            f"{one['name']:9} {' '.join(f'{size / 1e9:6.2f}' for size in sizes)} "
            f"{one['seconds']:7.0f} {plan['seconds']:7.0f}"
        )
        for stage, facts in one["stages"].items():
            guess = plan["stages"].get(stage, {})
            peaks = f"{facts['peak_bytes'] / 1e9:6.2f} {guess.get('peak_bytes', 0) / 1e9:6.2f}"
            seconds = f"{facts['seconds']:7.0f} {guess.get('seconds') or 0:7.0f}"
            lines.append(f"  {stage:14} {peaks} {'':27} {seconds}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.memory", description="Peak memory of whole runs.")
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in CASES], help="default: all")
    parser.add_argument("--replan", action="store_true", help="plan again beside what was measured before; run nothing")
    parser.add_argument("--folder", type=Path, help="for models and outputs (default: a temporary one)")
    parser.add_argument("--out", metavar="NAME", help="add the figures to tests/benchmarks/results/NAME")
    wanted = parser.parse_args()
    path = RESULTS / wanted.out if wanted.out else None
    found = json.loads(path.read_text())["runs"] if path is not None and path.is_file() else []
    with tempfile.TemporaryDirectory(prefix="dfrot-memory-", dir=wanted.folder) as root:
        for case in CASES:
            before = next((one for one in found if one["name"] == case.name), None)
            is_wanted = wanted.cases is None or case.name in wanted.cases
            if not is_wanted or (wanted.replan and before is None):
                continue
            if wanted.replan and before is not None:
                made = before | {"planned": _replanned(case, Path(root))}
            else:
                made = run_case(case, Path(root))
            found = [one for one in found if one is not before] + [made]
            print(table([made]), flush=True)
            if path is not None:
                content = {"machine": machine_facts(), "memory": MEMORY, "verdict": verdict(found), "runs": found}
                path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    shown = verdict(found)
    print(table(found), json.dumps(shown, indent=1), sep="\n")
    return int(not all(value for value in shown.values() if isinstance(value, bool)))


if __name__ == "__main__":
    sys.exit(main())
