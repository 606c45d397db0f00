from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from dfrot_engine import HubError
from dfrot_gui.hub_search import HubSearch, ModelRow
from dfrot_gui.pages.model_list import ModelRows
from dfrot_gui.pages.model_page import ModelPage
from dfrot_gui.settings import Settings
from tests.gui.fakes import GATED, UNSUPPORTED, FakeHub, drop


@pytest.fixture
def page(qtbot, model_page: ModelPage, search: HubSearch) -> ModelPage:
    model_page.resize(1136, 880)
    model_page.show()
    qtbot.waitUntil(lambda: not search.is_busy and model_page.rows.rowCount() > 3)
    looked_up(qtbot, model_page)
    return model_page


def looked_up(qtbot, page: ModelPage) -> None:
    qtbot.waitUntil(lambda: not page.facts._looker.is_busy)


def choose(qtbot, page: ModelPage, source: str) -> None:
    index = page.rows.find(source)
    assert index.isValid()
    page.list.setCurrentIndex(index)
    looked_up(qtbot, page)


def test_the_sample_is_chosen_and_ready_at_first(page: ModelPage) -> None:
    assert page.facts.model is not None
    assert page.facts.model.source == "sample"
    assert page.facts.use_button.isEnabled()
    assert "Ready" in page.facts.notice.text


def test_facts_of_the_chosen_model(qtbot, page: ModelPage) -> None:
    choose(qtbot, page, "HuggingFaceTB/SmolLM2-135M")
    shown = {name: value.text() for name, (_, value) in page.facts._values.items()}
    assert shown["Parameters"] == "135 M"
    assert shown["Layers × hidden"] == "30 × 576"
    assert shown["Attention"] == "9 heads · 3 KV · size 64"
    assert shown["Hadamard"] == "576 = 36 · 16"
    assert shown["Revision"] == "93efa2f097"
    assert page.facts.files.count() == 3


def test_use_hands_the_model_on_and_remembers_it(qtbot, page: ModelPage, settings: Settings) -> None:
    choose(qtbot, page, "HuggingFaceTB/SmolLM2-135M")
    with qtbot.waitSignal(page.model_used) as signal:
        page.facts.use_button.click()
    assert signal.args == ["HuggingFaceTB/SmolLM2-135M"]
    assert settings.last_model == "HuggingFaceTB/SmolLM2-135M"


def test_a_gated_model_says_how_to_get_it(qtbot, page: ModelPage) -> None:
    choose(qtbot, page, GATED)
    assert "gated" in page.facts.notice.text
    assert "hf auth login" in page.facts.notice.text
    assert not page.facts.use_button.isEnabled()


def test_an_unsupported_model_says_what_is_supported(qtbot, page: ModelPage, search: HubSearch) -> None:
    page.search_edit.setText(UNSUPPORTED)
    qtbot.waitUntil(lambda: not search.is_busy)
    choose(qtbot, page, UNSUPPORTED)
    assert "gpt_neo" in page.facts.notice.text
    assert "qwen2" in page.facts.notice.text
    assert not page.facts.use_button.isEnabled()


def test_offline_is_said_and_can_be_tried_again(qtbot, page: ModelPage, hub: FakeHub, search: HubSearch) -> None:
    hub.error = HubError("The Hub cannot be reached.", "Check the network.")
    search.search_now()
    qtbot.waitUntil(lambda: not search.is_busy)
    assert "cannot be reached" in page.notice.text
    assert not page.notice.isHidden()
    hub.error = None
    page.notice.button.click()
    qtbot.waitUntil(lambda: not search.is_busy)
    assert page.notice.isHidden()


def test_nothing_found_is_said(qtbot, page: ModelPage, search: HubSearch) -> None:
    page.search_edit.setText("no such thing")
    qtbot.waitUntil(lambda: not search.is_busy)
    assert page.rows.rowCount() == 0
    assert "No model matches" in page.notice.text
    assert not page.facts.use_button.isEnabled()


def test_typing_searches(qtbot, page: ModelPage, search: HubSearch) -> None:
    QTest.keyClicks(page.search_edit, "tiny")
    qtbot.waitUntil(lambda: not search.is_busy)
    assert page.rows.find("TinyLlama/TinyLlama-1.1B").isValid()
    assert page.count.text() == "1 model"


def test_chips_filter_and_families_exclude_each_other(qtbot, page: ModelPage, search: HubSearch) -> None:
    page.family_chips["llama"].click()
    page.family_chips["mistral"].click()
    assert search.filters.family == "mistral"
    assert not page.family_chips["llama"].isChecked()
    page.family_chips["mistral"].click()
    assert search.filters.family is None


def test_the_choice_stays_while_answers_come_in(qtbot, page: ModelPage, search: HubSearch) -> None:
    choose(qtbot, page, GATED)
    search.search_now()
    qtbot.waitUntil(lambda: not search.is_busy)
    assert page.list.currentIndex() == page.rows.find(GATED)


def test_keys_reach_the_list_and_use_the_model(qtbot, page: ModelPage) -> None:
    page.activateWindow()
    page.search_edit.setFocus()
    QTest.keyClick(page.search_edit, Qt.Key.Key_Return)
    QTest.keyClick(page.list, Qt.Key.Key_Down)
    looked_up(qtbot, page)
    with qtbot.waitSignal(page.model_used) as signal:
        QTest.keyClick(page.list, Qt.Key.Key_Return)
    assert signal.args == ["HuggingFaceTB/SmolLM2-135M"]


def test_a_dropped_folder_is_opened(qtbot, page: ModelPage, tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    drop(page, folder)
    assert page.list.currentIndex() == page.rows.find(str(folder))
    assert settings.model_folder == str(tmp_path)


def test_a_dropped_file_of_another_kind_is_not(page: ModelPage, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("x")
    before = page.rows.rowCount()
    drop(page, file)
    assert page.rows.rowCount() == before


def test_rows_are_read_out_in_full(qtbot) -> None:
    rows = ModelRows()
    rows.set_rows([ModelRow("a/b", "hub", "LlamaForCausalLM", parameters=10**9, bytes=2 * 10**9, is_gated=True)])
    text = rows.data(rows.index(0, 0), Qt.ItemDataRole.AccessibleTextRole)
    assert text == "a/b, LlamaForCausalLM, 1 B, 2.0 GB, Gated"
