from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dfrot_engine import HubError
from dfrot_engine.architectures.families import FAMILIES
from dfrot_gui.hub_search import SAMPLE, Filters, HubSearch
from tests.gui.fakes import GATED, FakeHub


def sources(search: HubSearch) -> list[str]:
    return [row.source for row in search.rows()]


def settled(qtbot, search: HubSearch) -> None:
    qtbot.waitUntil(lambda: not search.is_busy)


@pytest.fixture
def started(qtbot, search: HubSearch) -> HubSearch:
    search.start()
    settled(qtbot, search)
    qtbot.waitUntil(lambda: bool(search._local))
    return search


def test_the_sample_is_there_before_anything_else(search: HubSearch) -> None:
    assert search.rows() == (SAMPLE,)


def test_sample_then_downloaded_then_found(started: HubSearch) -> None:
    assert sources(started)[:3] == ["sample", "HuggingFaceTB/SmolLM2-135M", GATED]
    assert len(set(sources(started))) == len(sources(started))


def test_quick_typing_asks_once(qtbot, started: HubSearch, hub: FakeHub) -> None:
    hub.queries.clear()
    for text in ("q", "qw", "qwen"):
        started.set_filters(replace(started.filters, query=text))
    settled(qtbot, started)
    assert hub.queries == [("qwen", None, None)]
    assert sources(started) == ["Qwen/Qwen2.5-0.5B"]


def test_a_late_answer_is_dropped(qtbot, started: HubSearch, hub: FakeHub) -> None:
    hub.slow = {"llama"}
    started.set_filters(Filters(query="llama"))
    qtbot.waitUntil(lambda: ("llama", None, None) in hub.queries)
    started.set_filters(Filters(query="mistral"))
    settled(qtbot, started)
    hub.gate.set()
    qtbot.waitUntil(lambda: started._remote._running == 0)
    assert sources(started) == ["mistralai/Mistral-7B-v0.3"]


def test_a_family_is_all_its_architectures(qtbot, started: HubSearch, hub: FakeHub) -> None:
    hub.queries.clear()
    started.set_filters(Filters(family="qwen"))
    settled(qtbot, started)
    assert {family for _, family, _ in hub.queries} == set(FAMILIES["qwen"])
    assert sources(started) == ["Qwen/Qwen2.5-0.5B"]


def test_small_models_only(qtbot, started: HubSearch) -> None:
    started.set_filters(Filters(max_parameters=2 * 10**9))
    settled(qtbot, started)
    assert "mistralai/Mistral-7B-v0.3" not in sources(started)
    assert all(row.parameters <= 2 * 10**9 for row in started.rows())


def test_filters_of_this_computer_need_no_answer(started: HubSearch) -> None:
    started.set_filters(Filters(fitting_only=True))
    assert not started.is_busy
    assert "mistralai/Mistral-7B-v0.3" not in sources(started)
    started.set_filters(Filters(downloaded_only=True))
    assert sources(started) == ["sample", "HuggingFaceTB/SmolLM2-135M"]


def test_offline_keeps_what_is_here(qtbot, started: HubSearch, hub: FakeHub) -> None:
    hub.error = HubError("The Hub cannot be reached.", "Check the network.")
    started.search_now()
    settled(qtbot, started)
    assert started.error is hub.error
    assert sources(started) == ["sample", "HuggingFaceTB/SmolLM2-135M"]
    hub.error = None
    started.search_now()
    settled(qtbot, started)
    assert started.error is None


def test_an_id_that_no_search_finds_can_be_looked_up(qtbot, started: HubSearch) -> None:
    started.set_filters(Filters(query="my-org/private-model"))
    settled(qtbot, started)
    assert sources(started) == ["my-org/private-model"]


def test_an_opened_folder_comes_after_the_sample(started: HubSearch) -> None:
    started.open("/models/mine")
    started.open("/models/mine")
    assert sources(started)[:3] == ["sample", "/models/mine", "HuggingFaceTB/SmolLM2-135M"]


def test_what_was_asked_a_moment_ago_is_not_asked_again(qtbot, started: HubSearch, hub: FakeHub) -> None:
    for query in ("qwen", "mistral", "qwen"):
        started.set_filters(Filters(query=query))
        settled(qtbot, started)
    assert [query for query, _, _ in hub.queries] == ["", "qwen", "mistral"]
    assert sources(started) == ["Qwen/Qwen2.5-0.5B"]
    started.search_now()
    settled(qtbot, started)
    assert len(hub.queries) == 4


def test_orders(qtbot, started: HubSearch) -> None:
    found = {}
    for sort in ("downloads", "likes", "newest", "smallest"):
        started.set_filters(Filters(sort=sort))
        settled(qtbot, started)
        found[sort] = sources(started)
        assert found[sort][:2] == ["sample", "HuggingFaceTB/SmolLM2-135M"]  # what is here comes first
    assert found["downloads"][2] == found["likes"][2] == GATED
    assert found["newest"][2] == "TinyLlama/TinyLlama-1.1B"
    assert found["smallest"][2] == "Qwen/Qwen2.5-0.5B"


def test_a_downloaded_model_keeps_what_the_hub_counts(started: HubSearch) -> None:
    row = next(row for row in started.rows() if row.source == "HuggingFaceTB/SmolLM2-135M")
    assert row.is_downloaded
    assert (row.downloads, row.likes) == (1_200_000, 214)


def test_folders_opened_before_are_listed_while_they_exist(search: HubSearch, tmp_path: Path) -> None:
    search.set_opened((str(tmp_path), "/no/such/folder"))
    assert sources(search) == ["sample", str(tmp_path)]
