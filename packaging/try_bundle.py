"""Has the folder that `build_bundle.py` made do everything that starts the engine, on tiny models and a stand-in Hub.

python packaging/try_bundle.py [FOLDER]      # in an environment with the program and its tests
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bundle_parts import COMMAND, NAME, ROOT

from tests.fake_hub import ALICE, FakeHub
from tests.tiny_models import save_tiny_model

#: Small numbers, for seconds.
QUICK = (
    "calibration.num_samples=4",
    "calibration.seq_len=64",
    "evaluation.seq_len=64",
    "evaluation.num_windows=2",
    "rotation.r1.sample_rows=512",
    "weights.group_size=16",
)
#: Fewer or shorter steps find nothing that is worth keeping, and Qronos leaves them nothing in so small a model.
LORA = (
    "solver.kind=rtn",
    "calibration.num_samples=8",
    "recovery.kind=lora",
    "recovery.steps=40",
    "recovery.rank=4",
    "recovery.learning_rate=0.01",
)
#: Files that a run leaves, by its name below.
LEAVES = {
    "run": ("model.safetensors", "README.md", "figures/token_error.png", "report.json"),
    "run, LoRA": ("adapter/adapter_model.safetensors",),
    "run, two processes": ("model.safetensors",),
    "run, a model that sees": ("model.safetensors",),
}
WINDOW_S = 15


def main() -> int:
    folder = (Path(sys.argv[1]) if sys.argv[1:] else ROOT / "dist" / NAME).absolute()
    with tempfile.TemporaryDirectory() as made, FakeHub(Path(made) / "hub") as hub:
        place = Path(made)
        (place / COMMAND).symlink_to(folder / NAME)
        home = {"HOME": made, "PATH": os.environ["PATH"], "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"}
        environment = home | {"HF_ENDPOINT": hub.url, "HF_TOKEN": ALICE, "HF_HUB_DISABLE_XET": "1"}
        failed = [name for name, line in steps(place) if not succeeds(name, line, place, environment)]
        failed += [] if opens(folder / NAME, environment) else ["window"]
    print(f"failed: {', '.join(failed)}" if failed else "all is well")
    return int(bool(failed))


def steps(place: Path) -> Iterator[tuple[str, list[str]]]:
    """(name, arguments of the command line), in the order in which they need each other."""
    llama, llava = save_tiny_model("llama", place / "llama"), save_tiny_model("llava", place / "llava")
    small = [part for setting in QUICK for part in ("--set", setting)]
    w4a4 = ["run", "--model", str(llama), "--preset", "w4a4", *small]
    run, sees = str(place / "run"), str(place / "run, a model that sees")
    yield "version", ["--version"]
    yield "doctor", ["doctor"]
    yield "run", [*w4a4, "--output", run]
    yield "verify", ["verify", run]
    yield "generate", ["generate", run, "--original", str(llama), "--prompt", "Water", "--tokens", "4"]
    yield "evaluate", ["evaluate", run, "--original", str(llama), "--seq-len", "64", "--windows", "2"]
    yield "push", ["push", run, "--repo", "alice/tiny"]
    yield "trial", ["trial", "--model", str(llama), "--preset", "w4a4", *small]
    yield "run, LoRA", [*w4a4, *(part for one in LORA for part in ("--set", one)), "--output", str(place / "run, LoRA")]
    yield "run, two processes", [*w4a4, "--ranks", "2", "--output", str(place / "run, two processes")]
    yield "run, a model that sees", ["run", "--model", str(llava), "--preset", "w8a8", *small[:-2], "--output", sees]
    yield "show the sample", ["show", "sample"]


def succeeds(name: str, line: list[str], place: Path, environment: dict[str, str]) -> bool:
    started = time.monotonic()
    done = subprocess.run(
        [str(place / COMMAND), *line], env=environment, cwd=place, capture_output=True, text=True, check=False
    )
    missing = [file for file in LEAVES.get(name, ()) if not (place / name / file).is_file()]
    is_well = done.returncode == 0 and not missing
    print(f"{name}: {'ok' if is_well else 'FAILED'} in {time.monotonic() - started:.1f} s", flush=True)
    if not is_well:
        print(f"status {done.returncode}, missing {missing}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}", flush=True)
    return is_well


def opens(program: Path, environment: dict[str, str]) -> bool:
    """Whether the window is still there after a while and has not spoken of a fault."""
    window = subprocess.Popen([str(program)], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        _, said = window.communicate(timeout=WINDOW_S)
        is_well = False
    except subprocess.TimeoutExpired:
        window.terminate()
        _, said = window.communicate()
        is_well = "CRITICAL" not in said
    print("window: ok" if is_well else f"window: FAILED\n{said[-2000:]}", flush=True)
    return is_well


if __name__ == "__main__":
    sys.exit(main())
