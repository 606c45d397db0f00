"""Refinement of R1 against the paper's loop written down plainly: ``python -m tests.benchmarks.rotation --help``."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from dfrot_engine.errors import DFRotError
from dfrot_engine.job import choose_device
from dfrot_engine.rotations.random import random_hadamard
from tests.benchmarks.activations import Activations, of_model, synthetic
from tests.benchmarks.grids import GRIDS
from tests.benchmarks.measuring import Measurement, machine_facts, measure
from tests.benchmarks.methods import METHODS, Problem

SYNTHETIC = "synthetic"
# Width and rows: what a GPU does in a minute, and what a CPU does.
_SYNTHETIC_SIZES = {"cuda": (4_096, 131_072), "cpu": (2_048, 16_384)}
_PLAIN_DTYPES = {"float64": torch.float64, "float32": torch.float32}
_RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    asked = _parser().parse_args(arguments)
    try:
        found = run(asked)
    except DFRotError as error:
        print(f"{error.message} {error.remedy}", file=sys.stderr)
        return 1
    text = json.dumps(found, indent=1, allow_nan=False)
    if asked.out is not None:
        path = _RESULTS / asked.out
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    print(text if asked.json else _table(found))
    return 0


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """Every method on the same activations, one after the other in this process."""
    activations = _activations(asked)
    rows, is_massive = activations.rows_ND, activations.is_massive_N
    problem = Problem(
        rows_ND=rows,
        weight_N=torch.where(is_massive, asked.gamma**2, 1.0).to(rows),
        start_DD=random_hadamard(rows.shape[1], 0).matrix().to(rows.device),
        grid=GRIDS[asked.grid],
        iterations=asked.iterations,
        descent_steps=asked.descent_steps,
        plain_dtype=_PLAIN_DTYPES[asked.plain_dtype],
    )
    measured: list[Measurement] = []
    for name, method in METHODS.items():
        if name in asked.methods:
            print(f"{name} on {len(rows):,} × {rows.shape[1]:,} …", file=sys.stderr, flush=True)
            measured.append(measure(name, method, problem, is_massive))
    settings = {key: value for key, value in vars(asked).items() if key not in ("json", "out")}
    return {
        "activations": {
            "name": activations.name,
            "rows": len(rows),
            "width": rows.shape[1],
            "massive": int(is_massive.sum()),
        },
        "settings": settings,
        "machine": machine_facts(),
        "methods": [_known(asdict(one)) for one in measured],
        "against_plain": _ratios(measured),
    }


def _activations(asked: argparse.Namespace) -> Activations:
    device = choose_device(asked.device)
    if asked.model == SYNTHETIC:
        width, num_rows = _SYNTHETIC_SIZES[device.type]
        return synthetic(asked.width or width, asked.rows or num_rows, device=device)
    whole = of_model(asked.model, text=asked.text, num_samples=asked.samples, seq_len=asked.seq_len, device=device)
    return whole if asked.rows is None else whole.thinned(asked.rows)


def _ratios(measured: list[Measurement]) -> dict[str, dict[str, float]]:
    """How many times faster, and which part of the loss and the memory, for each method but the plain loop."""
    plain = next((one for one in measured if one.method == "plain"), None)
    if plain is None:
        return {}
    return {
        one.method: {
            "times_faster": plain.seconds / one.seconds,
            "times_faster_cpu": plain.cpu_seconds / one.cpu_seconds,
            "memory": one.peak_bytes / max(1, plain.peak_bytes),
            "loss": one.loss / plain.loss,
            "loss_to_its_lowest": one.loss / plain.lowest_seen,
        }
        for one in measured
        if one is not plain
    }


def _table(found: dict[str, Any]) -> str:
    facts, settings = found["activations"], found["settings"]
    lines = [
        f"{facts['name']}: {facts['rows']:,} rows of {facts['width']:,}, {facts['massive']:,} massive, "
        f"γ = {settings['gamma']:g}, {settings['grid']} grid",
        f"{'method':8} {'time':>9} {'CPU time':>9} {'memory':>8} {'loss':>13} {'massive':>8} {'other':>8} {'steps':>6}",
    ]
    for one in found["methods"]:
        rmse = (f"{one[kind]:.4f}" if one[kind] is not None else "–" for kind in ("massive_rmse", "other_rmse"))
        lines.append(
            f"{one['method']:8} {one['seconds']:7.1f} s {one['cpu_seconds']:7.1f} s {one['peak_bytes'] / 1e9:5.2f} GB "
            f"{one['loss']:13,.0f} {next(rmse):>8} {next(rmse):>8} {one['iterations']:6,}"
        )
    for name, ratio in found["against_plain"].items():
        lines.append(
            f"{name}: {ratio['times_faster']:.1f} times faster than plain, {ratio['memory']:.2f} of its memory, "
            f"{ratio['loss']:.3f} of its last loss, {ratio['loss_to_its_lowest']:.3f} of its lowest"
        )
    return "\n".join(lines)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()
    }  # JSON has no nan


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rotation", description=__doc__)
    parser.add_argument("--model", default="sample", help=f"as for dfrot run, or '{SYNTHETIC}'")
    parser.add_argument("--text", default="builtin", help="calibration text: builtin, wikitext-2, or a .txt file")
    parser.add_argument("--samples", type=int, default=32, help="sequences (default: 32)")
    parser.add_argument("--seq-len", type=int, default=64, help="tokens in each (default: 64)")
    parser.add_argument("--rows", type=int, help="at most this many rows (default: all; synthetic: by the device)")
    parser.add_argument("--width", type=int, help="of synthetic rows (default: by the device)")
    parser.add_argument("--gamma", type=float, default=100.0, help="weight of a massive token is γ² (default: 100)")
    parser.add_argument("--grid", choices=GRIDS, default="paper")
    parser.add_argument("--iterations", type=int, default=100, help="of the plain loop (default: 100)")
    parser.add_argument("--descent-steps", type=int, default=300, help="of the descent (default: 300)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--plain-dtype", choices=_PLAIN_DTYPES, default="float64")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--out", metavar="NAME", help="also write the JSON to tests/benchmarks/results/NAME")
    return parser


if __name__ == "__main__":
    sys.exit(main())
