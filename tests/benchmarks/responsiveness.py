"""How long the window leaves a click unanswered: ``python -m tests.benchmarks.responsiveness --out FILE``.

The real window runs the sample model with the real engine, which computes with all cores but one, while the curves of
the run have 130,000 points each and grow ten times a second, and a chart of 130,000 tokens is replaced as often (see
`loud_engine.py`). A timer of 10 ms on the window's own event loop notes how late it is: first with the window idle,
then on the Run page, then on each other page. Offscreen, and under X as well where DISPLAY is set.

The lateness of a tick is what a click at that moment would have waited.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QCoreApplication, QElapsedTimer, QEventLoop, QObject, Qt, QTimer

from tests.benchmarks.loud_engine import POINTS

TICK_MS = 10
POINTS_A_CURVE = 130_000
MOST_P99_MS, MOST_MS = 20.0, 100.0
STARTS_S = 300.0
RESULTS = Path(__file__).with_name("results") / "responsiveness.json"


class Pulse(QObject):
    """Notes how late each tick of the event loop comes."""

    def __init__(self) -> None:
        super().__init__()
        self.late_ms: list[float] = []
        self._clock = QElapsedTimer()
        self._timer = QTimer(self, interval=TICK_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def measure(self, seconds: float) -> dict[str, float]:
        """Let the window live for so long."""
        self.late_ms = []
        self._clock.start()
        self._timer.start()
        let_live(seconds)
        self._timer.stop()
        late = np.array(self.late_ms)
        return {
            "seconds": seconds,
            "ticks": len(late),
            "p50_ms": round(float(np.percentile(late, 50)), 1),
            "p99_ms": round(float(np.percentile(late, 99)), 1),
            "longest_ms": round(float(late.max()), 1),
        }

    def _tick(self) -> None:
        self.late_ms.append(max(0.0, self._clock.nsecsElapsed() / 1e6 - TICK_MS))
        self._clock.restart()


def let_live(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(round(1_000 * seconds), loop.quit)
    loop.exec()


def wait_for(condition: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the run did not get there in time"
        let_live(0.1)


def measured(seconds: float, folder: Path) -> dict[str, Any]:
    """One window on the platform that the environment names."""
    from dfrot_engine import RunOptions
    from dfrot_gui.app import make_application, make_window
    from dfrot_gui.main_window import HISTORY, MODEL, RECIPE, RESULTS, RUN
    from dfrot_gui.run_model import RunModel
    from dfrot_gui.settings import Settings
    from dfrot_gui.theme import Theme
    from tests.benchmarks import loud_engine
    from tests.gui.user import run_page

    cores = os.cpu_count() or 1
    app = make_application([])
    settings = Settings(folder / "settings.ini")
    settings.output_root = folder
    Theme.get().install(app, "light")
    engine = (sys.executable, loud_engine.__file__)
    window = make_window(settings, lambda _: "stop", runs=RunModel(engine))
    window.show()
    let_live(8)
    pulse = Pulse()
    figures = {"idle": pulse.measure(seconds / 3)}
    recipe = window.recipe.recipe
    options = RunOptions(output_dir=folder / "out", threads=max(1, cores - 1))
    window.runs.start(recipe, options, window.recipe.plan)
    try:
        window.go_to(RUN)
        figures["starting"] = pulse.measure(5)
        wait_for(lambda: len(window.runs.state.loss) >= POINTS_A_CURVE, STARTS_S)
        page = run_page(window)
        page.picker.sites.setCurrentIndex(2)  # the MLP's inputs: half of the tokens, sorted anew at each update
        page.picker.changed.emit()
        wait_for(lambda: page.errors.num_tokens() > POINTS_A_CURVE // 3, 20)
        figures["run page"] = pulse.measure(seconds)
        points = len(window.runs.state.loss)  # a stage that begins later starts new curves
        for name, step in (("model", MODEL), ("recipe", RECIPE), ("results", RESULTS), ("history", HISTORY)):
            window.go_to(step)
            figures[f"{name} page"] = pulse.measure(seconds / 4)
        assert window.runs.is_active, window.runs.state.message
        return {"figures": figures, "points_a_curve": points, "load_average": os.getloadavg()}
    finally:
        window.runs.stop()
        window.runs.wait(20_000)
        window.close()
        QCoreApplication.processEvents()


def in_its_own_process(platform: str, seconds: float) -> dict[str, Any]:
    """A Qt platform is chosen once in a process."""
    environment = os.environ | {"QT_QPA_PLATFORM": platform, "QT_SCALE_FACTOR": "1", POINTS: str(POINTS_A_CURVE)}
    with tempfile.TemporaryDirectory() as folder:
        places = {f"XDG_{name}_HOME": f"{folder}/{name}" for name in ("CONFIG", "DATA", "STATE")}
        command = [sys.executable, "-m", "tests.benchmarks.responsiveness", "--here", folder, "--seconds", str(seconds)]
        done = subprocess.run(command, env=environment | places, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """1 where the Run page misses its goal."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.responsiveness", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.here:
        print(json.dumps(measured(wanted.seconds, wanted.here)), flush=True)
        os._exit(0)
    from tests.benchmarks.measuring import machine_facts

    platforms = ("offscreen", *(("xcb",) if os.environ.get("DISPLAY") else ()))
    goals = {"p99_ms": MOST_P99_MS, "longest_ms": MOST_MS}
    result: dict[str, Any] = {"machine": machine_facts(), "tick_ms": TICK_MS, "goals": goals}
    for platform in platforms:
        result[platform] = in_its_own_process(platform, wanted.seconds)
        for where, figures in result[platform]["figures"].items():
            print(f"{platform:9} {where:12} p99 {figures['p99_ms']:6.1f} ms  longest {figures['longest_ms']:6.1f} ms")
    wanted.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    pages = [result[platform]["figures"]["run page"] for platform in platforms]
    return int(any(page["p99_ms"] >= MOST_P99_MS or page["longest_ms"] >= MOST_MS for page in pages))


if __name__ == "__main__":
    sys.exit(main())
