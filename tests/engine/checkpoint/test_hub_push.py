"""Pushing an output folder to the stand-in Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, constants

from dfrot_engine.checkpoint.hub_push import push_folder
from dfrot_engine.cli import main
from dfrot_engine.errors import HubError, ModelError
from dfrot_engine.events import Event, RunEnded, StageAdvanced
from dfrot_engine.marker import mark_failed
from tests.engine.runs import run_tiny, tiny_recipe
from tests.fake_hub import ALICE, BOB, FakeHub, Fault
from tests.tiny_models import save_tiny_model

REPO = "alice/tiny-w8a8"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    model = save_tiny_model("llama-tied", folder / "tiny")
    exports = [{"kind": "compressed-tensors"}, {"kind": "rotated-bf16", "subfolder": "bf16"}]
    ended, _ = run_tiny(tiny_recipe(model, "w8a8", exports=exports), folder / "out")
    assert ended.status == "finished", ended
    return folder / "out"


@pytest.fixture
def signed_in(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    # Its protocol for large files is a library's own; the stand-in speaks the older one.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", ALICE)
    return hub


def push(folder: Path, **options: bool) -> list[Event]:
    events: list[Event] = []
    push_folder(folder, REPO, events.append, **options)
    return events


def pushed(hub: FakeHub) -> Path:
    return hub.root / "models" / REPO


def test_a_folder_arrives_whole_and_private(made: Path, signed_in: FakeHub) -> None:
    events = push(made)
    there = pushed(signed_in)
    names = {path.name for path in made.iterdir() if path.is_file()} - {"report.json"}
    assert {path.name for path in there.iterdir() if path.is_file()} == names | {".hub.json", ".gitattributes"}
    for name in names - {"README.md"}:
        assert (there / name).read_bytes() == (made / name).read_bytes(), name
    assert (there / "figures" / "token_error.png").read_bytes().startswith(b"\x89PNG")
    assert not (there / "bf16").exists()
    assert json.loads((there / ".hub.json").read_text())["private"] is True
    card = (there / "README.md").read_text()
    assert f"vllm serve {REPO}" in card
    assert str(made) not in card
    assert ModelCard(card).data.to_dict()["library_name"] == "transformers"
    last = events[-1]
    assert isinstance(last, RunEnded)
    assert last.outputs == (f"{signed_in.url}/{REPO}",)
    steps = [event.step for event in events if isinstance(event, StageAdvanced)]
    assert steps == sorted(steps)
    assert steps[-1] == 100


def test_public_is_said(made: Path, signed_in: FakeHub) -> None:
    push(made, private=False)
    assert json.loads((pushed(signed_in) / ".hub.json").read_text())["private"] is False


def test_files_are_replaced_only_when_asked(made: Path, signed_in: FakeHub) -> None:
    push(made)
    stale = pushed(signed_in) / "model-00002-of-00002.safetensors"
    stale.write_bytes(b"old")
    with pytest.raises(HubError, match="already holds"):
        push(made)
    assert stale.exists()
    push(made, replace=True)
    assert not stale.exists()


def test_what_has_arrived_is_not_sent_again(made: Path, signed_in: FakeHub) -> None:
    signed_in.faults.append(Fault("*/commit/main", status=404))
    with pytest.raises(HubError, match="error 404"):
        push(made)
    sent = [one for one in signed_in.requests if one.method == "PUT"]
    assert sent
    push(made)
    assert [one for one in signed_in.requests if one.method == "PUT"] == sent
    assert (pushed(signed_in) / "model.safetensors").read_bytes() == (made / "model.safetensors").read_bytes()


def copy_of(made: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in made.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_what_is_not_proved_stays_here(made: Path, signed_in: FakeHub, tmp_path: Path) -> None:
    changed = copy_of(made, tmp_path / "changed")
    (changed / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"model[.]safetensors .* has changed"):
        push(changed)
    failed = copy_of(made, tmp_path / "failed")
    mark_failed(failed, ["one tensor differs"])
    with pytest.raises(ModelError, match=r"proof .* has failed"):
        push(failed)
    assert not pushed(signed_in).exists()
    assert not [one for one in signed_in.requests if one.method in ("POST", "PUT")]
    push(failed, unproven=True)
    assert (pushed(signed_in) / "FAILED.txt").is_file()


def test_a_token_that_may_not_write_is_told_without_it(
    made: Path, signed_in: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", BOB)
    assert main(["push", str(made), "--repo", REPO, "--json"]) == 1
    output = capsys.readouterr()
    ended = json.loads(output.out.splitlines()[-1])
    assert ended["status"] == "failed"
    assert "may not write" in ended["message"]
    assert BOB not in output.out + output.err


def test_without_a_token_nothing_is_sent(made: Path, signed_in: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="not signed in"):
        push(made)
    assert not signed_in.requests


def test_the_command_line_pushes(made: Path, signed_in: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(made), "--repo", REPO]) == 0
    assert f"Pushed to {signed_in.url}/{REPO}" in capsys.readouterr().out
    assert main(["push", str(made), "--repo", REPO]) == 1
    assert "--yes" in capsys.readouterr().err
    assert main(["push", str(made), "--repo", REPO, "--yes"]) == 0
