"""The main path on tiny models: stopped and resumed, done again, and what a run leaves as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dfrot_engine.events import BlockQuantized, Event, StageAdvanced, StageFinished, StageStarted, read_events
from dfrot_engine.progress import Control
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model


class Straight(NamedTuple):
    """A run that nobody stopped."""

    output: Path
    events: list[Event]
    model_before: dict[str, bytes]

    @property
    def written(self) -> bytes:
        return (self.output / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def straight(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Straight:
    output, before = tmp_path_factory.mktemp("straight") / "out", files_of(model)
    ended, events = run_tiny(tiny_recipe(model), output)
    assert ended.status == "finished", ended
    return Straight(output, events, before)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def stop_at(stage: str, step: int):
    def on_event(event: Event, control: Control) -> None:
        if isinstance(event, StageAdvanced) and event.stage == stage and event.step >= step:
            control.cancel()

    return on_event


@pytest.mark.parametrize(
    ("stage", "step"), [("calibrate", 1), ("rotate", 2), ("quantize", 1), ("export", 1), ("prove", 1), ("evaluate", 1)]
)
def test_a_stopped_run_resumes_to_the_same_files(
    stage: str, step: int, model: Path, straight: Straight, tmp_path: Path
) -> None:
    recipe = tiny_recipe(model)
    stopped, _ = run_tiny(recipe, tmp_path / "out", stop_at(stage, step))
    assert stopped.status == "cancelled"
    assert "resume" in stopped.remedy
    ended, events = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == straight.written
    if stage == "quantize":
        assert [event.block for event in events if isinstance(event, BlockQuantized)] == [1]
    reused = {event.stage for event in events if isinstance(event, StageFinished) and event.reused}
    order = ["calibrate", "rotate", "quantize", "export", "prove", "evaluate"]
    assert reused == set(order[: order.index(stage)])


def test_the_same_run_again_does_nothing(model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(model)
    run_tiny(recipe, tmp_path / "out")
    before = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    report = report_of(tmp_path / "out")
    ended, events = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished"
    assert {event.stage for event in events if isinstance(event, StageStarted)} == {"load"}
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == before
    again = report_of(tmp_path / "out")
    assert again["stages"].pop("load")["seconds"] >= 0
    assert report["stages"].pop("load")["seconds"] >= 0
    assert again == report


def test_another_group_size_keeps_the_rotation(model: Path, tmp_path: Path) -> None:
    run_tiny(tiny_recipe(model), tmp_path / "out", keep_work=True)
    changed = tiny_recipe(model, weights__group_size=8)
    ended, events = run_tiny(changed, tmp_path / "out", overwrite=True)
    assert ended.status == "finished", ended
    reused = {event.stage for event in events if isinstance(event, StageFinished) and event.reused}
    assert reused == {"calibrate", "rotate"}


def test_the_journal_is_what_was_said(straight: Straight) -> None:
    assert list(read_events(straight.output.with_name("out.dfrot"))) == straight.events


def test_the_source_model_is_never_touched(model: Path, straight: Straight) -> None:
    assert files_of(model) == straight.model_before


def test_same_seed_same_checkpoint(model: Path, straight: Straight, tmp_path: Path) -> None:
    run_tiny(tiny_recipe(model), tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == straight.written
