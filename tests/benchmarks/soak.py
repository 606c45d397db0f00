"""Run after run in one window, and whether memory, handles, threads, processes and disk come back to where they were.

python -m tests.benchmarks.soak --runs 200 --out soak.json        # a random model of two blocks; some seconds a run

The window, its worker thread and the engine's processes are the real ones; nothing is shown on a screen. Every run gets
an output folder of its own, is shown on the Results page, and is then deleted as the History page deletes it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

#: Runs in which pages, fonts, caches and thread pools are made, which stay.
WARM_UP = 5
#: Runs at both ends that are compared; their median, so that one odd measurement decides nothing.
WINDOW = 10
#: What may be more at the end. Python and Qt return memory in pieces of megabytes; whatever is counted may not grow.
MOST_MEMORY_BYTES = 16_000_000
RUN_S = 300.0


@dataclass(frozen=True)
class Sample:
    """What the window's process holds after a run.

    Args:
        memory_bytes: resident, without the pages that are shared with other processes.
        files: file descriptors, pipes and sockets among them.
        processes: children, and theirs.
        disk_files, disk_bytes: below the folder that holds its home, caches, temporary files and outputs.
    """

    seconds: float
    memory_bytes: int
    files: int
    threads: int
    processes: int
    disk_files: int
    disk_bytes: int


COUNTED = ("files", "threads", "processes", "disk_files", "disk_bytes")


def growth(samples: Sequence[Sample], warm_up: int = WARM_UP, window: int = WINDOW) -> dict[str, float]:
    """How much more of everything there is in the last runs than in the first ones after the warm-up."""
    first, last = samples[warm_up : warm_up + window], samples[-window:]
    names = ("memory_bytes", *COUNTED)
    return {
        name: statistics.median(getattr(one, name) for one in last)
        - statistics.median(getattr(one, name) for one in first)
        for name in names
    }


def complaints(grown: dict[str, float]) -> list[str]:
    """A sentence for everything that did not come back."""
    limits = dict.fromkeys(COUNTED, 0.0) | {"memory_bytes": MOST_MEMORY_BYTES}
    return [f"{name} grew by {grown[name]:,.0f}" for name, most in limits.items() if grown[name] > most]


def soak(model: Path, room: Path, runs: int) -> Iterator[Sample]:
    """One window, `runs` runs; yields what is held after each.

    Args:
        room: the folder that `own_room` points home, caches and temporary files to.
    """
    from PySide6.QtWidgets import QApplication

    from dfrot_gui.app import make_application, make_window
    from dfrot_gui.main_window import MainWindow
    from dfrot_gui.settings import Settings
    from dfrot_gui.theme import Theme

    app = QApplication.instance() or make_application([])
    assert isinstance(app, QApplication)
    settings = Settings(room / "settings.ini")
    settings.output_root = room / "out"
    Theme.get().install(app, "light")
    window: MainWindow = make_window(settings)
    window.show()
    try:
        for number in range(runs):
            began = time.monotonic()
            _one_run(app, window, model, room / "out" / str(number))
            yield _sample(time.monotonic() - began, room)
    finally:
        window.close()
        window.deleteLater()
        _turn(app)


def _one_run(app, window, model: Path, output: Path) -> None:
    from dfrot_engine import RunOptions
    from dfrot_gui.main_window import RESULTS, RUN

    options = RunOptions(output_dir=output, device="cpu", threads=1, keep_rotations=False)
    window.runs.start(tiny_recipe(model), options)
    window.go_to(RUN)
    until = time.monotonic() + RUN_S
    while window.runs.is_active:
        app.processEvents()
        assert time.monotonic() < until, "the run does not end"
        time.sleep(0.01)
    _turn(app)
    state = window.runs.state
    assert state.status == "finished", f"{state.message} {state.details}"
    assert window.stack.currentIndex() == RESULTS, "the window shows the results"
    _delete(options.work_path)
    _turn(app)


def _delete(work_dir: Path) -> None:
    from dfrot_engine.run_delete import delete_run, deletion_of
    from dfrot_engine.run_index import find_note, key_of

    delete_run(deletion_of(find_note(key_of(work_dir))))


def _turn(app) -> None:
    """Let pages draw, and what was deleted go."""
    from PySide6.QtCore import QCoreApplication, QEvent

    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        app.processEvents()
        time.sleep(0.01)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _sample(seconds: float, room: Path) -> Sample:
    process = psutil.Process()
    files = [path for path in room.rglob("*") if path.is_file()]
    return Sample(
        seconds=round(seconds, 2),
        memory_bytes=process.memory_full_info().uss,
        files=process.num_fds(),
        threads=process.num_threads(),
        processes=len(process.children(recursive=True)),
        disk_files=len(files),
        disk_bytes=sum(path.stat().st_size for path in files),
    )


def tiny_recipe(model: Path):
    """`w4a4` with every stage, cut down to a second or two."""
    from dfrot_engine import Recipe
    from tests.gui.user import NUMBERS

    recipe = Recipe.preset("w4a4").with_field("model.id_or_path", str(model)).with_field("weights.group_size", 16)
    recipe = recipe.with_field("rotation.r1.kind", "dfrot").with_field("rotation.r2.kind", "hadamard")
    for field, number in (NUMBERS | {"proof": "quick", "solver.kind": "rtn"}).items():
        recipe = recipe.with_field(field, number)
    return recipe


@contextmanager
def own_room(folder: Path) -> Iterator[Path]:
    """Everything the program and its libraries write lies below this folder, whose size is watched."""
    before = dict(os.environ)
    rooms = {f"XDG_{name}_HOME": folder / "home" / name.lower() for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    for path in (*rooms.values(), folder / "tmp"):
        path.mkdir(parents=True)
    os.environ.update({name: str(path) for name, path in rooms.items()})
    os.environ.update(HOME=str(folder / "home"), TMPDIR=str(folder / "tmp"), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    for name in ("HF_HOME", "HF_HUB_CACHE", "DFROT_RUNS", "DFROT_LIBRARY"):
        os.environ.pop(name, None)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        yield folder
    finally:
        os.environ.clear()
        os.environ.update(before)


def make_model(folder: Path) -> Path:
    """A random model of two blocks, made by another process: the window's never loads torch."""
    call = f"save_tiny_model('llama', Path({str(folder)!r}))"
    code = f"from pathlib import Path; from tests.tiny_models import save_tiny_model; {call}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return folder


def main() -> int:
    """1 if anything did not come back to where it was."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--out", type=Path, help="takes the measurements, written after every run")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dfrot-soak-"))
    samples: list[Sample] = []
    try:
        model = make_model(folder / "model")
        with own_room(folder / "room") as room:
            for sample in soak(model, room, chosen.runs):
                samples.append(sample)
                print(f"run {len(samples)}: {sample}", flush=True)
                _save(chosen.out, samples)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    wrong = complaints(growth(samples))
    print("; ".join(wrong) or "everything is back to where it was", flush=True)
    return int(bool(wrong))


def _save(path: Path | None, samples: list[Sample]) -> None:
    if path is not None:
        grown = growth(samples) if len(samples) > WARM_UP else None
        path.write_text(json.dumps({"growth": grown, "runs": [asdict(one) for one in samples]}), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
