"""What every test stands on: no network, no window on the screen, no file outside a temporary folder, few threads."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warm import Warm, warm_process

HUB = os.environ.get("DFROT_TEST_HUB") == "1"
_HOME = Path(tempfile.mkdtemp(prefix="dfrot-tests-"))

# Before anything imports Qt, torch or the Hub client: they read these once. Child processes inherit them.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_SCALE_FACTOR", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "0" if HUB else "1")
for _name in ("CONFIG", "DATA", "STATE", "CACHE"):
    os.environ[f"XDG_{_name}_HOME"] = str(_HOME / _name.lower())
# The converted sample model lies in the cache; a folder that stays saves its conversion in the next session.
if "DFROT_TEST_CACHE" in os.environ:
    os.environ["XDG_CACHE_HOME"] = os.environ["DFROT_TEST_CACHE"]

gc.disable()  # until everything is imported, which takes a third less time so

# A shell has what it starts in the background ignore Ctrl-C, and nohup the end of the terminal; processes that tests
# start would inherit that.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


def _reason_to_skip(marker: str) -> str | None:
    if marker == "hub" and not HUB:
        return "asks the real Hugging Face Hub; set DFROT_TEST_HUB=1 to run it"
    if marker == "display" and not os.environ.get("DISPLAY"):
        return "needs an X display; packaging/test.sh starts one where Xvfb is installed"
    if marker == "cuda":
        import torch

        if not torch.cuda.is_available():
            return "needs a CUDA device"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    used = {mark.name for item in items for mark in item.iter_markers()}
    for marker in ("cuda", "hub", "display"):
        reason = _reason_to_skip(marker) if marker in used else None
        for item in items if reason else ():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason or ""))


def pytest_collection_finish() -> None:
    gc.freeze()  # half a million objects that were imported stay; collections need not look at them again and again
    gc.enable()


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """A thread that outlives its test keeps the interpreter from ending, or a window from closing."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2.0
    while leaked := [t for t in threading.enumerate() if t not in before and t.is_alive() and not t.daemon]:
        if time.monotonic() > deadline:
            pytest.fail(f"threads still run after the test: {', '.join(thread.name for thread in leaked)}")
        time.sleep(0.01)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """What tests write need not outlive a power failure, and a run waits a hundred times for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """The sample model, converted once a session; for tests marked `sample`."""
    from dfrot_engine.checkpoint.source import fetch
    from dfrot_engine.recipe import ModelSource

    return fetch(ModelSource(id_or_path="sample"), lambda *_: None)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Starts engines without the seconds that a start takes."""
    from tests.engine.survive.killing import arguments
    from tests.tiny_models import save_tiny_model

    folder = tmp_path_factory.mktemp("warm")
    model = save_tiny_model("llama-tied", folder / "model", intermediate_size=128)
    with warm_process(arguments("qronos", model, folder / "out")) as warm:
        yield warm
