from __future__ import annotations

from dataclasses import replace

import pytest

from dfrot_engine import HubError
from dfrot_gui.hub_search import SAMPLE, SMALL_PARAMETERS, Filters, HubSearch
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
    assert [family for _, family, _ in hub.queries] == ["qwen2", "qwen3"]
    assert sources(started) == ["Qwen/Qwen2.5-0.5B"]


def test_small_models_only(qtbot, started: HubSearch) -> None:
    started.set_filters(Filters(small_only=True))
    settled(qtbot, started)
    assert "mistralai/Mistral-7B-v0.3" not in sources(started)
    assert all(row.parameters <= SMALL_PARAMETERS for row in started.rows())


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
