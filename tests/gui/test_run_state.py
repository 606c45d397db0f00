"""Folding events: a whole run, pauses, a resumed run, a cut-off journal, and that thousands of events stay cheap."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path

import pytest

from dfrot_engine import (
    BlockQuantized,
    ChartSaved,
    Event,
    Logged,
    Measured,
    PauseChanged,
    RemainingTime,
    RunEnded,
    RunStarted,
    StageAdvanced,
    StageFinished,
    StageStarted,
    Warned,
)
from dfrot_engine.events import JOURNAL
from dfrot_engine.units import about_text, duration_text
from dfrot_gui.run_parts import Series
from dfrot_gui.run_progress import RunClock, elapsed_s, overall_fraction, remaining_s
from dfrot_gui.run_state import MAX_LOG_LINES, RunState, fold, replay, with_request
from tests.gui import fake_engine

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def started(time: datetime = START, **changes: object) -> RunStarted:
    values = {"run_id": "a", "recipe_name": "r", "model": "m", "num_blocks": 2, "device": "cpu", "output_dir": "/out"}
    return RunStarted.model_validate({**values, "stages": fake_engine.STAGES, "time": time, **changes})


def fold_all(*events: Event) -> RunState:
    return reduce(fold, events, RunState())


def write_journal(folder: Path, events: list[Event]) -> None:
    (folder / JOURNAL).write_text("".join(event.model_dump_json() + "\n" for event in events), encoding="utf-8")


def test_a_whole_run_is_folded() -> None:
    state = fold_all(*fake_engine.whole_run(Path("/out")))
    assert state.status == "finished"
    assert [stage.status for stage in state.stages] == ["done"] * 6
    assert len(state.loss) == 100
    assert state.loss[0].value > state.loss[-1].value
    assert sorted(state.block_errors) == list(range(30))
    assert state.block_errors[29]["block"] == pytest.approx(0.156)
    assert len(state.massive_tokens) == 10
    assert set(state.charts) == {"activation_map", "token_error", "site_errors", "cell_errors"}
    perplexity = state.metric("perplexity")
    assert perplexity
    assert (perplexity.value, perplexity.baseline) == (21.84, 17.65)
    assert state.peak_bytes == 2_100_000_000
    assert overall_fraction(state) == 1.0
    assert any("Row 17" in str(line) and line.is_warning for line in state.log)


def test_fold_leaves_the_state_before_untouched() -> None:
    one = fold(fold_all(started()), Measured(name="rotate/loss", step=0, value=1.0))
    two = fold(one, Measured(name="rotate/loss", step=1, value=0.5))
    other = fold(one, Measured(name="rotate/loss", step=1, value=9.0))
    assert [point.value for point in one.loss] == [1.0]
    assert [point.value for point in two.loss] == [1.0, 0.5]
    assert [point.value for point in other.loss] == [1.0, 9.0]


def test_series_drops_the_oldest() -> None:
    series: Series[int] = Series()
    for number in range(25):
        series = series.appended(number, keep=5)
    assert series[-1] == 24
    assert 5 <= len(series) <= 10
    assert list(series) == list(range(25 - len(series), 25))


def test_pauses_do_not_count_as_elapsed() -> None:
    state = fold_all(started(), PauseChanged(paused=True, time=at(10)))
    assert state.status == "paused"
    assert elapsed_s(state, at(60)) == pytest.approx(10)
    state = fold(state, PauseChanged(paused=False, time=at(100)))
    assert state.status == "running"
    assert elapsed_s(state, at(105)) == pytest.approx(15)
    assert elapsed_s(fold(state, RunEnded(status="finished", time=at(110)))) == pytest.approx(20)


def test_a_computer_whose_clock_is_set_moves_no_time_of_a_run() -> None:
    """Two hours back or forward while the engine goes on: its own clock, which the events are from, does not jump."""
    for hours in (2, -2):
        begun = datetime.now(UTC)
        state, clock = fold_all(started(begun)), RunClock()
        clock.hear(state.last_heard)
        assert elapsed_s(state, clock.now()) == pytest.approx(0, abs=5)
        far = begun + timedelta(hours=hours, seconds=30)
        state = fold(fold_all(started(begun + timedelta(hours=hours))), RemainingTime(seconds=90, time=far))
        clock.hear(state.last_heard)
        assert elapsed_s(state, clock.now()) == pytest.approx(30, abs=5)
        assert remaining_s(state, clock.now()) == pytest.approx(90, abs=5)


def test_a_run_in_another_process_has_gone_on_since_its_last_word() -> None:
    clock = RunClock()
    clock.hear(datetime.now(UTC) - timedelta(minutes=3))
    assert clock.now() - datetime.now(UTC) == pytest.approx(timedelta(0), abs=timedelta(seconds=5))


def test_a_request_shows_before_the_engine_answers() -> None:
    state = with_request(fold_all(started()), "pause")
    assert state.is_pause_requested
    assert state.status == "running"
    state = with_request(state, "cancel")
    assert state.status == "stopping"
    assert fold(state, PauseChanged(paused=True)).status == "stopping"
    assert fold(state, RunEnded(status="cancelled")).status == "cancelled"


def test_remaining_time_follows_the_pace_so_far() -> None:
    estimates = {"load": 10.0, "calibrate": 10.0, "rotate": 10.0, "quantize": 10.0, "export": 10.0, "evaluate": 10.0}
    state = fold_all(started(), StageStarted(stage="load", steps=1, time=at(0)))
    assert remaining_s(state, at(2), estimates) is None
    state = fold(state, StageFinished(stage="load", seconds=20, time=at(20)))
    state = fold(state, StageStarted(stage="calibrate", steps=10, time=at(20)))
    state = fold(state, StageAdvanced(stage="calibrate", step=5, steps=10, time=at(30)))
    # Load took twice its estimate; this stage, skipping four of its steps, is as slow.
    left = remaining_s(state, at(30), estimates)
    assert left is not None
    assert 100 < left < 250


def test_what_the_engine_says_remains_goes_down_with_the_clock_but_not_in_a_pause() -> None:
    state = fold_all(started(), StageStarted(stage="quantize", steps=4, time=at(0)))
    state = fold(state, RemainingTime(seconds=90, time=at(30)))
    assert remaining_s(state, at(30)) == 90
    assert remaining_s(state, at(50)) == 70
    state = fold(state, PauseChanged(paused=True, time=at(50)))
    assert remaining_s(state, at(500)) == 70
    state = fold(state, PauseChanged(paused=False, time=at(500)))
    assert remaining_s(state, at(510)) == 60
    assert remaining_s(state, at(900)) == 0
    assert remaining_s(fold(state, RunEnded(status="finished", time=at(901))), at(901)) is None


def test_a_resumed_run_keeps_what_it_reuses() -> None:
    first = [
        started(),
        StageStarted(stage="calibrate", steps=2),
        ChartSaved(name="activation_map", path="charts/a.npz"),
        Warned(message="No massive tokens."),
        StageFinished(stage="calibrate", seconds=3),
        StageStarted(stage="rotate", steps=2),
        Warned(message="Of no help."),
        Measured(name="rotate/loss", step=0, value=1.0),
        Measured(name="rotate/loss", step=1, value=0.5),
    ]
    second = [
        started(at(100)),
        Warned(message="The folder is replaced."),
        StageFinished(stage="calibrate", reused=True),
        StageStarted(stage="rotate", steps=2),
        Measured(name="rotate/loss", step=0, value=2.0),
    ]
    state = fold_all(*first, *second)
    assert [point.value for point in state.loss] == [2.0]
    assert "activation_map" in state.charts
    assert state.stages[1].status == "reused"
    assert [one.message for one in state.warnings] == ["No massive tokens.", "The folder is replaced."]
    other = fold(state, started(at(200), model="another"))
    assert not other.charts
    assert not other.warnings
    assert not other.loss


def test_blocks_of_an_earlier_run_stay_until_block_zero_comes_anew() -> None:
    blocks = [BlockQuantized(block=k, relative_error={"block": 0.1}, seconds=1, bytes=1) for k in range(3)]
    state = fold_all(started(), *blocks[:2], started(at(9)), blocks[2])
    assert sorted(state.blocks) == [0, 1, 2]
    assert sorted(fold(state, blocks[0]).blocks) == [0]


def test_a_journal_without_an_end_reads_interrupted(tmp_path: Path) -> None:
    assert replay(tmp_path) == RunState()
    events = list(fake_engine.whole_run(tmp_path))[:50]
    write_journal(tmp_path, events)
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"event":"stage_adv')
    state = replay(tmp_path)
    assert state.status == "interrupted"
    assert state.has_stopped_early
    assert "Resume" in state.remedy


def test_a_damaged_journal_shows_what_came_before(tmp_path: Path) -> None:
    write_journal(tmp_path, [started(), Logged(stage="load", message="hello")])
    with (tmp_path / JOURNAL).open("a") as file:
        file.write("rubbish\n")
    assert "hello" in str(replay(tmp_path).log[-1])


def test_twenty_thousand_events_are_cheap_and_the_log_is_bounded() -> None:
    state = fold_all(started())
    begin = time.perf_counter()
    for step in range(20_000):
        state = fold(state, Measured(name="rotate/loss", step=step, value=1.0))
        state = fold(state, Logged(stage="rotate", message="x"))
    # Quadratic folding would take minutes; the limit only tells those two apart.
    assert time.perf_counter() - begin < 20
    assert len(state.loss) == 20_000
    assert len(state.log) <= 2 * MAX_LOG_LINES


def test_words() -> None:
    assert [duration_text(s) for s in (0.4, 45, 252, 7500)] == ["0 s", "45 s", "4 min 12 s", "2 h 05 min"]
    assert [about_text(s) for s in (10, 300, 7800)] == ["less than a minute", "about 5 min", "about 2 h 10 min"]
