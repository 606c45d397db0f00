"""The window and the real engine together, driven as a user drives them, on a random model of six blocks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from dfrot_engine import Recipe
from dfrot_gui.app import make_window
from dfrot_gui.charts.base import Plot
from dfrot_gui.closing import Closing
from dfrot_gui.main_window import RECIPE, RESULTS, RUN, MainWindow
from dfrot_gui.pages.result_page import ResultPage
from dfrot_gui.pages.run_page import RunPage
from dfrot_gui.settings import Settings
from tests.gui.fakes import drop
from tests.gui.user import (
    choose_model,
    choose_output,
    click,
    fill_in_recipe,
    model_page,
    pause_and_resume,
    result_page,
    run_page,
    visible_texts,
)
from tests.tiny_models import save_tiny_model

STAGES = ("load", "calibrate", "rotate", "quantize", "export", "prove", "evaluate")
SERIES = ("none", "random-orthogonal", "hadamard", "dfrot")
NUM_BLOCKS = 6
ENGINE_STARTS_MS = 60_000
RUN_MS = 90_000
CLOSES_MS = 14_000

OpenWindow = Callable[[], MainWindow]


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("models") / "tiny-llama", num_hidden_layers=NUM_BLOCKS)


@pytest.fixture
def answers() -> list[Closing]:
    """What the user will answer when the window is closed while a run goes on, first to last."""
    return []


@pytest.fixture
def open_window(qtbot: QtBot, settings: Settings, answers: list[Closing]) -> Iterator[OpenWindow]:
    opened: list[MainWindow] = []

    def open_one() -> MainWindow:
        window = make_window(settings, lambda _: answers.pop(0))
        opened.append(window)
        window.show()
        return window

    yield open_one
    for window in opened:
        window.runs.stop()
        assert window.runs.wait(CLOSES_MS)
        window.close()
        window.deleteLater()


@pytest.fixture
def window(qtbot: QtBot, open_window: OpenWindow, tiny_model: Path) -> MainWindow:
    """The recipe page, everything chosen, ready to start."""
    window = open_window()
    choose_model(qtbot, window, tiny_model)
    fill_in_recipe(window)
    qtbot.waitUntil(window.recipe_page.start_button.isEnabled, timeout=10_000)
    return window


def test_from_a_folder_to_the_results(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    output = tmp_path / "chosen" / "tiny-w4a4"
    choose_output(window, output)
    qtbot.waitUntil(window.recipe_page.start_button.isEnabled, timeout=10_000)
    click(window.recipe_page.start_button)
    assert window.stack.currentIndex() == RUN
    page = run_page(window)
    seen = watch_stages(window)

    qtbot.waitUntil(lambda: page.stage_bar.current in STAGES[1:], timeout=ENGINE_STARTS_MS)
    assert page.stage_bar.names == STAGES
    assert not window.recipe_page.start_button.isEnabled()
    pause_and_resume(qtbot, window)
    qtbot.waitUntil(lambda: not window.runs.is_active, timeout=RUN_MS)

    assert window.runs.state.status == "finished", window.runs.state.message
    in_order = [STAGES.index(stage) for stage in seen]
    assert in_order == sorted(in_order)
    # A stage of a tiny model may pass between two of the ten looks a second.
    assert len(seen) >= 3
    assert page.stage_bar.done == STAGES
    assert page.progress.value() == page.progress.maximum()
    assert window.stack.currentIndex() == RESULTS
    assert_numbers(result_page(window), json.loads((output / "report.json").read_text(encoding="utf-8")))
    assert_charts(page, result_page(window))
    assert_saved([page.loss, page.errors, page.map, page.blocks, result_page(window).by_block], tmp_path)
    assert_loads(output)


def test_a_stopped_run_goes_on_where_it_was(qtbot: QtBot, window: MainWindow) -> None:
    click(window.recipe_page.start_button)
    page = run_page(window)
    qtbot.waitUntil(lambda: bool(window.runs.state.blocks), timeout=ENGINE_STARTS_MS)
    click(page.stop_button)
    qtbot.waitUntil(lambda: not window.runs.is_active, timeout=CLOSES_MS)
    assert window.runs.state.status == "cancelled"
    assert window.stack.currentIndex() == RUN
    # So small a model may be further before the stop arrives.
    done = page.stage_bar.done
    assert done == STAGES[: len(done)]
    assert 3 <= len(done) < len(STAGES)
    assert page.banner.resume_button.isVisible()
    assert len(page.loss.table().rows) > 1

    click(page.banner.resume_button)
    assert not page.banner.isVisible()
    assert page.errors.kinds == SERIES, "what was measured stays on the screen"
    qtbot.waitUntil(lambda: len(page.stage_bar.done) >= len(done), timeout=ENGINE_STARTS_MS)
    assert page.stage_bar.done[: len(done)] == done, "stages that are kept are ticked as well"
    qtbot.waitUntil(lambda: not window.runs.is_active, timeout=RUN_MS)
    assert page.stage_bar.done == STAGES
    kept = [stage.name for stage in window.runs.state.stages if stage.status == "reused"]
    assert kept == list(done[1:])
    assert page.log.toPlainText().count("kept from an earlier run") == len(kept)
    assert sorted(window.runs.state.blocks) == list(range(NUM_BLOCKS))
    assert window.stack.currentIndex() == RESULTS
    assert "→" in result_page(window).kpi("Perplexity").accessibleName()


def test_closing_asks_stops_and_the_next_window_resumes(
    qtbot: QtBot, window: MainWindow, open_window: OpenWindow, answers: list[Closing], tiny_model: Path
) -> None:
    before = set(psutil.Process().children(recursive=True))
    click(window.recipe_page.start_button)
    page = run_page(window)
    qtbot.waitUntil(lambda: "calibrate" in page.stage_bar.done, timeout=ENGINE_STARTS_MS)
    answers.append("stay")
    window.close()
    assert window.isVisible()
    assert window.runs.state.status == "running"
    answers.append("stop")
    window.close()
    assert window.isVisible(), "until the engine has saved its work"
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=CLOSES_MS)
    assert set(psutil.Process().children(recursive=True)) <= before

    again = open_window()
    qtbot.waitUntil(again.notice.isVisible, timeout=5_000)
    assert tiny_model.name in again.notice.text
    click(again.notice.button)
    assert again.stack.currentIndex() == RUN
    assert not again.notice.isVisible()
    qtbot.waitUntil(lambda: not again.runs.is_active, timeout=RUN_MS)
    assert again.runs.state.status == "finished", again.runs.state.message
    assert run_page(again).stage_bar.done == STAGES
    assert again.runs.state.stages[1].status == "reused"
    again.close()
    third = open_window()
    qtbot.wait(50)
    assert not third.notice.isVisible(), "nothing is left to resume"


def test_an_unsupported_model_is_refused_with_a_remedy(
    qtbot: QtBot, open_window: OpenWindow, tiny_model: Path, tmp_path: Path
) -> None:
    folder = other_architecture(tiny_model, tmp_path / "gpt-neo")
    window = open_window()
    facts = model_page(window).facts
    drop(model_page(window), folder)
    qtbot.waitUntil(lambda: "'gpt_neo' is not supported" in facts.notice.text, timeout=10_000)
    assert "llama" in facts.notice.text, "the remedy names what is supported"
    assert not facts.use_button.isEnabled()

    recipe = tmp_path / "recipe.toml"
    Recipe.preset("w4a4").with_field("model.id_or_path", str(folder)).save(recipe)
    window.go_to(RECIPE)
    window.recipe_page.load(recipe)
    qtbot.waitUntil(lambda: bool(window.recipe_page.problem_list.problems), timeout=10_000)
    assert any("'gpt_neo' is not supported" in text for text in visible_texts(window.recipe_page.problem_list))
    assert_cannot_start(window)


def test_an_occupied_output_folder_is_explained_beside_its_field(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    occupied = tmp_path / "thesis"
    occupied.mkdir()
    (occupied / "chapter-1.txt").write_text("years of work", encoding="utf-8")
    choose_output(window, occupied)
    page = window.recipe_page
    qtbot.waitUntil(lambda: any("is not empty" in text for text in visible_texts(page.output)), timeout=10_000)
    assert any("Choose another folder" in text for text in visible_texts(page.output))
    assert_cannot_start(window)
    assert page.output.overwrite.isVisible()
    click(page.output.overwrite)
    qtbot.waitUntil(page.start_button.isEnabled, timeout=10_000)
    assert any("will be deleted" in text for text in visible_texts(page.output))
    choose_output(window, tmp_path / "elsewhere")
    qtbot.waitUntil(page.start_button.isEnabled, timeout=10_000)
    assert not window.recipe.options.overwrite, "the permission was for the other folder"
    assert (occupied / "chapter-1.txt").is_file()


def watch_stages(window: MainWindow) -> list[str]:
    """The stages that are lit from now on, one after the other."""
    seen: list[str] = []
    bar = run_page(window).stage_bar

    def note() -> None:
        if bar.current and bar.current not in seen[-1:]:
            seen.append(bar.current)

    window.runs.changed.connect(note)
    return seen


def assert_cannot_start(window: MainWindow) -> None:
    button = window.recipe_page.start_button
    assert not button.isEnabled()
    QTest.keyClick(window.recipe_page, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert window.stack.currentIndex() == RECIPE
    assert not window.runs.is_active


def assert_numbers(page: ResultPage, report: dict) -> None:
    values = report["perplexity_original"], report["perplexity_quantized"]
    before, after = (f"{value:.2f}" if value < 1_000 else f"{value:,.0f}" for value in values)
    assert f"{before} → {after}" in page.kpi("Perplexity").accessibleName()
    agreement = page.kpi("Same top choice").accessibleName()
    assert f"{100 * report['top1_agreement']:.1f} %" in agreement
    assert f"{report['kl_divergence']:.3g} nats" in agreement
    assert f"from {before} to {after}" in page.verdict_text()


def assert_charts(run: RunPage, results: ResultPage) -> None:
    assert run.errors.kinds == results.errors.kinds == SERIES
    assert all(len(one.rank) > 100 for one in results.errors.errors.series.values())  # type: ignore[union-attr]
    for chart in (run.map, results.map):
        assert chart.map is not None
        assert chart.map.value.shape == (NUM_BLOCKS, 64)
        assert chart.drawn().max() > 0
    losses = [float(loss) for _, loss in run.loss.table().rows]
    assert len(losses) > 2
    assert min(losses) < losses[0], "the rotation was refined"
    assert len(run.blocks.table().rows) >= NUM_BLOCKS
    assert run.blocks.names()[-1] == "block"


def assert_saved(charts: list[Plot], folder: Path) -> None:
    for number, chart in enumerate(charts):
        for suffix, least in (("png", 1_000), ("svg", 1_000), ("csv", 60)):
            path = folder / f"chart-{number}.{suffix}"
            chart.save(path)
            assert path.stat().st_size > least, f"{chart.title} as {suffix}"


def assert_loads(folder: Path) -> None:
    """By a program that knows nothing of this one."""
    code = (
        "import torch; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"folder = {str(folder)!r}\n"
        "ids = AutoTokenizer.from_pretrained(folder)('What a rotation keeps', return_tensors='pt').input_ids\n"
        "logits = AutoModelForCausalLM.from_pretrained(folder)(ids).logits\n"
        "assert logits.shape[-1] == 384 and torch.isfinite(logits).all()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def other_architecture(model: Path, folder: Path) -> Path:
    """The same files under the name of an architecture that has no table."""
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"architectures": ["GPTNeoForCausalLM"], "model_type": "gpt_neo"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
