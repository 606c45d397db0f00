"""The real engine, and beside its events those of a run with long curves: what the window has to bear at most.

As a program it stands for `python -m dfrot_engine`: it starts that, passes on commands and events, and adds, once the
run has begun, two curves of `DFROT_LOUD_POINTS` points, then ten updates a second of both and of a chart file with as
many tokens under four rotations.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from dfrot_engine import ChartSaved, Measured
from dfrot_engine.events import EventBase
from dfrot_engine.site_charts import CELL_ERRORS, SITE_ERRORS, CellErrors, SiteErrors

POINTS = "DFROT_LOUD_POINTS"
CURVES = ("rotate/loss", "memory/ram")
UPDATES_PER_S = 10
POINTS_PER_UPDATE = 13
KINDS = ("none", "random-orthogonal", "hadamard", "descent")
BLOCKS = 30
NICENESS = 10  # as the engine's own


class Voice:
    """Whole lines from two threads into one pipe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def line(self, data: bytes) -> None:
        with self._lock:
            os.write(1, data)

    def say(self, *events: EventBase) -> None:
        self.line(b"".join(event.model_dump_json().encode() + b"\n" for event in events))


def tokens(number: int, seed: int) -> SiteErrors:
    """Errors of as many tokens under four rotations."""
    random = np.random.default_rng(seed)
    errors = {kind: random.lognormal(-2.4, 0.3, number).astype(np.float32) for kind in KINDS}
    places = np.arange(number, dtype=np.int32)
    return SiteErrors(
        ("attention", "mlp"),
        errors,
        np.ones(number, np.float32),
        random.random(number) < 0.004,
        places % BLOCKS,
        places // BLOCKS % 2,
    )


def points(first: int, number: int) -> list[EventBase]:
    return [
        Measured(name=name, step=step, value=1e9 / (step + 1) + step % 97)
        for step in range(first, first + number)
        for name in CURVES
    ]


def be_loud(voice: Voice, work: Path, number: int) -> None:
    """Long curves at once, then their updates for as long as the program lives."""
    cells = CellErrors(("attention", "mlp"), {kind: np.ones((2, BLOCKS, 512), np.float32) for kind in KINDS})
    cells.save(work / "charts" / "loud-cells.npz")
    voice.say(ChartSaved(name=CELL_ERRORS, path="charts/loud-cells.npz"))
    for first in range(0, number, 1_000):
        voice.say(*points(first, 1_000))
    paths = [work / "charts" / f"loud-{seed}.npz" for seed in range(2)]
    for seed, path in enumerate(paths):
        tokens(number, seed).save(path)
    for update in range(1_000_000):
        began = time.monotonic()
        step, path = number + update * POINTS_PER_UPDATE, paths[update % 2]
        voice.say(*points(step, POINTS_PER_UPDATE), ChartSaved(name=SITE_ERRORS, path=str(path.relative_to(work))))
        time.sleep(max(0.0, began + 1 / UPDATES_PER_S - time.monotonic()))


def main() -> int:
    os.nice(NICENESS)
    arguments = sys.argv[1:]
    work = Path(arguments[arguments.index("--output") + 1])
    work = work.with_name(f"{work.name}.dfrot")
    voice = Voice()
    command = [sys.executable, "-m", "dfrot_engine", *arguments]
    with subprocess.Popen(command, stdin=sys.stdin, stdout=subprocess.PIPE) as engine:
        assert engine.stdout
        for line in engine.stdout:
            voice.line(line)
            if b'"event":"stage_started"' in line and b'"calibrate"' in line:
                loud = (voice, work, int(os.environ[POINTS]))
                threading.Thread(target=be_loud, args=loud, daemon=True).start()
    return engine.returncode


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
