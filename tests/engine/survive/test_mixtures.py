"""What must never be mixed: two recipes, two versions of a model, half a line and the next; and who is told so."""

from __future__ import annotations

import json
import os
import shutil
import socket
from datetime import datetime
from pathlib import Path

import pytest

from dfrot_engine import events as said
from dfrot_engine.cli import main
from dfrot_engine.errors import DFRotError
from dfrot_engine.events import Event, Logged, RunEnded, StageAdvanced, StageFinished, StageStarted, Warned, read_events
from dfrot_engine.progress import Control
from dfrot_engine.run_record import read_run
from dfrot_engine.whole_file import write_text
from dfrot_engine.work_dir import WorkDir
from dfrot_engine.work_lock import is_in_use, locked
from tests.engine.runs import run_tiny, tiny_recipe
from tests.engine.survive.killing import arguments, contents
from tests.tiny_models import save_tiny_model
from tests.warm import Warm

OTHER = ("--set", "calibration.seed=7", "--set", "weights.group_size=8")


def operations(argv: list[str], warm: Warm, folder: Path) -> list[str]:
    """What a run does to the files of a folder."""
    trace = folder.with_name(f"{folder.name}.trace")
    assert warm.run(argv, trace.with_suffix(".said"), watched=str(folder), trace=str(trace)) == 0
    return trace.read_text().splitlines()


@pytest.mark.parametrize(
    ("stopped", "killed"),
    [("", "calibrate/kept."), ("", "quantize/00000."), ("", "rotate/00001."), ("quantize/00001.", "quantize/00000.")],
)
def test_another_recipe_that_was_killed_leaves_nothing_in_the_first(
    stopped: str, killed: str, warm: Warm, model: Path, tmp_path: Path
) -> None:
    """The first recipe was finished or stopped; the second is killed right after it replaced a file of the first."""
    run, said_to = tmp_path / "run", tmp_path / "said"
    first = arguments("gptq", model, run / "out")
    run.mkdir()
    (tmp_path / "a").mkdir()
    lines = operations(arguments("gptq", model, tmp_path / "a" / "out"), warm, tmp_path / "a")
    place = replacing(lines, stopped) if stopped else None
    assert (warm.run(first, said_to, watched=str(run), kill_at=place) < 0) == bool(stopped)
    shutil.copytree(run, tmp_path / "b")
    other = operations([*arguments("gptq", model, tmp_path / "b" / "out"), *OTHER], warm, tmp_path / "b")
    assert warm.run([*first, *OTHER], said_to, watched=str(run), kill_at=replacing(other, killed) + 1) < 0
    assert warm.run(first, said_to) == 0
    before, after = contents(tmp_path / "a"), contents(run)
    assert [name for name in before if after.get(name) != before[name]] == []


def replacing(lines: list[str], name: str) -> int:
    """The number of the operation by which a file gets its name."""
    return next(index for index, line in enumerate(lines) if name in line and "os.rename" in line)


def stop_at(stage: str, step: int = 0):
    def on_event(event: Event, control: Control) -> None:
        if isinstance(event, StageAdvanced) and event.stage == stage and event.step >= step:
            control.cancel()

    return on_event


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    """A model that the test may change."""
    return save_tiny_model("llama", tmp_path / "tiny")


def test_a_model_that_changed_between_two_starts_is_named(own_model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(own_model)
    run_tiny(recipe, tmp_path / "out", stop_at("quantize", 1))
    save_tiny_model("llama", own_model, seed=1)
    ended, events = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished"
    (warned,) = [event for event in events if isinstance(event, Warned) and "changed" in event.message]
    assert warned.message.startswith(f"model.safetensors in {own_model} changed since this run was begun")
    assert "put the old files back" in warned.remedy
    assert not [event for event in events if isinstance(event, StageFinished) and event.reused]
    straight, _ = run_tiny(recipe, tmp_path / "straight")
    assert straight.status == "finished"
    written = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "straight")]
    assert written[0] == written[1]


def test_a_model_that_changes_while_it_is_read_ends_the_run(own_model: Path, tmp_path: Path) -> None:
    def touch(event: Event, _control: Control) -> None:
        if isinstance(event, StageStarted) and event.stage == "rotate":
            os.utime(own_model / "model.safetensors", ns=(1, 1))

    ended, _ = run_tiny(tiny_recipe(own_model), tmp_path / "out", touch)
    assert ended.status == "failed"
    assert "model.safetensors" in ended.message
    assert "changed while the run was reading" in ended.message
    assert not (tmp_path / "out").exists()
    assert run_tiny(tiny_recipe(own_model), tmp_path / "out")[0].status == "finished"


def test_a_model_cut_short_between_two_starts(own_model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(own_model)
    run_tiny(recipe, tmp_path / "out", stop_at("quantize", 1))
    shard = own_model / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1_000])
    ended, _ = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "failed"
    assert "model.safetensors" in ended.message
    assert "damaged" in f"{ended.message} {ended.remedy}"


def test_who_uses_a_work_folder_is_said(own_model: Path, tmp_path: Path) -> None:
    work = tmp_path / "out.dfrot"
    assert not is_in_use(work)
    with locked(work):
        assert is_in_use(work)
        ended, _ = run_tiny(tiny_recipe(own_model), tmp_path / "out")
    assert ended.status == "failed"
    assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in ended.message
    assert not is_in_use(work)


@pytest.mark.parametrize("tail", [b'{"time":"2026', b"\0" * 5_000, b"x" * 100_000], ids=["torn", "zeros", "long"])
def test_a_torn_line_is_cut_off_before_the_next_is_written(tail: bytes, own_model: Path, tmp_path: Path) -> None:
    run_tiny(tiny_recipe(own_model), tmp_path / "out", stop_at("rotate"))
    journal = tmp_path / "out.dfrot" / "events.jsonl"
    before = list(read_events(journal.parent))
    with journal.open("ab") as file:
        file.write(tail)
    _, events = run_tiny(tiny_recipe(own_model), tmp_path / "out")
    assert list(read_events(journal.parent)) == before + events


def test_a_mistake_of_ours_is_in_the_journal(own_model: Path, tmp_path: Path) -> None:
    def break_(event: Event, _control: Control) -> None:
        if isinstance(event, StageStarted) and event.stage == "rotate":
            raise ValueError("what is this")

    with pytest.raises(ValueError, match="what is this"):
        run_tiny(tiny_recipe(own_model), tmp_path / "out", break_)
    last = list(read_events(tmp_path / "out.dfrot"))[-1]
    assert isinstance(last, RunEnded)
    assert last.status == "failed"
    assert "ValueError: what is this" in last.message


def test_marks_go_before_the_files_they_vouch_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with WorkDir.open(tmp_path) as work:
        work.mark_done("calibrate", "a")
        monkeypatch.setattr("shutil.rmtree", lambda *_args, **_more: pytest.fail("killed here"))
        with pytest.raises(pytest.fail.Exception):
            work.drop_intermediate_files()
    assert not WorkDir(tmp_path).is_done("calibrate", "a")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "old")
    (tmp_path / "a.json.draft").mkdir()
    with pytest.raises(DFRotError, match=r"Cannot write .*a\.json.*3 B were to be written"):
        write_text(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "old"


def test_a_clock_that_is_set_does_not_move_events(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(1999, 1, 1, tzinfo=tz)

    first = Logged(stage="load", message="before")
    monkeypatch.setattr(said, "datetime", Wrong)
    second = Logged(stage="load", message="after")
    assert 0 <= (second.time - first.time).total_seconds() < 5


def test_show_tells_stopped_failed_and_finished_runs(
    own_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, output = tiny_recipe(own_model), tmp_path / "out"
    run_tiny(recipe, output, stop_at("quantize", 1))
    assert main(["show", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "Stopped in quantize, Block 1" in printed
    assert f"dfrot run {output}.dfrot/recipe.toml --output {output} --device cpu" in printed
    assert main(["show", str(output.with_name("out.dfrot")), "--json"]) == 0
    run = json.loads(capsys.readouterr().out)["run"]
    assert [stage["status"] for stage in run["stages"]] == [
        "done",
        "done",
        "done",
        "not finished",
        "waiting",
        "waiting",
        "waiting",
    ]
    ended, _ = run_tiny(recipe, output)
    assert ended.status == "finished"
    assert main(["show", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "Finished. Started" in printed
    assert "the last of 2 starts" in printed
    assert "Perplexity" in printed
    assert "To go on" not in printed
    record = read_run(output.with_name("out.dfrot"))
    assert record is not None
    assert set(record.numbers) == {"perplexity", "kl_divergence", "top1_agreement"}
