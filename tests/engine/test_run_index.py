"""The list of runs: whoever started them, hostile notes, folders that are gone, and what deleting leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dfrot_engine import Evaluated, Measured, Recipe, RunEnded, RunOptions, RunStarted, list_runs
from dfrot_engine.cli import main
from dfrot_engine.errors import DFRotError, DiskError
from dfrot_engine.events import JOURNAL, Event, read_events
from dfrot_engine.run_delete import delete_run, deletion_of
from dfrot_engine.run_index import ENVIRONMENT, RunNote, find_note, forget_note, index_dir, keep_note, read_notes
from dfrot_engine.work_lock import locked
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model
from tests.warm import Warm

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "index"))
    return tmp_path / "index"


def note(work_dir: Path, started: datetime = NOON) -> RunNote:
    output = work_dir.with_suffix("")
    return RunNote(work_dir=work_dir, output_dir=output, model="tiny", recipe="w4a4", formats="W4", started=started)


def save_run(folder: Path, *events: Event, started: datetime = NOON, recipe: Recipe | None = None) -> RunNote:
    """A work folder with these events after its start, on the list."""
    begun = RunStarted(
        run_id="1",
        recipe_name="w4a4",
        model="org/tiny",
        stages=("load",),
        num_blocks=2,
        device="cpu",
        output_dir=str(folder.with_suffix("")),
        time=started,
    )
    folder.mkdir(parents=True)
    lines = [event.model_dump_json() for event in (begun, *events)]
    (folder / JOURNAL).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (recipe or Recipe.preset("w4a4")).save(folder / "recipe.toml")
    options = RunOptions(output_dir=folder.with_suffix(""))
    (folder / "options.json").write_text(options.model_dump_json(), encoding="utf-8")
    kept = note(folder, started)
    keep_note(kept)
    return kept


def ended(status: str, seconds: float = 60) -> RunEnded:
    return RunEnded.model_validate({"status": status, "time": NOON + timedelta(seconds=seconds)})


def test_runs_stand_newest_first_with_what_they_came_to(tmp_path: Path) -> None:
    number = Evaluated(dataset="builtin", metric="perplexity", value=21.5, baseline=17.5, time=NOON)
    divergence = Evaluated(dataset="builtin", metric="kl_divergence", value=0.25, time=NOON)
    save_run(tmp_path / "old.dfrot", number, divergence, ended("finished"))
    save_run(tmp_path / "new.dfrot", started=NOON + timedelta(hours=1))
    new, old = list_runs()
    assert (new.status, new.can_resume, new.perplexity) == ("killed", True, None)
    assert (old.status, old.can_resume, old.seconds) == ("finished", False, 60)
    assert (old.perplexity, old.perplexity_original, old.kl_divergence) == (21.5, 17.5, 0.25)
    assert (old.model, old.recipe, old.formats, old.rotation) == ("org/tiny", "w4a4", "W4 A4", "descent")


def test_a_run_that_is_at_work_is_running_and_cannot_be_deleted(tmp_path: Path) -> None:
    kept = save_run(tmp_path / "run.dfrot")
    with locked(kept.work_dir):
        assert list_runs()[0].status == "running"
        with pytest.raises(DiskError, match="going on"):
            deletion_of(kept)
    assert list_runs()[0].status == "killed"


def test_a_run_that_starts_before_it_is_deleted_keeps_its_files(tmp_path: Path) -> None:
    kept = save_run(tmp_path / "run.dfrot")
    deletion = deletion_of(kept)
    with locked(kept.work_dir), pytest.raises(DiskError, match="Another run"):
        delete_run(deletion)
    assert (kept.work_dir / JOURNAL).is_file()
    assert len(read_notes()) == 1


def test_a_folder_that_is_gone_stays_on_the_list(tmp_path: Path) -> None:
    kept = note(tmp_path / "gone.dfrot")
    keep_note(kept)
    (run,) = list_runs()
    assert (run.status, run.model, run.formats) == ("gone", "tiny", "W4")
    delete_run(deletion_of(kept))
    assert list_runs() == ()


HOSTILE = {
    "no-json": "{",
    "a-list": "[1, 2]",
    "relative": note(Path("/a")).model_dump_json().replace('"/a"', '"a"'),
    "upwards": note(Path("/a")).model_dump_json().replace('"/a"', '"/a/../etc"'),
    "another-name": note(Path("/a")).model_dump_json(),
    "huge": note(Path("/a")).model_dump_json()[:-1] + ', "more": "' + "x" * 100_000 + '"}',
    "binary": "\x00\udcff",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_notes_are_left_out_with_a_sentence(tmp_path: Path, index: Path, content: str) -> None:
    save_run(tmp_path / "run.dfrot", ended("finished"))
    (index / "000000000000.json").write_bytes(content.encode(errors="surrogateescape"))
    (index / "111111111111.json").symlink_to("/etc/hostname")
    (index / "222222222222.json").mkdir()
    said: list[str] = []
    assert [run.status for run in list_runs(said.append)] == ["finished"]
    assert len(said) == 3
    assert all(sentence.endswith(".") and "left out" in sentence for sentence in said)


def test_a_hostile_journal_is_a_run_without_a_journal(tmp_path: Path) -> None:
    kept = save_run(tmp_path / "run.dfrot")
    (kept.work_dir / JOURNAL).write_bytes(b"\xff\x00 nonsense\n")
    assert list_runs()[0].status == "gone"
    assert deletion_of(kept).paths == ()


def test_curves_are_passed_over_but_for_the_last_word(tmp_path: Path) -> None:
    curve = [Measured(name="rotate/loss", step=step, value=1.0, time=NOON) for step in range(5)]
    last = Measured(name="memory/ram", step=6, value=1.0, time=NOON + timedelta(seconds=90))
    kept = save_run(tmp_path / "run.dfrot", *curve, last)
    events = list(read_events(kept.work_dir, leave_out=("measured",)))
    assert [type(event) for event in events] == [RunStarted, Measured]
    assert list_runs()[0].seconds == 90


def test_a_run_is_found_by_its_key_and_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = note(tmp_path / "run.dfrot")
    keep_note(kept)
    monkeypatch.chdir(tmp_path)
    for name in (kept.key, kept.key[:5], str(kept.work_dir), "run"):
        assert find_note(name).work_dir == kept.work_dir
    with pytest.raises(DFRotError, match="No run"):
        find_note("nothing")
    forget_note(kept.key)
    assert index_dir().is_dir()
    assert read_notes() == ()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize("keep_work", [False, True])
def test_deleting_takes_everything_of_a_run(tmp_path: Path, tiny: Path, keep_work: bool) -> None:
    recipe = tiny_recipe(tiny, recovery__kind="scales", recovery__steps=1, activations__clip_ratio="search")
    recipe = recipe.with_field("exports", [{"kind": "rotated-bf16"}, {"kind": "rotated-bf16", "subfolder": "two"}])
    run_tiny(recipe, tmp_path / "out", keep_work=keep_work)
    deletion = deletion_of(find_note(str(tmp_path / "out")))
    assert deletion.kept == ()
    sizes = sum(path.stat().st_size for path in tmp_path.rglob("out*/**/*") if path.is_file())
    assert deletion.num_bytes == sizes
    delete_run(deletion)
    assert {path.name for path in tmp_path.iterdir()} == {"index"}
    assert list_runs() == ()


def test_deleting_leaves_what_no_run_has_written(tmp_path: Path, tiny: Path) -> None:
    out = tmp_path / "out"
    run_tiny(tiny_recipe(tiny, solver__kind="rtn"), out)
    work = tmp_path / "out.dfrot"
    (out / "notes.md").write_text("mine")
    (work / "mine").mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    listed = json.loads((work / "written.json").read_text())
    hostile = ["../precious/file", str(tmp_path / "precious" / "file"), "link/file", "notes.md/x"]
    (out / "link").symlink_to(tmp_path / "precious")
    (work / "written.json").write_text(json.dumps({folder: names + hostile for folder, names in listed.items()}))
    (work / "quantize").symlink_to(tmp_path / "precious")
    deletion = deletion_of(find_note(str(out)))
    assert any("notes.md" in sentence for sentence in deletion.kept)
    assert any("mine" in sentence for sentence in deletion.kept)
    delete_run(deletion)
    assert {path.name for path in out.iterdir()} == {"notes.md", "link"}
    assert {path.name for path in work.iterdir()} == {"mine"}
    assert (tmp_path / "precious" / "file").read_text() == "mine"


def test_an_output_that_another_recipe_has_taken_stays(tmp_path: Path, tiny: Path) -> None:
    out = tmp_path / "out"
    recipe = tiny_recipe(tiny, solver__kind="rtn")
    run_tiny(recipe, out)
    Recipe.preset("w8a8").save(tmp_path / "out.dfrot" / "recipe.toml")
    deletion = deletion_of(find_note(str(out)))
    assert [sentence for sentence in deletion.kept if "not hold" in sentence]
    delete_run(deletion)
    assert (out / "model.safetensors").is_file()
    assert not (tmp_path / "out.dfrot").exists()


def test_the_command_line_lists_and_removes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = save_run(tmp_path / "run.dfrot", ended("finished"))
    other = save_run(tmp_path / "two.dfrot", ended("cancelled"), started=NOON + timedelta(hours=2))
    assert main(["runs"]) == 0
    printed = capsys.readouterr().out
    assert printed.index(other.key) < printed.index(kept.key)
    assert "Stopped, can be resumed" in printed
    assert main(["runs", "--json"]) == 0
    assert [row["key"] for row in json.loads(capsys.readouterr().out)] == [other.key, kept.key]
    assert main(["runs", "remove", kept.key]) == 0
    assert kept.work_dir.is_dir()
    assert main(["runs", "remove", "--files", "--yes", other.key]) == 0
    assert not other.work_dir.exists()
    capsys.readouterr()
    assert main(["runs"]) == 0
    assert "No run yet" in capsys.readouterr().out


def test_listing_needs_no_torch(tmp_path: Path) -> None:
    code = "import sys, dfrot_engine, dfrot_engine.run_delete; dfrot_engine.list_runs(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_a_detached_engine_goes_on_when_nobody_listens(warm: Warm, tmp_path: Path, tiny: Path) -> None:
    """Both pipes are closed at once, as when the window ends."""
    recipe = tiny_recipe(tiny, solver__kind="rtn", evaluation__num_windows=10)
    recipe.save(tmp_path / "recipe.toml")
    command = [*warm.engine, "run", str(tmp_path / "recipe.toml"), "--output"]
    flags = ["--device", "cpu", "--threads", "1", "--json", "--stdin-commands", "--no-library"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "out"), *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    assert "run_started" in process.stdout.readline()
    process.stdin.write('{"command": "pause"}\n{"command": "detach"}\n')
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    assert process.wait(120) == 0
    assert [run.status for run in list_runs()] == ["finished"]
