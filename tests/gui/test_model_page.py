from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from dfrot_engine import HubError
from dfrot_gui.hub_search import Filters, HubSearch, ModelRow
from dfrot_gui.pages import model_facts
from dfrot_gui.pages.account_dialog import AccountDialog
from dfrot_gui.pages.model_list import ModelRows
from dfrot_gui.pages.model_page import ModelPage
from dfrot_gui.recipe_form.editors import ChoiceEditor
from dfrot_gui.settings import Settings
from tests.gui.fakes import GATED, UNSUPPORTED, FakeAccount, FakeHub, drop


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
    assert signal.args == ["HuggingFaceTB/SmolLM2-135M", "main"]
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


def choose_from(editor: ChoiceEditor, value: object) -> None:
    editor.setCurrentIndex(editor.findData(value))
    editor.activated.emit(editor.currentIndex())


def test_family_and_size_are_chosen_from_lists(qtbot, page: ModelPage, search: HubSearch) -> None:
    shown = {page.family_choice.itemText(index) for index in range(page.family_choice.count())}
    assert {"All families", "Gemma", "Phi", "OLMo", "Qwen"} <= shown
    choose_from(page.family_choice, "mistral")
    choose_from(page.size_choice, 8 * 10**9)
    assert search.filters == Filters(family="mistral", max_parameters=8 * 10**9)
    qtbot.waitUntil(lambda: not search.is_busy)
    assert page.count.text() == "1 model"
    choose_from(page.family_choice, None)
    assert search.filters.family is None


def test_the_order_is_chosen(qtbot, page: ModelPage, hub: FakeHub, search: HubSearch) -> None:
    choose_from(page.sort_choice, "newest")
    qtbot.waitUntil(lambda: not search.is_busy)
    assert hub.orders[-1] == "newest"


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
    assert signal.args == ["HuggingFaceTB/SmolLM2-135M", "main"]


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


def test_a_revision_is_chosen_looked_at_and_used(qtbot, page: ModelPage, settings: Settings) -> None:
    choose(qtbot, page, "Qwen/Qwen2.5-0.5B")
    choice = page.facts.revision
    qtbot.waitUntil(lambda: choice.count() == 2)
    choice.setCurrentIndex(choice.findText("v1.0"))
    choice.textActivated.emit("v1.0")
    assert not page.facts.use_button.isEnabled()
    looked_up(qtbot, page)
    assert page.facts._values["Revision"][1].text() == "v1.0"
    with qtbot.waitSignal(page.model_used) as signal:
        page.facts.use_button.click()
    assert signal.args == ["Qwen/Qwen2.5-0.5B", "v1.0"]
    assert settings.last_revision == "v1.0"
    choose(qtbot, page, "TinyLlama/TinyLlama-1.1B")
    assert choice.revision == "main"
    choose(qtbot, page, "Qwen/Qwen2.5-0.5B")
    assert choice.revision == "v1.0"


def test_local_models_have_no_revision(page: ModelPage) -> None:
    assert not page.facts.revision.isVisible()


def test_what_is_missing_can_be_downloaded_and_what_is_here_deleted(
    qtbot, page: ModelPage, account: FakeAccount
) -> None:
    files = page.facts.download
    assert not files.buttons_box.isVisible()  # the sample is no matter of the Hub
    choose(qtbot, page, "Qwen/Qwen2.5-0.5B")
    assert files.download_button.isVisible()
    assert "269 MB" in files.download_button.text()
    choose(qtbot, page, "HuggingFaceTB/SmolLM2-135M")
    assert not files.download_button.isVisible()
    with qtbot.waitSignal(files.files_changed):
        files.delete_button.click()
    assert account.deleted == ["HuggingFaceTB/SmolLM2-135M"]


def test_a_gated_model_leads_to_its_page_and_to_signing_in(qtbot, page: ModelPage, monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(model_facts, "open_page", opened.append)
    choose(qtbot, page, GATED)
    page.facts.page_button.click()
    assert opened == [f"https://hub.example/{GATED}"]
    choose(qtbot, page, "Qwen/Qwen2.5-0.5B")
    assert not page.facts.page_button.isVisible()


def test_signing_in_and_out(qtbot, page: ModelPage, account: FakeAccount, settings: Settings) -> None:
    page.account_button.click()
    dialog = next(one for one in page.findChildren(AccountDialog) if one.isVisible())
    assert dialog.token_edit.echoMode() == QLineEdit.EchoMode.Password
    assert not dialog.in_button.isEnabled()
    dialog.token_edit.setText("hf_wrong")
    dialog.in_button.click()
    qtbot.waitUntil(lambda: "does not accept" in dialog.notice.text)
    assert dialog.isVisible()
    assert dialog.token_edit.text() == ""
    dialog.token_edit.setText("hf_alice")
    dialog.in_button.click()
    qtbot.waitUntil(lambda: not dialog.isVisible())
    assert page.account_button.accessibleName() == "Signed in as alice"
    settings.sync()
    assert "hf_alice" not in Path(settings._store.fileName()).read_text()
    page.account_button.click()
    dialog = next(one for one in page.findChildren(AccountDialog) if one.isVisible())
    dialog.out_button.click()
    qtbot.waitUntil(lambda: account.name == "" and not dialog.isVisible())
    assert page.account_button.accessibleName() == "Sign in"


def test_folders_opened_once_are_kept_in_mind(qtbot, page: ModelPage, settings: Settings, tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        page.open_path(str(tmp_path / str(number)))
    page.open_path(str(tmp_path / "5"))
    assert [Path(path).name for path in settings.recent_models] == ["5", "9", "8", "7", "6", "4", "3", "2"]
