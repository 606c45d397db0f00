"""GPTQ of other programs and of this one on the same model, tokens and windows, one after another.

    python -m tests.benchmarks.beside_peers --llm-compressor PEER/bin/python --gptqmodel OTHER/bin/python --out NAME

Weights alone, 4 bits, symmetric, groups of 64. Every program quantizes in a process of its own, from reading the model
to the saved checkpoint, and every checkpoint is evaluated in another, by `tests/benchmarks/peers.py`. Runs that the
result file has are not made again. Peak memory is the kernel's; CPU seconds say more than seconds where others are at
work.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import Any

from dfrot_engine.checkpoint import source
from dfrot_engine.recipe import ModelSource
from tests.benchmarks.held_out import Text, evaluation_text
from tests.benchmarks.measuring import machine_facts

RESULTS = Path(__file__).with_name("results")
SCRIPT = Path(__file__).with_name("peers.py")
SAMPLES, SEQ_LEN, WINDOWS = 32, 1_024, 12
_RUN = {
    "calibration.num_samples": SAMPLES,
    "calibration.seq_len": SEQ_LEN,
    "rotation.compare": "false",
    "evaluation": "null",
    "proof": "none",
}
_HADAMARD = {"rotation.r1.kind": "hadamard", "rotation.r2.kind": "hadamard"}
#: name → fields that differ from the preset w4a16
OURS = {
    "here, gptq, not rotated": {"rotation.r1.kind": "none", "rotation.r2.kind": "none", "solver.kind": "gptq"},
    "here, gptq, hadamard": _HADAMARD | {"solver.kind": "gptq"},
    "here, qronos, hadamard": _HADAMARD | {"solver.kind": "qronos"},
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.beside_peers", description=__doc__)
    parser.add_argument("--llm-compressor", type=Path, help="a Python that has it")
    parser.add_argument("--gptqmodel", type=Path, help="a Python that has it")
    parser.add_argument("--only", nargs="+", help="of the rows; default: all that can be run")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", metavar="NAME", help="keep the figures as tests/benchmarks/results/NAME")
    asked = parser.parse_args()
    path = RESULTS / asked.out if asked.out else None
    found = json.loads(path.read_text()) if path is not None and path.is_file() else {"runs": {}}
    with tempfile.TemporaryDirectory(prefix="dfrot-peers-") as scratch:
        for name, figures in _missing(asked, evaluation_text(Path(scratch)), Path(scratch), found["runs"]):
            found["runs"][name] = figures
            found = {"machine": machine_facts() | {"threads": asked.threads}} | found
            print(name, figures, flush=True)
            if path is not None:
                path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found["runs"]))
    return 0


def table(runs: dict[str, dict[str, Any]]) -> str:
    """One line each; the gap is ln(perplexity / the original's)."""
    lines = ["| | perplexity | gap | seconds | CPU seconds | peak memory |", "|---|---|---|---|---|---|"]
    original = runs.get("original", {}).get("perplexity")
    for name, one in runs.items():
        gap = f"{log(one['perplexity'] / original):.3f}" if original else ""
        cost = (
            f"{one['seconds']:.0f} | {one['cpu_seconds']:.0f} | {one['peak_bytes'] / 1e9:.2f} GB"
            if "seconds" in one
            else " | | "
        )
        lines.append(f"| {name} | {one['perplexity']:.2f} | {gap} | {cost} |")
    return "\n".join(lines)


def _missing(
    asked: argparse.Namespace, text: Text, scratch: Path, before: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    model = source.fetch(ModelSource(id_or_path="sample"), lambda *_: None)
    # GPTQModel's own default for two cores is one, which it then refuses.
    workers = {"GPTQMODEL_CPU_WORKERS": str(max(2, asked.threads))}
    environment = os.environ | {"OMP_NUM_THREADS": str(asked.threads), "HF_HUB_OFFLINE": "1"} | workers
    pythons = {"llm-compressor": asked.llm_compressor, "gptqmodel": asked.gptqmodel}
    wanted = ["original", *(name for name, python in pythons.items() if python), *OURS]
    for name in wanted:
        if name in before or (asked.only and name not in asked.only):
            continue
        output, figures = scratch / "out", dict[str, Any]()
        python, peer = pythons.get(name) or Path(sys.executable), name if name in pythons else "llm-compressor"
        if name in OURS:
            figures = _run_here(OURS[name], text, output, asked.threads, environment)
        elif name in pythons:
            fed = ["--model", str(model), "--text", text.calibration, "--samples", str(SAMPLES)]
            figures = _step(python, "quantize", output, peer, fed, environment)
        figures |= _step(
            python, "evaluate", model if name == "original" else output, peer, ["--text", text.dataset], environment
        )
        for folder in (output, output.with_name(f"{output.name}.dfrot")):
            shutil.rmtree(folder, ignore_errors=True)
        yield name, figures


def _step(
    python: Path, step: str, folder: Path, peer: str, arguments: list[str], environment: dict[str, str]
) -> dict[str, Any]:
    # Not resolved: a virtual environment's Python is a link. GPTQModel leaves a log in the current folder.
    command = [str(python.absolute()), str(SCRIPT), step, str(folder), "--peer", peer, *arguments]
    command += ["--seq-len", str(SEQ_LEN), "--windows", str(WINDOWS)]
    done = subprocess.run(command, env=environment, cwd=folder.parent, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def _run_here(
    fields: dict[str, str], text: Text, output: Path, threads: int, environment: dict[str, str]
) -> dict[str, Any]:
    command = [sys.executable, "-m", "dfrot_engine", "run", "--model", "sample", "--preset", "w4a16", "--no-library"]
    command += ["--output", str(output), "--device", "cpu", "--threads", str(threads)]
    for name, value in (_RUN | {"calibration.dataset": text.calibration} | fields).items():
        command += ["--set", f"{name}={value}"]
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_bytes": usage.ru_maxrss * 1024,
    }


if __name__ == "__main__":
    sys.exit(main())
