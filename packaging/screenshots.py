"""Makes the pictures in resources/screenshots: python packaging/screenshots.py --work DIR

Runs the sample model once into DIR, unless a finished run lies there, and shows every page of it: in both themes, a
few at 200 %, a few in German. Each look is a process of its own, since Qt reads its scale once. Asking the models and
measuring what suffers from rounding takes minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QWidget

    from dfrot_gui.pages.result_page import ResultPage
    from dfrot_gui.theme import Mode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
OUT = ROOT / "resources" / "screenshots"
WIDTH, HEIGHT = 1360, 880
#: Settings of the run that is shown; small enough for a few minutes on two cores.
RUN = (
    *("--preset", "w4a4", "--set", "rotation.r1.kind=dfrot", "--set", "calibration.num_samples=8"),
    *("--set", "calibration.seq_len=512", "--set", "evaluation.num_windows=4", "--set", "evaluation.seq_len=512"),
)
#: How long a page may take to read its files and draw.
SETTLE_MS = 2_500
THEME_MS = 400


class Look(NamedTuple):
    """How the window is shown; `name` tells the files of looks beside the two themes apart."""

    name: str
    themes: tuple[Mode, ...] = ("light",)
    language: str = "en"
    scale: str = "1"


LOOKS = (
    Look("", ("light", "dark")),
    Look("light-2x", scale="2"),
    Look("german", language="de"),
)
#: Of the looks beside the two themes.
FEW = ("recipe", "results")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="where the run is or will be")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--look", choices=[look.name for look in LOOKS], help="only this one, in this process")
    arguments = parser.parse_args()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"}
    environment |= {"DFROT_RUNS": str(arguments.work / "index")}
    if arguments.look is not None:
        show(next(look for look in LOOKS if look.name == arguments.look), arguments.work, arguments.out)
        return 0
    if not (arguments.work / "out" / "dfrot.json").exists():
        command = (sys.executable, "-m", "dfrot_engine", "run", "--model", "sample", *RUN)
        subprocess.run((*command, "--output", str(arguments.work / "out")), env=environment, check=True)
    for look in LOOKS:
        command = (sys.executable, __file__, "--work", str(arguments.work), "--out", str(arguments.out))
        scaled = environment | {"QT_SCALE_FACTOR": look.scale}
        subprocess.run((*command, "--look", look.name), env=scaled, check=True)
    return 0


def show(look: Look, work: Path, out: Path) -> None:
    """Save every page in one look."""
    from PySide6.QtTest import QTest

    from dfrot_gui.app import make_application, make_window
    from dfrot_gui.main_window import HISTORY, MODEL, RECIPE, RESULTS, RUN
    from dfrot_gui.run_model import read_past_run
    from dfrot_gui.settings import Settings
    from dfrot_gui.sidebar import MODES
    from dfrot_gui.theme import Theme
    from dfrot_gui.translation import install

    app = make_application([])
    install(app, look.language)
    settings = Settings(work / "settings.ini")
    settings.is_recipe_simple = False
    settings.output_root = Path("/home/you/dfrot")
    Theme.get().install(app, look.themes[0], 1.0)
    window = make_window(settings)
    window.resize(WIDTH, HEIGHT)
    window.show()
    QTest.qWait(SETTLE_MS)
    window.open_past(read_past_run(work / "out.dfrot"), False)

    def take(name: str) -> None:
        for theme in look.themes:
            window.sidebar.appearance.buttons[list(MODES).index(theme)].click()
            QTest.qWait(THEME_MS)
            save(window, out / f"{name}-{look.name or theme}.png")

    for step, name in ((MODEL, "model"), (RECIPE, "recipe"), (RUN, "run"), (RESULTS, "results"), (HISTORY, "history")):
        if look.name and name not in FEW:
            continue
        window.go_to(step)
        QTest.qWait(SETTLE_MS)
        take(name)
        if step == RESULTS and not look.name:
            take_panels(cast("ResultPage", window.stack.widget(RESULTS)), take)
    window.close()


def take_panels(page: ResultPage, take: Callable[[str], None]) -> None:
    """What the Results page finds out when it is asked to."""
    from PySide6.QtTest import QTest

    for number, name, start, process in (
        (1, "results-text", page.text.ask, page.text.process),
        (2, "results-sensitivity", page.sensitivity.measure_button.click, page.sensitivity.process),
    ):
        page.views.buttons[number].click()
        start()
        while process.is_active:
            QTest.qWait(SETTLE_MS)
        if process.state.status != "finished":
            sys.exit(f"{name}: {process.state.message}")
        take(name)


def save(window: QWidget, path: Path) -> None:
    """As few bytes as a PNG takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    window.grab().save(str(path), "PNG", 0)  # pyright: ignore[reportCallIssue, reportArgumentType]


if __name__ == "__main__":
    sys.exit(main())
