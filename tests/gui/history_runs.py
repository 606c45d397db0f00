"""Past runs as the engine leaves them, made of the fake engine's events; and a page that shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from dfrot_engine import BlockQuantized, Evaluated, Event, Measured, Recipe, RunEnded, RunInfo, RunOptions, RunStarted
from dfrot_engine.charts import TOKEN_ERROR
from dfrot_engine.events import JOURNAL
from dfrot_engine.run_index import RunNote, keep_note, note_of, read_notes
from dfrot_gui.pages.history_page import HistoryPage
from tests.gui import fake_engine

WIDE = 1100
NOON = datetime(2026, 9, 14, 12, tzinfo=UTC)
SMALL, LARGE = "HuggingFaceTB/SmolLM2-135M", "Qwen/Qwen3-0.6B"


@dataclass(frozen=True)
class Past:
    """What a run came to."""

    name: str
    preset: str = "w4a4"
    model: str = SMALL
    status: Literal["finished", "cancelled", "failed", "killed"] = "finished"
    perplexity: float = 21.84
    divergence: float = 0.182
    num_bytes: int = 98_000
    started: datetime = NOON
    seconds: float = 312.0
    rotation: str = "dfrot"
    scale: float = 1.0


def save_past(root: Path, past: Past) -> RunNote:
    """A run with its output folder `root/name` and its work folder beside it, on the list."""
    output = root / past.name
    options = RunOptions(output_dir=output)
    recipe = Recipe.preset(past.preset).with_field("model.id_or_path", past.model)
    recipe = recipe.with_field("rotation.r1.kind", past.rotation)
    work = options.work_path
    fake_engine.write_work_folder(work, recipe.to_toml(), options)
    _scale_errors(work / "charts" / "token_error.npz", past)
    events = list(_events(output, past))
    (work / JOURNAL).write_text("".join(event.model_dump_json() + "\n" for event in events), encoding="utf-8")
    if past.status == "finished":
        output.mkdir(parents=True, exist_ok=True)
        (output / "model.safetensors").open("wb").truncate(past.num_bytes)  # sparse: no disk is filled
    note = note_of(past.model, recipe, options).model_copy(update={"started": past.started})
    keep_note(note)
    return note


def _events(output: Path, past: Past) -> Iterator[Event]:
    events = list(fake_engine.whole_run(output))
    if past.status != "finished":
        events = events[:170]
    for number, event in enumerate(events):
        moment = past.started + timedelta(seconds=past.seconds * number / len(events))
        yield _changed(event, past).model_copy(update={"time": moment})
    if past.status in ("cancelled", "failed"):
        message = "Stopped on request." if past.status == "cancelled" else "The disk is full."
        moment = past.started + timedelta(seconds=past.seconds)
        yield RunEnded(status="cancelled" if past.status == "cancelled" else "failed", message=message, time=moment)


def _changed(event: Event, past: Past) -> Event:
    if isinstance(event, RunStarted):
        return event.model_copy(update={"model": past.model, "recipe_name": past.preset})
    if isinstance(event, Evaluated):
        value = {"perplexity": past.perplexity, "kl_divergence": past.divergence}.get(event.metric, event.value)
        return event.model_copy(update={"value": value})
    if isinstance(event, Measured) and event.name == "rotate/loss":
        return event.model_copy(update={"value": event.value * past.scale})
    if isinstance(event, BlockQuantized):
        errors = {name: error * past.scale for name, error in event.relative_error.items()}
        return event.model_copy(update={"relative_error": errors})
    return event


def _scale_errors(path: Path, past: Past) -> None:
    """The recipe's own rotation under its own name, its errors changed by the scale."""
    assert path.stem == TOKEN_ERROR
    with np.load(path) as file:
        arrays = dict(file)
    kinds = [past.rotation if kind == "dfrot" else kind for kind in arrays["names"].tolist()]
    arrays = {
        key.replace("dfrot/", f"{past.rotation}/"): value * past.scale if key == "dfrot/error" else value
        for key, value in arrays.items()
    }
    np.savez(path, allow_pickle=False, **(arrays | {"names": np.array(kinds)}))


def save_history(root: Path) -> tuple[RunNote, ...]:
    """A list as it looks after a few weeks."""
    day = timedelta(days=1)
    runs = (
        Past("smol-w8a8", "w8a8", perplexity=17.92, divergence=0.014, num_bytes=163_500_000, seconds=97, scale=0.12),
        Past("smol-w4a16", "w4a16", perplexity=20.31, divergence=0.121, num_bytes=118_000_000, scale=0.7,
             started=NOON + 2 * day, seconds=401),
        Past("smol-w4a4-rh", perplexity=28.4, divergence=0.412, num_bytes=98_200_000, rotation="hadamard", scale=1.6,
             started=NOON + 3 * day, seconds=108),
        Past("smol-w4a4", perplexity=21.84, num_bytes=98_100_000, rotation="descent", started=NOON + 4 * day),
        Past("qwen-w8a8", "w8a8", model=LARGE, perplexity=18.55, divergence=0.02, num_bytes=611_000_000,
             started=NOON + 9 * day, seconds=1_312),
        Past("qwen-w4a4", model=LARGE, status="cancelled", started=NOON + 10 * day, seconds=655),
        Past("qwen-w4a8", "w4a8", model=LARGE, status="failed", started=NOON + 10.4 * day, seconds=71),
        Past("qwen-w4a4-2", model=LARGE, status="killed", started=NOON + 11 * day, seconds=2_020),
        Past("smol-w4a8", "w4a8", perplexity=20.6, divergence=0.131, num_bytes=98_900_000, scale=0.8,
             started=NOON + 12 * day, seconds=377),
    )  # fmt: skip
    notes = tuple(save_past(root, past) for past in runs)
    gone = notes[0].model_copy(update={"work_dir": root / "gone.dfrot", "output_dir": root / "gone"})
    keep_note(gone.model_copy(update={"started": NOON - 20 * day}))
    return notes


class Confirm:
    """Answers questions before something is deleted, and remembers them."""

    def __init__(self) -> None:
        self.answer = True
        self.asked: list[str] = []

    def __call__(self, parent: QWidget, title: str, text: str) -> bool:
        self.asked.append(f"{title}\n{text}")
        return self.answer


def shown(qtbot: QtBot, page: HistoryPage, count: int | None = None) -> HistoryPage:
    qtbot.addWidget(page)
    page.resize(WIDE, 700)
    page.show()
    page.activateWindow()
    settle(qtbot, page, count)
    return page


def settle(qtbot: QtBot, page: HistoryPage, count: int | None = None) -> None:
    history = page._history
    wanted = len(read_notes(lambda _: None)) if count is None else count
    qtbot.waitUntil(
        lambda: history.is_loaded and not history.is_busy and len(history.table.runs) == wanted, timeout=10_000
    )


def names(page: HistoryPage) -> list[str]:
    return [run.output_dir.name for run in page.shown.runs()]


def choose(page: HistoryPage, *rows: int) -> list[RunInfo]:
    page.list.clearSelection()
    for row in rows:
        flag = page.list.selectionModel().SelectionFlag
        page.list.selectionModel().select(page.shown.index(row, 0), flag.Select | flag.Rows)
    return page.list.selected()
