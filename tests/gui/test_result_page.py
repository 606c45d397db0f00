"""The result page: numbers in words, honesty, files; and what it says when there is nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import islice
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QApplication
from pytestqt.qtbot import QtBot

from dfrot_engine import Evaluated, ProofRow, Proved, Recipe, RunEnded, StageStarted
from dfrot_engine.charts import TokenErrors
from dfrot_engine.proof.types import ProofCheck
from dfrot_gui import result_words
from dfrot_gui.pages.result_page import ResultPage
from dfrot_gui.result_words import headline, is_lossy, massive_error_kpi, size_kpi, snippets, verdict
from dfrot_gui.run_model import RunModel
from dfrot_gui.run_state import RunState, fold
from dfrot_gui.theme import Theme
from tests.gui import fake_engine
from tests.gui.test_run_page import past_run


@pytest.fixture
def runs(qtbot: QtBot) -> RunModel:
    Theme.get().install(QApplication.instance())  # type: ignore[arg-type]
    return RunModel()


@pytest.fixture
def page(qtbot: QtBot, runs: RunModel) -> ResultPage:
    page = ResultPage(runs)
    qtbot.addWidget(page)
    page.resize(1_136, 880)
    page.show()
    return page


def with_errors(**means: tuple[float, float]) -> TokenErrors:
    """Errors with the given (mean, massive mean); underscores in names stand for hyphens."""
    one = fake_engine.token_errors().series["dfrot"]
    series = {
        kind.replace("_", "-"): replace(one, mean=mean, massive_mean=massive) for kind, (mean, massive) in means.items()
    }
    return TokenErrors(series)


def test_before_any_result_the_page_leads_to_the_run(qtbot: QtBot, page: ResultPage) -> None:
    with qtbot.waitSignal(page.run_requested):
        qtbot.mouseClick(page.empty.button, Qt.MouseButton.LeftButton)


def test_a_finished_run_is_shown_in_full(page: ResultPage, runs: RunModel, tmp_path: Path) -> None:
    fake_engine.write_output(tmp_path / "out")
    runs.open(past_run(tmp_path))
    assert "finished in" in page.subtitle_label.text()
    text = page.verdict_text()
    assert "Perplexity rises from 17.65 to 21.84 (+23.7 %)." in text
    assert "keeps 81.2 % of the original's top-1 choices" in text
    assert "DFRot lowers" in text
    assert page.comparison.view.model().rowCount() == 4
    assert page.massive.view.model().rowCount() == 10
    assert page.errors.kinds == ("none", "random-orthogonal", "hadamard", "dfrot")
    assert "98 kB" in page.kpi("Checkpoint").accessibleName()
    assert page.warnings.isVisibleTo(page)


def test_an_early_end_shows_what_there_is(page: ResultPage, runs: RunModel, tmp_path: Path) -> None:
    end = RunEnded(status="cancelled", message="Stopped.")
    runs.open(past_run(tmp_path, 280, end))
    assert "stopped early" in page.subtitle_label.text()
    assert page.files.isHidden()
    assert "not evaluated" in page.kpi("Perplexity").accessibleName()


def proved(check: ProofCheck, passed: bool | None, note: str = "") -> Proved:
    row = ProofRow(check=check, output="compressed-tensors", what="w", figure=2.0, limit=0.0, passed=passed, note=note)
    return Proved(row=row)


def test_the_proof_is_a_table(page: ResultPage, runs: RunModel, tmp_path: Path) -> None:
    runs.open(past_run(tmp_path))
    assert page.proof.isHidden()
    runs._set_state(reduce(fold, [proved("files", True), proved("text", None)], runs.state))
    assert not page.proof.isHidden()
    assert runs.proof.table.rows[0] == ("Files are as written", "compressed-tensors", "2", "0", "passed")
    assert runs.proof.table.rows[1][-1] == "not done"
    assert "proof failed" not in page.verdict_text()


def test_a_failed_proof_is_the_headline(page: ResultPage, runs: RunModel) -> None:
    state = reduce(fold, islice(fake_engine.whole_run(Path("/out")), 3), RunState())
    runs._set_state(fold(state, proved("tensors", False, "'model.norm.weight' differs")))
    assert "The proof failed: 'model.norm.weight' differs." in page.verdict_text()
    assert page.verdict_text().endswith("Do not use what was written.")


def test_a_new_export_forgets_the_old_proof() -> None:
    begun = reduce(fold, islice(fake_engine.whole_run(Path("/out")), 3), RunState())
    state = fold(begun, proved("files", False, "old"))
    assert fold(state, StageStarted(stage="evaluate", steps=1)).proof
    assert not fold(state, StageStarted(stage="export", steps=1)).proof
    assert not fold(state, StageStarted(stage="prove", steps=1)).proof


def test_hiding_a_rotation_hides_it_in_both_charts(page: ResultPage, runs: RunModel, tmp_path: Path) -> None:
    runs.open(past_run(tmp_path))
    page.legend.toggled.emit("none", False)
    assert [name for name, _ in page.errors.legend()] == ["RO", "RH", "DFRot"]
    assert [name for name, _ in page.by_block.legend()] == ["RO", "RH", "DFRot"]


def test_tables_sort_by_number(page: ResultPage, runs: RunModel, tmp_path: Path) -> None:
    runs.open(past_run(tmp_path))
    view = page.comparison.view
    view.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    model = view.model()
    assert [model.data(model.index(row, 0)) for row in range(4)] == ["DFRot", "RH", "RO", "NR"]


def test_the_code_is_copied(qtbot: QtBot, page: ResultPage, runs: RunModel, tmp_path: Path) -> None:
    fake_engine.write_output(tmp_path / "out")
    runs.open(past_run(tmp_path))
    page.files.copy_button.click()
    assert f"from_pretrained({str(tmp_path / 'out')!r})" in QGuiApplication.clipboard().text()


def test_everything_that_can_be_pressed_has_a_name(page: ResultPage, runs: RunModel, tmp_path: Path) -> None:
    runs.open(past_run(tmp_path))
    own = [one for one in page.findChildren(QAbstractButton) if not one.objectName().startswith("qt_")]
    assert [one for one in own if not one.accessibleName()] == []


def test_the_verdict_is_honest() -> None:
    good = verdict(with_errors(none=(0.2, 0.3), hadamard=(0.1, 0.5), dfrot=(0.09, 0.15)), "dfrot")
    assert good
    assert good.is_good
    assert good.text == (
        "DFRot lowers the mean token error by 55 % against no rotation and the massive tokens' error by 70 % "
        "against a random Hadamard rotation."
    )
    worse = verdict(with_errors(none=(0.08, 0.1), hadamard=(0.1, 0.5), dfrot=(0.09, 0.5)), "dfrot")
    assert worse
    assert not worse.is_good
    assert "The mean token error is no lower than with no rotation: 0.0900 against 0.0800." in worse.text
    assert "The massive tokens' error is no lower than with a random Hadamard rotation" in worse.text
    assert verdict(None, "dfrot") is None
    assert verdict(with_errors(dfrot=(0.1, 0.1)), "dfrot") is None


def test_the_verdict_without_a_rotation() -> None:
    rotated_is_better = verdict(with_errors(none=(0.2, 0.3), hadamard=(0.1, 0.5)), "none")
    assert rotated_is_better
    assert not rotated_is_better.is_good
    assert "a random Hadamard rotation would lower the mean token error from 0.2000 to 0.1000" in rotated_is_better.text
    nothing_helps = verdict(with_errors(none=(0.1, 0.3), hadamard=(0.2, 0.5)), "none")
    assert nothing_helps
    assert nothing_helps.is_good


def test_a_model_without_massive_tokens() -> None:
    nan = float("nan")
    errors = with_errors(none=(0.2, nan), hadamard=(0.1, nan), dfrot=(0.09, nan))
    assert massive_error_kpi(errors, "dfrot").value == "–"
    told = verdict(errors, "dfrot")
    assert told
    assert told.is_good
    assert "massive" not in told.text


def test_nothing_evaluated_and_nothing_written() -> None:
    assert headline(RunState()) == ""
    assert size_kpi(RunState(), 0).note == "nothing written"
    assert snippets(None, "") == ()


def test_snippets_are_those_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_words, "gpu_capabilities", lambda: ())
    transformers, vllm = snippets(Recipe.preset("w4a4"), "/a b/out")
    assert "from_pretrained('/a b/out')" in transformers.code
    assert transformers.note.startswith("Loads.")
    assert vllm.code == "vllm serve '/a b/out'"
    assert vllm.note.startswith("16-bit activations.")
    assert [one.note for one in snippets(None, "/out")] == ["", ""]


def test_snippets_are_for_the_gpu_of_this_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.preset("w4a8").with_field("weights.granularity", "per-channel")
    codes = {}
    for capability in (89, 90):
        monkeypatch.setattr(result_words, "gpu_capabilities", lambda sm=capability: (sm,))
        codes[capability] = snippets(recipe, "/out")[1].code
    assert codes == {89: "vllm serve /out --linear-backend humming", 90: "vllm serve /out"}


def test_headline_of_a_whole_run() -> None:
    state = reduce(fold, fake_engine.whole_run(Path("/out")), RunState())
    assert headline(state).startswith("Perplexity rises")


def test_a_real_loss_is_called_one() -> None:
    lossy = reduce(fold, fake_engine.whole_run(Path("/out")), RunState())
    assert is_lossy(lossy)  # 17.65 → 21.84
    assert "W8A8" in headline(lossy)
    kept = fold(lossy, Evaluated(dataset="builtin", metric="perplexity", value=17.7, baseline=17.65))
    assert not is_lossy(kept)
    assert "W8A8" not in headline(kept)
