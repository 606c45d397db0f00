"""A token in the environment reaches no log, journal, report, output or diagnostics, and no file of anybody else's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.tiny_models import save_tiny_model

ROOT = Path(__file__).parents[2]
TOKEN = "hf_" + "PlantedSecret9876543210"
SETTINGS = (
    "calibration.num_samples=4",
    "calibration.seq_len=64",
    "evaluation.seq_len=64",
    "evaluation.num_windows=2",
    "weights.group_size=16",
    "solver.kind=rtn",
    "rotation.r1.kind=hadamard",
    "rotation.r2.kind=hadamard",
)


def dfrot(home: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XDG_", "HF_", "DFROT_", "TMP", "MPL"))
    }
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    own = {"HOME": str(home), "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1", "TMPDIR": str(home / "tmp")}
    return subprocess.run(
        [sys.executable, "-m", "dfrot_engine", *arguments],
        capture_output=True,
        check=False,
        timeout=240,
        cwd=home,
        env=kept | own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def test_no_file_and_no_line_holds_the_token(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    home, output = tmp_path / "home", tmp_path / "results" / "out"
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    run = dfrot(
        home, "run", "--model", str(model), "--output", str(output), "--device", "cpu", "--keep-work", *settings
    )
    assert run.returncode == 0, run.stderr.decode()
    gated = dfrot(home, "plan", "--model", "org/gated", "--output", str(tmp_path / "none"))
    assert gated.returncode
    doctor = dfrot(home, "doctor", "--json")
    assert b"signed in (HF_TOKEN)" in doctor.stdout
    said = b"".join(done.stdout + done.stderr for done in (run, gated, doctor))
    assert TOKEN.encode() not in said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"events.jsonl", "report.json", "recipe.toml"} <= {path.name for path in files}
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    # Of the home folder only rooms of the program and the Hub's client are used; nothing is left among temporary files.
    rooms = {"/".join(path.relative_to(home).parts[:3]) for path in files if path.is_relative_to(home)}
    known = (".local/share/dfrot", ".cache/dfrot", ".cache/huggingface")
    assert ".cache/dfrot/matplotlib" in rooms, "figures were drawn"
    assert all(room.startswith(known) for room in rooms), rooms
