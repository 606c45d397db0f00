"""What the Results page does with a run's files: texts, the sensitivity map, checks, uploads, reports."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QMessageBox
from pytestqt.qtbot import QtBot

from dfrot_engine import Recipe
from dfrot_gui.charts.sensitivity_map import SensitivityMap
from dfrot_gui.pages.result_page import SENSITIVITY, TEXT, USE, ResultPage
from dfrot_gui.pages.save_report import ask_and_save
from dfrot_gui.pages.sensitivity_panel import NOT_RAISED
from dfrot_gui.pages.text_panel import NO_FILES, num_common
from dfrot_gui.run_model import RunModel
from dfrot_gui.theme import Theme
from tests.engine.runs import run_tiny, tiny_recipe
from tests.gui import fake_engine, fake_side
from tests.gui.fakes import assert_uncut
from tests.gui.test_run_page import past_run
from tests.gui.user import click
from tests.tiny_models import save_tiny_model

MakePage = Callable[..., ResultPage]


@pytest.fixture
def make_page(qtbot: QtBot, tmp_path: Path) -> Iterator[MakePage]:
    """The page of a finished run, with the fake engine behind it."""
    pages: list[ResultPage] = []

    def make(behave: str = "slow", *, has_run: bool = True) -> ResultPage:
        runs = RunModel()
        page = ResultPage(runs, (sys.executable, fake_engine.__file__, "--behave", behave))
        pages.append(page)
        qtbot.addWidget(page)
        page.resize(1_136, 880)
        page.show()
        if has_run:
            fake_engine.write_output(tmp_path / "out")
            runs.open(past_run(tmp_path))
        return page

    yield make
    for page in pages:
        for side in page._sides:
            side.close()


def show(page: ResultPage, view: str) -> None:
    click(next(one for one in page.views.buttons if one.text() == view))


def arguments(folder: Path, command: str) -> list[str]:
    """What the engine was told."""
    return json.loads((folder / f"{command}.args").read_text(encoding="utf-8"))


def test_both_models_write_side_by_side(qtbot: QtBot, make_page: MakePage, tmp_path: Path) -> None:
    page = make_page()
    show(page, TEXT)
    panel = page.text
    assert panel.answers["original"].isVisible()
    panel.prompt.setPlainText("Why is the sky blue?\nShortly.")
    panel.tokens.setValue(40)
    panel.temperature.setValue(0.7)
    panel.seed.setValue(3)
    panel.chat.setChecked(False)
    with qtbot.waitSignal(panel.process.ended, timeout=20_000):
        click(panel.ask_button)
        assert panel.stop_button.isVisible()
        assert not panel.ask_button.isVisible()
        qtbot.waitUntil(
            lambda: 8 < len(panel.answers["quantized"].toPlainText()) < len(fake_side.QUANTIZED), timeout=20_000
        )
        assert fake_side.ORIGINAL.startswith(panel.answers["original"].toPlainText())
    assert panel.answers["original"].toPlainText() == fake_side.ORIGINAL
    assert panel.answers["quantized"].toPlainText() == fake_side.QUANTIZED
    assert panel.notes["original"].text() == "16 tokens · 8.0 a second"
    assert panel.notes["quantized"].text() == "16 tokens, cut off · 8.0 a second"
    assert panel.line.text().startswith("The same for the first 43 characters; from there on they differ.")
    selections = panel.answers["original"].extraSelections()
    cursor = selections[0].cursor  # pyright: ignore[reportAttributeAccessIssue]
    marked = cursor.selectedText()
    assert fake_side.ORIGINAL[:43] + marked == fake_side.ORIGINAL
    assert panel.ask_button.isVisible()
    assert page.report().tables["Texts"].rows == (
        ("Prompt", "Why is the sky blue?\nShortly."),
        ("Original", fake_side.ORIGINAL),
        ("Quantized", fake_side.QUANTIZED),
    )
    told = arguments(tmp_path, "generate")
    assert told[2:4] == ["generate", str(tmp_path / "out")]
    assert {
        "--prompt=Why is the sky blue?\nShortly.",
        "--tokens=40",
        "--temperature=0.7",
        "--seed=3",
        "--plain",
        "--original=sample",
        "--stdin-commands",
    } <= set(told)
    qtbot.wait(100)  # for the layout
    assert_uncut(page)


def test_stop_ends_the_texts_and_keeps_what_is_there(qtbot: QtBot, make_page: MakePage) -> None:
    page = make_page()
    show(page, TEXT)
    panel = page.text
    with qtbot.waitSignal(panel.process.ended, timeout=20_000):
        click(panel.ask_button)
        qtbot.waitUntil(lambda: len(panel.answers["original"].toPlainText()) > 4)
        click(panel.stop_button)
    assert panel.process.state.status == "cancelled"
    assert 4 < len(panel.answers["original"].toPlainText()) < len(fake_side.ORIGINAL)
    assert panel.ask_button.isEnabled()


def test_a_folder_that_cannot_be_read_is_told(qtbot: QtBot, make_page: MakePage) -> None:
    page = make_page("failed")
    show(page, TEXT)
    with qtbot.waitSignal(page.text.process.ended, timeout=20_000):
        click(page.text.ask_button)
    assert page.text.notice.text.startswith("You are not signed in")


def test_nothing_can_be_asked_without_files_or_a_prompt(make_page: MakePage) -> None:
    page = make_page(has_run=False)
    assert not page.text.ask_button.isEnabled()
    assert page.text.ask_button.toolTip() == NO_FILES
    page = make_page()
    assert page.text.ask_button.isEnabled()
    page.text.prompt.setPlainText("  ")
    assert not page.text.ask_button.isEnabled()


def test_another_run_forgets_the_texts(qtbot: QtBot, make_page: MakePage, tmp_path: Path) -> None:
    page = make_page()
    show(page, TEXT)
    click(page.text.ask_button)
    qtbot.waitUntil(lambda: len(page.text.answers["original"].toPlainText()) > 4)
    other = tmp_path / "other"
    fake_engine.write_output(other / "out")
    page._model.open(past_run(other))
    assert page.text.answers["original"].toPlainText() == ""
    qtbot.waitUntil(lambda: not page.text.process.is_active, timeout=10_000)
    assert page.text.answers["original"].toPlainText() == ""
    assert page.text.ask_button.isEnabled()


def test_how_far_texts_agree() -> None:
    assert num_common("abc", "abd") == 2
    assert num_common("abc", "ab") == 2
    assert num_common("", "ab") == 0


def test_the_map_marks_what_is_raised_together(qtbot: QtBot, make_page: MakePage) -> None:
    page = make_page()
    show(page, SENSITIVITY)
    panel = page.sensitivity
    assert panel.map.isHidden() or not panel.map.isVisible()
    with qtbot.waitSignal(panel.process.ended, timeout=20_000):
        click(panel.measure_button)
        qtbot.waitUntil(lambda: panel.bar.isVisible() and panel.bar.value() > 0)
        assert panel.line.text().startswith("Block ")
    assert panel.table.view.model().rowCount() == 30 * len(fake_side.KINDS)
    assert not panel.recipe_button.isEnabled()
    panel.map.clicked.emit(fake_side.name_of(3, "self_attn.k_proj"))
    names = {fake_side.name_of(3, f"self_attn.{letter}_proj") for letter in "qkv"}
    assert panel.map.marked() == names
    assert panel.marks_line.text().startswith("3 linears marked")
    assert "4.00 → 4.06 bits" in panel.marks_line.text()
    panel.map.clicked.emit(fake_side.name_of(0, "mlp.down_proj"))
    with qtbot.waitSignal(page.recipe_wanted) as wanted:
        click(panel.recipe_button)
    recipe = wanted.args[0]  # pyright: ignore[reportOptionalSubscript]
    assert isinstance(recipe, Recipe)
    assert recipe.name == "w4a4, 4.08 bits"
    assert {one.linears for one in recipe.overrides} >= {*names, fake_side.name_of(0, "mlp.down_proj")}
    weights = recipe.schemes(fake_side.name_of(3, "self_attn.q_proj")).weights
    assert weights is not None
    assert weights.format == "int8"
    panel.map.clicked.emit(fake_side.name_of(3, "self_attn.q_proj"))
    assert panel.map.marked() == {fake_side.name_of(0, "mlp.down_proj")}
    panel.map.clicked.emit("lm_head")
    assert panel._map_card.subtitle_label.text() == NOT_RAISED
    click(panel.clear_button)
    assert panel.map.marked() == frozenset()
    qtbot.wait(100)  # for the layout
    assert_uncut(page)


def test_the_worst_are_marked_up_to_an_average(qtbot: QtBot, make_page: MakePage) -> None:
    page = make_page("whole")
    show(page, SENSITIVITY)
    panel = page.sensitivity
    with qtbot.waitSignal(panel.process.ended, timeout=20_000):
        click(panel.measure_button)
    panel.bits.setValue(4.04)
    click(panel.worst_button)
    assert panel.map.marked() == {fake_side.name_of(block, "mlp.down_proj") for block in (0, 29)}


def test_a_click_on_a_cell_says_which(qtbot: QtBot) -> None:
    chart = SensitivityMap()
    qtbot.addWidget(chart)
    chart.resize(900, 300)
    chart.show()
    chart.set_result(fake_side.sensitivity_result())
    assert chart._image.image is not None
    assert chart._image.image.shape == (7, 30)
    assert "block 4 · v_proj" in chart.readout(4.2, 1.9)
    assert "0.004 nats" in chart.readout(4.2, 1.9)
    assert chart.readout(4.2, 7.9) == chart.readout(-3.0, 1.0) == ""

    class Click:
        def scenePos(self) -> QPointF:  # noqa: N802
            return chart.view.mapViewToScene(QPointF(29.0, 6.0))

    with qtbot.waitSignal(chart.clicked) as clicked:
        chart._mouse_clicked(Click())
    assert clicked.args == [fake_side.name_of(29, "mlp.down_proj")]
    chart.set_marked([fake_side.name_of(29, "mlp.down_proj")])
    assert "marked for 8" in chart.readout(29.0, 6.0)
    assert list(chart._marks.getData()[0]) == [29]  # pyright: ignore[reportArgumentType]
    chart.set_result(None)
    assert chart.readout(29.0, 6.0) == ""


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        ("whole", "Everything that could be checked is right (1 of 2 checks done). Files are as written: passed."),
        ("failed", "It is not what was written. Do not use it. Files are as written: FAILED. config.json has changed"),
    ],
)
def test_the_files_are_checked_again(qtbot: QtBot, make_page: MakePage, behave: str, words: str) -> None:
    page = make_page(behave)
    show(page, USE)
    with qtbot.waitSignal(page.share.checking.ended, timeout=20_000):
        click(page.share.check_button)
    assert page.share.check_result.text.startswith(words)


def test_a_push_is_private_and_asks_for_a_name(qtbot: QtBot, make_page: MakePage, tmp_path: Path) -> None:
    page = make_page()
    show(page, USE)
    share = page.share
    assert not share.push_button.isEnabled()
    share.repo.setText("me/small")
    with qtbot.waitSignal(share.pushing.ended, timeout=20_000):
        click(share.push_button)
        qtbot.waitUntil(lambda: share.bar.value() > 0)
        assert share.push_line.text() == "model.safetensors (98 MB)"
    assert share.push_result.text == f"Pushed to {fake_side.PAGE}."
    assert share.push_result.button.isVisible()
    assert arguments(tmp_path, "push")[2:] == [
        "push",
        str(tmp_path / "out"),
        "--repo=me/small",
        "--json",
        "--stdin-commands",
    ]
    share.private.setChecked(False)
    share.replace.setChecked(True)
    with qtbot.waitSignal(share.pushing.ended, timeout=20_000):
        click(share.push_button)
    assert {"--public", "--yes"} <= set(arguments(tmp_path, "push"))
    qtbot.wait(100)  # for the layout
    assert_uncut(page)


def test_a_refused_push_is_a_sentence(qtbot: QtBot, make_page: MakePage) -> None:
    page = make_page("failed")
    show(page, USE)
    page.share.repo.setText("me/small")
    with qtbot.waitSignal(page.share.pushing.ended, timeout=20_000):
        click(page.share.push_button)
    assert page.share.push_result.text == "You are not signed in to the Hub. Run `hf auth login`."
    assert not page.share.push_result.button.isVisible()


def test_commands_that_serve_it_are_copied(make_page: MakePage) -> None:
    page = make_page()
    show(page, USE)
    assert page.share.verdicts.texts()
    assert page.share.verdicts.copy_buttons
    assert all(button.isVisible() for button in page.share.verdicts.copy_buttons)


def test_the_recipe_goes_back_to_be_changed(qtbot: QtBot, make_page: MakePage) -> None:
    page = make_page()
    with qtbot.waitSignal(page.recipe_wanted) as wanted:
        click(page.again_button)
    assert wanted.args == [page._model.recipe]


def choose(monkeypatch: pytest.MonkeyPatch, path: Path, kind: str = "") -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), kind))


def test_the_html_report_stands_alone(make_page: MakePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = make_page()
    Theme.get().set_mode("dark")
    choose(monkeypatch, tmp_path / "r.html")
    click(page.report_button)
    assert Theme.get().t.name == "dark"
    pictures = page.report().pictures
    Theme.get().set_mode("light")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    for words in ("17.65 → 21.84", "Perplexity rises from 17.65", "vllm serve", "[calibration]", "Row 17 had no"):
        assert words in text
    assert text.count("<img src='data:image/png;base64,") == 3
    assert "<img src='p" not in text
    image = QImage.fromData(pictures["Massive activations"])
    assert image.pixelColor(2, image.height() - 2).lightness() > 200  # of the light theme


def test_the_pdf_report_has_pages(make_page: MakePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = make_page()
    choose(monkeypatch, tmp_path / "r", "PDF document (*.pdf)")
    click(page.report_button)
    data = (tmp_path / "r.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", data)) >= 3
    assert len(re.findall(rb"/Subtype /Image\b", data)) >= 3


def test_a_report_that_cannot_be_written_is_told(
    make_page: MakePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(QMessageBox, "warning", lambda *words: told.append(words[-1]))
    page = make_page()
    (tmp_path / "file").touch()
    for suffix in ("html", "pdf"):
        choose(monkeypatch, tmp_path / "file" / f"r.{suffix}")
        assert ask_and_save(page, page.report(), "report") is None
    assert len(told) == 2
    assert all("could not be written" in words for words in told)


def test_a_real_pair_of_tiny_models_answers(qtbot: QtBot, tmp_path: Path) -> None:
    """The whole way: a run, its page, the engine as a process."""
    model = save_tiny_model("llama", tmp_path / "model")
    ended, _ = run_tiny(tiny_recipe(model, rotation__r1__kind="hadamard"), tmp_path / "out")
    assert ended.status == "finished", ended
    runs = RunModel()
    runs.open(tmp_path / "out.dfrot")
    page = ResultPage(runs)
    qtbot.addWidget(page)
    page.resize(1_136, 880)
    page.show()
    show(page, TEXT)
    page.text.tokens.setValue(12)
    page.text.prompt.setPlainText("once upon a time")
    with qtbot.waitSignal(page.text.process.ended, timeout=120_000):
        click(page.text.ask_button)
    result = page.text.process.state.generation
    assert result is not None, page.text.process.state.message
    for answer in result.answers:
        assert page.text.answers[answer.side].toPlainText() == answer.text != ""
