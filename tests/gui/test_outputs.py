"""Several outputs of one run, and trying one of them with a runtime."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from dfrot_engine import Recipe, RunEnded
from dfrot_engine.serve_check.environments import Environment
from dfrot_gui.pages.output_choice import OutputChoice
from dfrot_gui.pages.result_page import TEXT, USE, ResultPage
from dfrot_gui.run_model import RunModel
from tests.gui import fake_engine
from tests.gui.fakes import assert_uncut
from tests.gui.test_result_panels import arguments, show
from tests.gui.test_run_page import past_run
from tests.gui.user import click

MakePage = Callable[..., ResultPage]
#: Two of one kind, and a GGUF file.
EXPORTS = [
    {"kind": "compressed-tensors"},
    {"kind": "compressed-tensors", "subfolder": "again"},
    {"kind": "gguf-f16", "subfolder": "gguf"},
]


@pytest.fixture
def make_page(qtbot: QtBot, tmp_path: Path) -> Iterator[MakePage]:
    """The page of a finished run that wrote three outputs."""
    pages: list[ResultPage] = []

    def make(behave: str = "slow", num_outputs: int = 3) -> ResultPage:
        exports = EXPORTS[:num_outputs]
        folders = tuple(str(tmp_path / "out" / one.get("subfolder", "")) for one in exports)
        for folder in folders:
            fake_engine.write_output(Path(folder))
        work_dir = past_run(tmp_path, end=RunEnded(status="finished", outputs=folders))
        Recipe.load(work_dir / "recipe.toml").with_field("exports", exports).save(work_dir / "recipe.toml")
        runs = RunModel()
        page = ResultPage(runs, (sys.executable, fake_engine.__file__, "--behave", behave))
        pages.append(page)
        qtbot.addWidget(page)
        page.resize(1_136, 880)
        page.show()
        runs.open(work_dir)
        return page

    yield make
    for page in pages:
        for side in page._sides:
            side.close()


def choose(choice: OutputChoice, name: str) -> None:
    choice.setCurrentIndex(choice.findText(name))


def names(choice: OutputChoice) -> list[str]:
    return [choice.itemText(place) for place in range(choice.count())]


def test_what_is_done_is_done_with_the_chosen_output(qtbot: QtBot, make_page: MakePage, tmp_path: Path) -> None:
    page = make_page("whole")
    show(page, USE)
    share = page.share
    assert share.choice.isVisible()
    assert names(share.choice) == ["compressed-tensors", "compressed-tensors in again", "gguf-f16"]
    with qtbot.waitSignal(share.checking.ended, timeout=20_000):
        click(share.check_button)
        assert not share.choice.isEnabled()
    assert share.check_result.isVisible()
    choose(share.choice, "compressed-tensors in again")
    assert not share.check_result.isVisible()  # it was about the other one
    with qtbot.waitSignal(share.checking.ended, timeout=20_000):
        click(share.check_button)
    assert arguments(tmp_path / "out", "verify")[3] == str(tmp_path / "out" / "again")
    share.repo.setText("me/small")
    with qtbot.waitSignal(share.pushing.ended, timeout=20_000):
        click(share.push_button)
    assert arguments(tmp_path / "out", "push")[3] == str(tmp_path / "out" / "again")
    assert {one.export for one in share.shown_verdicts()} == set(names(share.choice))
    qtbot.wait(100)  # for the layout
    assert_uncut(page)


def test_the_text_is_asked_of_the_chosen_output(qtbot: QtBot, make_page: MakePage, tmp_path: Path) -> None:
    page = make_page("whole")
    show(page, TEXT)
    choose(page.text.choice, "gguf-f16")
    with qtbot.waitSignal(page.text.process.ended, timeout=20_000):
        click(page.text.ask_button)
    assert arguments(tmp_path / "out", "generate")[3] == str(tmp_path / "out" / "gguf")
    assert page.text.choice.currentText() == "gguf-f16"  # it stays


def test_a_single_output_leaves_no_choice(make_page: MakePage, tmp_path: Path) -> None:
    page = make_page(num_outputs=1)
    show(page, USE)
    assert not page.share.choice.isVisible()
    assert page.share.choice.folder == str(tmp_path / "out")
    assert not page.text.choice.isVisibleTo(page.text)


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        ("whole", "transformers differs by +0.27 % from the engine's quantized forward, within the 2 % allowed."),
        ("failed", "transformers differs by +100.00 % from the engine's quantized forward, beyond the 2 % allowed."),
    ],
)
def test_a_runtime_tries_the_files(
    qtbot: QtBot, make_page: MakePage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, behave: str, words: str
) -> None:
    monkeypatch.setattr(Environment, "state", "ready")
    page = make_page(behave)
    show(page, USE)
    card = page.share.serve
    assert [card.runtime.itemText(place) for place in range(card.runtime.count())] == ["transformers", "vllm-cpu"]
    with qtbot.waitSignal(card.process.ended, timeout=20_000):
        click(card.try_button)
        assert not page.share.choice.isEnabled()
    assert arguments(tmp_path, "serve-check")[2:] == [
        "serve-check",
        str(tmp_path / "out"),
        "--runtime=transformers",
        "--yes",
        "--json",
        "--stdin-commands",
    ]
    assert card.result.text.startswith(words)
    assert "Compared with the engine's quantized forward, 21.840" in card.result.text
    assert not card.trust.isVisible()  # no R4
    choose(page.share.choice, "gguf-f16")
    assert not card.result.isVisible()
    assert [card.runtime.itemText(place) for place in range(card.runtime.count())] == ["llama.cpp", "openvino"]


@pytest.mark.parametrize("answer", [True, False])
def test_nothing_is_installed_unasked(
    qtbot: QtBot, make_page: MakePage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: bool
) -> None:
    monkeypatch.setattr(Environment, "state", "missing")
    asked: list[str] = []

    def exec_(box: QMessageBox) -> QMessageBox.StandardButton:
        asked.append(box.text() + box.informativeText())
        return QMessageBox.StandardButton.Yes if answer else QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "exec", exec_)
    page = make_page("whole")
    show(page, USE)
    card = page.share.serve
    click(card.try_button)
    assert "transformers is not installed" in asked[0]
    assert "1.2 GB" in asked[0]
    if answer:
        qtbot.waitUntil(lambda: not card.process.is_active and card.result.isVisible(), timeout=20_000)
        assert "--yes" in json.loads((tmp_path / "serve-check.args").read_text())
    else:
        assert not card.process.is_active
        assert not (tmp_path / "serve-check.args").exists()
