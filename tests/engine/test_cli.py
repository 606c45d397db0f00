"""The command line as a process: exit statuses, JSON lines, Ctrl-C, resuming."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from dfrot_engine import RunOptions
from dfrot_engine.cli import build_parser, main, options_from
from dfrot_engine.events import parse_event
from dfrot_engine.run_process import use_threads
from tests.tiny_models import save_tiny_model
from tests.warm import Warm

SETTINGS = (
    "calibration.num_samples=4",
    "calibration.seq_len=64",
    "evaluation.seq_len=64",
    "evaluation.num_windows=2",
    "weights.group_size=16",
    "rotation.r2.steps=5",
    "rotation.r1.sample_rows=512",
    "rotation.r1.steps=5",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("model") / "tiny", num_hidden_layers=6)


def arguments(model: Path, output: Path, *more: str) -> list[str]:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    return ["run", "--model", str(model), "--output", str(output), "--device", "cpu", *settings, *more]


def start(warm: Warm, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*warm.engine, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for(child: subprocess.Popen[str], words: str) -> None:
    assert child.stdout
    for line in child.stdout:
        if words in line:
            return
    raise AssertionError(f"{words!r} never came: {child.communicate()[1]}")


def test_json_is_nothing_but_events_and_ctrl_c_resumes(warm: Warm, model: Path, tmp_path: Path) -> None:
    child = start(warm, *arguments(model, tmp_path / "out", "--json"))
    wait_for(child, '"event":"block_quantized","block":1')
    child.send_signal(signal.SIGINT)
    rest, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert parse_event(rest.splitlines()[-1]).event == "run_ended"

    again = start(warm, *arguments(model, tmp_path / "out", "--json"))
    lines, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    events = [parse_event(line) for line in lines.splitlines()]
    blocks = [event.block for event in events if event.event == "block_quantized"]
    assert blocks
    assert min(blocks) >= 2
    assert events[-1].event == "run_ended"
    assert (tmp_path / "out" / "config.json").is_file()


def test_commands_pause_resume_and_cancel(warm: Warm, model: Path, tmp_path: Path) -> None:
    child = start(warm, *arguments(model, tmp_path / "out", "--json", "--stdin-commands"))
    assert child.stdin
    wait_for(child, '"event":"run_started"')
    child.stdin.write('{"command": "pause"}\n')
    child.stdin.flush()
    wait_for(child, '"paused":true')
    time.sleep(0.3)
    child.stdin.write('{"command": "resume"}\n')
    child.stdin.flush()
    wait_for(child, '"paused":false')
    child.stdin.close()  # the window is gone
    assert child.stdout
    rest = child.stdout.read()
    assert child.wait(timeout=60) == 130
    assert '"status":"cancelled"' in rest
    child.stdout.close()
    assert child.stderr
    child.stderr.close()


def test_text_ends_with_the_table(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(model, tmp_path / "out")) == 0
    printed = capfd.readouterr().out
    assert "Perplexity" in printed
    assert str(tmp_path / "out") in printed.replace("\n", "")
    assert main(["show", str(tmp_path / "out")]) == 0
    assert "Perplexity" in capfd.readouterr().out
    assert main(["show", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capfd.readouterr().out)

    compared = ["--original", str(model), "--seq-len", "64", "--windows", "2", "--device", "cpu"]
    assert main(["evaluate", str(tmp_path / "out"), "--json", *compared]) == 0
    measured = json.loads(capfd.readouterr().out)
    for name in ("perplexity_original", "perplexity_quantized", "kl_divergence", "top1_agreement"):
        assert measured[name] == pytest.approx(report[name], rel=1e-5)


def trial_arguments(model: Path, *more: str) -> list[str]:
    settings = ("calibration.seq_len=64", "weights.group_size=16", "rotation.r1.sample_rows=512")
    chosen = [part for setting in settings for part in ("--set", setting)]
    return ["trial", "--model", str(model), "--device", "cpu", "--threads", "1", *chosen, *more]


def test_a_trial_tells_its_rows_and_its_result(warm: Warm, model: Path) -> None:
    child = start(warm, *trial_arguments(model, "--json"))
    lines, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    events = [parse_event(line) for line in lines.splitlines()]
    tried = [event.row.kind for event in events if event.event == "rotation_tried"]
    assert tried == ["none", "random-orthogonal", "hadamard", "dfrot", "descent"]
    finished, ended = events[-2:]
    assert finished.event == "trial_finished"
    assert finished.result.recommended in tried
    assert ended.event == "run_ended"


def test_ctrl_c_ends_a_trial(warm: Warm, model: Path) -> None:
    child = start(warm, *trial_arguments(model, "--json"))
    wait_for(child, '"stage":"calibrate"')
    child.send_signal(signal.SIGINT)
    rest, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert "trial_finished" not in rest
    assert parse_event(rest.splitlines()[-1]).event == "run_ended"


def test_a_trial_as_text(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(trial_arguments(model)) == 0
    printed = " ".join(capfd.readouterr().out.split())
    assert "Block error" in printed
    assert "Use " in printed or "Do not rotate" in printed
    assert main(trial_arguments(model, "--set", "weights.group_size=7000")) == 1
    assert "does not divide" in " ".join(capfd.readouterr().out.split())


def test_sensitivity_as_text_and_as_events(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = ["--num-samples", "2", "--seq-len", "48", "--set", "weights.group_size=16", "--device", "cpu"]
    command = ["sensitivity", "--model", str(model), *settings]
    assert main([*command, "--bits", "5", "--check", "--out", str(tmp_path / "recipe.toml")]) == 0
    printed = " ".join(capfd.readouterr().out.split())
    assert "of memory" in printed
    assert "22 more rows" in printed
    assert "For 5 bits" in printed
    assert "without the proposal" in printed
    assert "self_attn.o_proj, blocks 0" in printed
    assert main([*command, "--json"]) == 0
    events = [parse_event(line) for line in capfd.readouterr().out.splitlines()]
    assert [event.event for event in events[-2:]] == ["sensitivity_finished", "run_ended"]
    assert main([*command, "--bits", "9"]) == 1
    assert "cannot have 9 bits" in " ".join(capfd.readouterr().out.split())


def test_plan_lists_problems(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["plan", "--model", str(model), "--output", str(tmp_path / "out"), "--set", "calibration.seq_len=64"]
    base += ["--set", "evaluation.seq_len=64"]
    assert main([*base, "--set", "weights.group_size=64", "--json"]) == 2
    plan = json.loads(capsys.readouterr().out)
    assert any(problem["field"].startswith("weights.group_size") for problem in plan["problems"])
    assert main([*base, "--set", "weights.group_size=16"]) == 0
    assert "quantize" in capsys.readouterr().out
    # Brackets in a remedy are no markup.
    assert main([*base, "--set", "weights.group_size=16", "--set", 'evaluation.tasks=["/nowhere/[x].yaml"]']) == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert "/nowhere/[x].yaml does not exist" in printed or "dfrot-gui[tasks]" in printed


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (["--set", "rotation.r9=1"], "rotation.r9"),
        (["--set", "weights.format=int9"], "weights.format"),
        (["--set", "nonsense"], "--set"),
    ],
)
def test_bad_recipes_exit_2(bad: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--output", str(tmp_path / "out"), *bad]) == 2
    assert word in capsys.readouterr().err


def test_threads_are_those_that_somebody_has_named(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    use_threads(3)
    use_threads(0)  # torch has read the variable
    assert taken == [3]
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    use_threads(0)  # torchrun has set it
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    monkeypatch.delenv("OMP_NUM_THREADS")
    use_threads(0)
    assert taken == [3, 3, 6]


@pytest.mark.parametrize(
    ("text", "memory"), [("auto", "auto"), ("0", 0), ("4GB", 4_000_000_000), ("1.5 gb", 1_500_000_000), ("2GiB", 2**31)]
)
def test_memory_is_given_in_bytes_or_with_a_unit(text: str, memory: int | str, tmp_path: Path) -> None:
    parsed = build_parser().parse_args(["run", "--output", str(tmp_path), "--memory", text])
    assert options_from(parsed).memory == memory
    assert RunOptions.model_validate({"output_dir": tmp_path, "memory": text}).memory == memory


def test_memory_that_is_no_size_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("much", "-1", "4 XB", ""):
        assert main(["plan", "--output", str(tmp_path), "--model", "sample", "--memory", text]) == 2
        assert "--memory 4GB" in capsys.readouterr().err


def test_rotations_are_listed_used_and_removed(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFROT_LIBRARY", str(tmp_path / "library"))
    assert main(["rotations"]) == 0
    assert "No rotation yet" in capfd.readouterr().out
    assert main(arguments(model, tmp_path / "out")) == 0
    unkept = build_parser().parse_args(arguments(model, tmp_path / "unkept", "--no-library"))
    assert options_from(unkept).keep_rotations is False
    capfd.readouterr()
    assert main(["rotations", "--json"]) == 0
    (entry,) = json.loads(capfd.readouterr().out)
    assert (entry["model"], entry["kind"], entry["hidden_size"]) == ("tiny", "descent", 48)
    (tmp_path / "library" / "bad.safetensors").write_bytes(b"bad")
    assert main(["rotations", "--model", "TINY"]) == 0
    printed = capfd.readouterr()
    assert entry["name"] in printed.out
    assert "bad.safetensors is left out" in printed.err
    assert main(["rotations", "--model", "other"]) == 0
    assert entry["name"] not in capfd.readouterr().out

    base = ["plan", "--model", str(model), "--output", str(tmp_path / "out2"), "--json"]
    base += [part for setting in SETTINGS[:-2] for part in ("--set", setting)] + ["--set", "rotation.r1.kind=from-file"]
    assert main([*base, "--set", f"rotation.r1.path=library:{entry['name']}"]) == 0
    assert main(["rotations", "remove", entry["name"][-8:], "bad"]) == 0
    assert list((tmp_path / "library").iterdir()) == []
    capfd.readouterr()
    assert main([*base, "--set", f"rotation.r1.path=library:{entry['name']}"]) == 2
    assert "no rotation" in capfd.readouterr().out
    assert main(["rotations", "remove", entry["name"]]) == 1
    assert "no rotation" in capfd.readouterr().err


def test_libraries_read_the_switch_for_their_bars(tmp_path: Path) -> None:
    """tqdm reads its switch when it is imported, so the command line must come first."""
    child = subprocess.run(
        [sys.executable, "-c", "import sys, dfrot_engine.cli; sys.exit('tqdm' in sys.modules)"],
        cwd=tmp_path,
        check=False,
    )
    assert child.returncode == 0
