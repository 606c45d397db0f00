"""A full disk, a slow or broken reader of the output, a signal: a sentence, an exit status, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfrot_engine.run_record import read_run
from tests.engine.survive.killing import arguments, contents, leftovers
from tests.warm import Order, Warm

SLOW = ("--set", "rotation.r1.steps=10000")


def run_fails(warm: Warm, argv: list[str], folder: Path, **order: object) -> str:
    """What is said on standard output as a run fails."""
    status = warm.run(argv, folder / "said", errors=str(folder / "errors"), **order)
    assert status == 1, (folder / "errors").read_text()
    assert not (folder / "errors").read_text(), "no traceback"
    return (folder / "said").read_text()


@pytest.mark.parametrize("limit", [600, 60_000, 113_000])
def test_a_write_that_fails_says_what_is_missing_and_the_run_goes_on_later(
    limit: int, warm: Warm, model: Path, tmp_path: Path
) -> None:
    argv = arguments("qronos", model, tmp_path / "out")
    said = run_fails(warm, argv, tmp_path, watched=str(tmp_path), size_limit=limit, survives=True)
    assert "Cannot write" in said
    assert "File too large" in said
    assert "were to be written" in said
    assert "are free" in said
    assert "what is finished is kept" in said
    assert not leftovers(tmp_path)
    assert not (tmp_path / "out").exists()
    assert warm.run(argv, tmp_path / "said") == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, whose size can be changed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a disk takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def resize(disk: Path, num_bytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={num_bytes}", str(disk)], check=True)


@pytest.mark.parametrize("room", [0, 50_000, 300_000])
def test_a_disk_that_fills_up_while_a_run_goes_on(
    room: int, disk: Path, warm: Warm, model: Path, tmp_path: Path
) -> None:
    slow = ("--set", "rotation.r1.steps=1500")
    argv = (*arguments("qronos", model, disk / "out"), *slow)
    child = warm.start(Order(argv, str(tmp_path / "said"), errors=str(tmp_path / "errors")))
    wait_for(disk / "out.dfrot" / "events.jsonl", '"stage":"rotate"')
    os.kill(child, signal.SIGSTOP)
    state = os.statvfs(disk)
    resize(disk, (state.f_blocks - state.f_bfree) * state.f_frsize + room)
    os.kill(child, signal.SIGCONT)
    assert warm.wait() == 1
    assert not (tmp_path / "errors").read_text()
    said = (tmp_path / "said").read_text()
    assert "No space left on device" in said
    assert "are free" in said
    run = read_run(disk / "out.dfrot")
    assert run is not None
    assert run.status in ("failed", "killed"), "there may have been no room to say how it ended"
    resize(disk, 1_000_000_000)
    assert warm.run(argv, tmp_path / "said", errors=str(tmp_path / "errors")) == 0
    assert (disk / "out" / "model.safetensors").is_file()


def test_a_disk_that_may_not_be_written(disk: Path, warm: Warm, model: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    said = run_fails(warm, arguments("qronos", model, disk / "out"), tmp_path)
    assert f"You may not write to {disk}" in said


def wait_for(path: Path, words: str) -> None:
    until = time.monotonic() + 60
    while not (path.is_file() and words in path.read_text()):
        assert time.monotonic() < until, f"{words} never came"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_cleanly(number: signal.Signals, warm: Warm, model: Path, tmp_path: Path) -> None:
    argv = (*arguments("qronos", model, tmp_path / "out"), *SLOW)
    child = warm.start(Order(argv, str(tmp_path / "said"), errors=str(tmp_path / "errors")))
    wait_for(tmp_path / "out.dfrot" / "events.jsonl", '"name":"rotate/loss"')
    os.kill(child, number)
    assert warm.wait() == 130
    assert (tmp_path / "errors").read_text().startswith("Stopping after this step")
    run = read_run(tmp_path / "out.dfrot")
    assert run is not None
    assert (run.status, run.where.partition(",")[0]) == ("cancelled", "rotate")
    assert "to resume" in run.remedy
    assert "dfrot run" in run.resume


def test_the_second_ctrl_c_ends_at_once_and_nohup_is_respected() -> None:
    script = """
import signal, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
from dfrot_engine.progress import Control
from dfrot_engine.run_process import _STOPPING, _cancel_on_signals
with _cancel_on_signals(Control().cancel, _STOPPING):
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    print("ready", flush=True)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pass
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stderr
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    assert "Once more ends at once" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == -signal.SIGINT
    child.stdout.close()
    child.stderr.close()


@pytest.mark.parametrize("flags", [("--json",), ()], ids=["json", "text"])
def test_a_reader_that_goes_away_does_not_end_the_run(
    flags: tuple[str, ...], warm: Warm, model: Path, tmp_path: Path
) -> None:
    argv = [word for word in arguments("gptq", model, tmp_path / "out") if word != "--json"]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    warm.start(Order((*argv, *flags), str(pipe), errors=str(tmp_path / "errors")))
    wait_for(tmp_path / "out.dfrot" / "events.jsonl", "calibrate")
    os.close(reader)
    assert warm.wait() == 0, (tmp_path / "errors").read_text()
    assert (tmp_path / "errors").read_text().startswith("Nobody reads standard output any more")
    run = read_run(tmp_path / "out.dfrot")
    assert run is not None
    assert run.status == "finished"


def test_an_output_folder_on_another_disk(disk: Path, warm: Warm, model: Path, tmp_path: Path) -> None:
    """Also one that a disk is mounted at, as containers have it; and killed while it is filled."""
    argv = [*arguments("qronos", model, disk), "--work", str(tmp_path / "out.dfrot")]
    trace = tmp_path / "trace"
    assert warm.run(argv, tmp_path / "said", watched=str(tmp_path), trace=str(trace)) == 0
    first = {name: data for name, data in contents(tmp_path, "disk").items() if name.startswith("disk")}
    assert set(first) >= {"disk/model.safetensors", "disk/config.json", "disk/bf16/model.safetensors"}
    numbers = [index for index, line in enumerate(trace.read_text().splitlines()) if str(disk) in line]
    for number in numbers[1 :: max(1, len(numbers) // 3)]:
        for path in disk.iterdir():
            subprocess.run(["rm", "-rf", str(path)], check=True)
        subprocess.run(["rm", "-rf", str(tmp_path / "out.dfrot")], check=True)
        assert warm.run(argv, tmp_path / "said", watched=str(tmp_path), kill_at=number) == -signal.SIGKILL
        assert warm.run(argv, tmp_path / "said", errors=str(tmp_path / "errors")) == 0, (
            tmp_path / "said"
        ).read_text() + (tmp_path / "errors").read_text()
        again = {name: data for name, data in contents(tmp_path, "disk").items() if name.startswith("disk")}
        assert again == first
