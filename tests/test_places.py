"""The real program where homes, languages or clocks are not what one expects: it works, or says what is missing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from dfrot_engine.events import JOURNAL, read_events
from dfrot_engine.run_record import read_run
from tests.warm import Warm

ROOT = Path(__file__).parents[1]
SETTINGS = (
    "proof=quick",
    "calibration.num_samples=4",
    "calibration.seq_len=64",
    "evaluation.seq_len=64",
    "evaluation.num_windows=2",
    "weights.group_size=16",
    "solver.kind=rtn",
    "rotation.r1.kind=hadamard",
    "rotation.r2.kind=hadamard",
)
#: Opens the window as the program does, and closes it a second later.
WINDOW = """
import sys
from PySide6.QtCore import QTimer
from dfrot_gui import app
make = app.make_window
def make_and_close(settings):
    window = make(settings)
    QTimer.singleShot(1_000, window.close)
    return window
app.make_window = make_and_close
sys.exit(app.main([]))
"""
#: The engine on a computer whose clock is set two hours back once the run's journal, the first argument, is begun.
SET_BACK = """
import sys, time
from datetime import datetime
from pathlib import Path
import dfrot_engine.cli, dfrot_engine.run
journal, *sys.argv[1:] = sys.argv[1:]
time_of_day = time.time
class SetBack(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.fromtimestamp(time.time(), tz)
time.time = lambda: time_of_day() - (7_200 if Path(journal).exists() else 0)
time.time_ns = lambda: round(1e9 * time.time())
for name, module in list(sys.modules.items()):
    if name.startswith("dfrot_engine.") and vars(module).get("datetime") is datetime:
        module.datetime = SetBack
assert sys.modules["dfrot_engine.events"].datetime is SetBack
sys.exit(dfrot_engine.cli.main())
"""
#: Somebody without a name, without a home and without the rights of root.
NOBODY = ("unshare", "--user", "--map-user=12345")
ENGINE = (sys.executable, "-m", "dfrot_engine")


def needs_unshare() -> None:
    if shutil.which("unshare") is None or subprocess.run([*NOBODY, "true"], check=False).returncode != 0:
        pytest.skip("another user's rights cannot be had here (unshare --user)")


def start(
    arguments: Sequence[str], environment: dict[str, str], before: Sequence[str] = (sys.executable,)
) -> subprocess.Popen[str]:
    """Python, or what else is named, with these arguments, and of the environment only what is given."""
    own = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "QT_QPA_PLATFORM": "offscreen"}
    own |= {"HF_HUB_OFFLINE": "1"} | environment
    return subprocess.Popen([*before, *arguments], env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        said, errors = child.communicate(timeout=200)
    finally:
        child.kill()
    return child.returncode, said, errors


def run_command(model: Path, output: Path, *more: str) -> list[str]:
    settings = [part for setting in (*SETTINGS, *more) for part in ("--set", setting)]
    return ["run", "--model", str(model), "--output", str(output), "--device", "cpu", *settings]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_models import save_tiny_model

    return save_tiny_model("llama", tmp_path_factory.mktemp("places") / "tiny")


def home_of(kind: str, folder: Path) -> tuple[dict[str, str], Sequence[str]]:
    """(environment, what the program is started by)."""
    if kind == "turkish, spaces and letters":
        home = folder / "Işık Ünïcode 家 home"
        home.mkdir()
        return {"HOME": str(home), "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}, ()
    if kind == "below a file":
        (folder / "file").touch()
        return {"HOME": str(folder / "file" / "home")}, ()
    needs_unshare()
    home = folder / "home"
    home.mkdir(mode=0o555)
    return {"HOME": str(home)}, NOBODY


HOMES = ("turkish, spaces and letters", "below a file", "read-only")


@pytest.mark.parametrize("kind", HOMES)
def test_a_run_finishes_with_any_home(kind: str, model: Path, tmp_path: Path) -> None:
    environment, before = home_of(kind, tmp_path)
    output = tmp_path / "Çıktı out"
    status, said, errors = ended(start(run_command(model, output), environment, (*before, *ENGINE)))
    assert status == 0, said + errors
    assert "Traceback" not in errors
    assert (output / "model.safetensors").is_file()
    if kind != HOMES[0]:
        assert "not on the list of runs" in said, "what cannot be kept is told"


@pytest.mark.parametrize("kind", HOMES)
def test_the_window_opens_and_closes_with_any_home(kind: str, tmp_path: Path) -> None:
    environment, before = home_of(kind, tmp_path)
    status, said, errors = ended(start(["-c", WINDOW], environment, (*before, sys.executable)))
    assert status == 0, said + errors
    assert "Traceback" not in errors
    if kind == HOMES[0]:
        kept = [path for path in tmp_path.rglob("*.conf") if path.is_file()]
        assert kept
        assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


@pytest.mark.parametrize("module", ["dfrot_engine", "dfrot_gui"])
def test_without_any_home_it_says_what_is_missing(module: str) -> None:
    needs_unshare()
    command = ["-m", module, *(["runs"] if module == "dfrot_engine" else [])]
    status, _, errors = ended(start(command, {}, (*NOBODY, sys.executable)))
    assert status == 1
    assert "HOME is not set" in errors
    assert "Traceback" not in errors


def test_two_runs_into_one_folder_do_not_harm_each_other(warm: Warm, model: Path, tmp_path: Path) -> None:
    """One of them has the folder, the other is told who has it; what is there in the end is whole."""
    environment, output = {"HOME": str(tmp_path)}, tmp_path / "out"
    children = [start(run_command(model, output), environment, warm.engine) for _ in range(2)]
    both: list[tuple[int, str, str]] = []
    readers = [threading.Thread(target=lambda child=child: both.append(ended(child))) for child in children]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert 0 in [status for status, _, _ in both], both
    for status, said, errors in both:
        assert "Traceback" not in errors
        # The second one comes while the first is at work, or after it, and then finds everything done.
        assert status == 0 or "Another run is using" in said + errors, said + errors
    verify = ended(start(["verify", str(output)], environment, warm.engine))
    assert verify[0] == 0, verify
    record = read_run(tmp_path / "out.dfrot")
    assert record is not None
    assert record.status == "finished"


def test_two_windows_share_settings_and_lists(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    windows = [start(["-c", WINDOW], environment) for _ in range(2)]
    for status, said, errors in map(ended, windows):
        assert status == 0, said + errors
        assert "Traceback" not in errors
    (kept,) = tmp_path.rglob("dfrot.conf")
    assert kept.read_text(encoding="utf-8").startswith("["), "whole"
    assert not list(tmp_path.rglob("*.lock")), "nothing is left locked"


def move_into_the_future(folder: Path, hours: int) -> None:
    """What a clock that was wrong leaves: later times of files, and in the journal."""
    journal = folder / JOURNAL
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line["time"] = (datetime.fromisoformat(line["time"]) + timedelta(hours=hours)).isoformat()
    journal.write_text("".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines), encoding="utf-8")
    later = time.time() + 3_600 * hours
    for path in folder.rglob("*"):
        os.utime(path, (later, later))


def test_a_clock_set_back_between_two_starts_changes_nothing(warm: Warm, model: Path, tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    command = [*run_command(model, tmp_path / "out"), "--keep-work"]
    status, said, errors = ended(start(command, environment, warm.engine))
    assert status == 0, said + errors
    move_into_the_future(tmp_path / "out.dfrot", hours=2)
    status, said, errors = ended(start(command, environment, warm.engine))
    assert status == 0, said + errors
    assert "done before, reuse" in said, "the second start found it done"
    record = read_run(tmp_path / "out.dfrot")
    assert record is not None
    assert record.status == "finished"
    assert record.seconds >= 0
    assert all(stage.seconds >= 0 for stage in record.stages)


def test_a_clock_set_back_during_a_run_leaves_its_times_in_order(warm: Warm, model: Path, tmp_path: Path) -> None:
    """Files of before are then later than now, and the journal goes on from where it was."""
    environment, work = {"HOME": str(tmp_path)}, tmp_path / "out.dfrot"
    command = [*run_command(model, tmp_path / "out"), "--keep-work"]
    began, began_s = datetime.now(UTC), time.monotonic()
    status, said, errors = ended(start(["-c", SET_BACK, str(work / JOURNAL), *command], environment))
    took_s = time.monotonic() - began_s
    assert status == 0, said + errors
    times = [event.time for event in read_events(work)]
    jumps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert min(jumps) > -1, "threads that write behind may be a moment late"
    assert max(jumps) < took_s
    assert began < times[0] < times[-1] < began + timedelta(seconds=took_s)
    record = read_run(work)
    assert record is not None
    assert record.status == "finished"
    assert 0 < sum(stage.seconds for stage in record.stages) <= record.seconds <= took_s
    verified = ended(start(["verify", str(tmp_path / "out")], environment, warm.engine))
    assert verified[0] == 0, verified
    status, said, errors = ended(start(command, environment, warm.engine))
    assert status == 0, said + errors
    assert "done before, reuse" in said, "the clock being right again, it is still found done"
