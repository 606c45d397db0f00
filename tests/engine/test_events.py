from __future__ import annotations

import typing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dfrot_engine import (
    BlockQuantized,
    DFRotError,
    Evaluated,
    Event,
    Logged,
    MassiveToken,
    MassiveTokensFound,
    Measured,
    ProofRow,
    Proved,
    RemainingTime,
    RotationTried,
    RunEnded,
    RunStarted,
    StageAdvanced,
    TrialFinished,
    parse_event,
    read_events,
)
from dfrot_engine.events import JOURNAL, EventBase
from tests.gui.fake_trial import RESULT, ROWS

TOKEN = MassiveToken(block=1, site="input_layernorm", sample=0, position=0, text="<s>", value=800.0, errors={"none": 1})
EXAMPLES: tuple[EventBase, ...] = (
    RunStarted(
        run_id="a",
        recipe_name="w4a4",
        model="org/tiny",
        stages=("load",),
        num_blocks=2,
        device="cpu",
        output_dir="/out",
    ),
    StageAdvanced(stage="quantize", step=1, steps=2, label="Block 1 of 2 – «größe» 漢\u2028字"),
    Measured(name="rotate/loss", step=3, value=1.5e300, unit=""),
    RemainingTime(seconds=12.5),
    BlockQuantized(block=0, relative_error={"mlp.down_proj": 0.1}, seconds=0.5, bytes=12),
    MassiveTokensFound(count=1, rows=10, tokens=(TOKEN,)),
    Evaluated(dataset="builtin", metric="perplexity", value=8.0, baseline=None),
    Proved(row=ProofRow(check="tensors", output="gguf", what="243 tensors", figure=0.0, limit=0.0, passed=True)),
    RotationTried(row=ROWS[0]),
    TrialFinished(result=RESULT),
    RunEnded(status="failed", message="It broke.", remedy="Mend it.", field="calibration.seed"),
)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_line_gives_the_same_event(event: EventBase) -> None:
    line = event.model_dump_json()
    assert "\n" not in line
    assert parse_event(line) == event
    assert parse_event(line.encode()) == event


def test_every_event_has_a_name_of_its_own() -> None:
    union, *_ = typing.get_args(Event)
    classes = typing.get_args(union)
    names = [one.model_fields["event"].default for one in classes]
    assert len(set(names)) == len(classes) == 21


def test_time_is_kept() -> None:
    event = Logged(stage="load", message="x", time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert parse_event(event.model_dump_json()).time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_fields_of_a_newer_version_are_passed_over() -> None:
    event = parse_event('{"event": "logged", "stage": "load", "message": "x", "colour": "red"}')
    assert isinstance(event, Logged)


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "null", '{"event": "nonsense"}', '{"event": "logged"}', b"\xff", "x" * 1000]
)
def test_lines_that_are_no_events(line: str | bytes) -> None:
    with pytest.raises(DFRotError, match="Not a journal line") as caught:
        parse_event(line)
    assert len(caught.value.message) < 200


def write_journal(folder: Path, tail: bytes = b"") -> None:
    lines = b"".join(event.model_dump_json().encode() + b"\n" for event in EXAMPLES)
    (folder / JOURNAL).write_bytes(lines + tail)


def test_journal_is_read_in_order(tmp_path: Path) -> None:
    write_journal(tmp_path)
    assert tuple(read_events(tmp_path)) == EXAMPLES


@pytest.mark.parametrize("length", [1, 20, -1])
def test_last_line_cut_short_by_a_kill_is_left_out(tmp_path: Path, length: int) -> None:
    line = EXAMPLES[0].model_dump_json().encode() + b"\n"
    write_journal(tmp_path, line[:length])
    assert tuple(read_events(tmp_path)) == EXAMPLES


def test_damage_inside_is_not_hidden(tmp_path: Path) -> None:
    write_journal(tmp_path, b"garbage\n")
    with pytest.raises(DFRotError):
        list(read_events(tmp_path))


def test_folder_without_a_journal(tmp_path: Path) -> None:
    assert list(read_events(tmp_path)) == []
