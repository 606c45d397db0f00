"""The model list of the window: searching the Hub, and what is in the cache."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfrot_engine import HubError
from dfrot_engine.checkpoint.hub import _from_search, local_models, search_models
from dfrot_engine.checkpoint.source import fetch
from dfrot_engine.recipe import ModelSource
from tests.engine.checkpoint.folders import save_model
from tests.fake_hub import FakeHub, Fault


@pytest.fixture
def models(hub: FakeHub) -> FakeHub:
    def add(model_id: str, card: dict[str, object], **changes: Any) -> None:
        folder = save_model(hub.root / "models" / model_id, **changes)
        (folder / ".hub.json").write_text(json.dumps(card))

    add("org/small-llama", {"downloads": 10, "likes": 3, "tags": ["license:mit"]})
    add("org/large-llama", {"downloads": 99, "gated": "manual"}, vocab_size=4096)
    add("other/qwen", {"downloads": 50}, model_type="qwen2", architectures=["Qwen2ForCausalLM"])
    add("org/classifier", {"downloads": 999, "pipeline_tag": "text-classification"})
    (hub.root / "models" / "org" / "pickled").mkdir()
    (hub.root / "models" / "org" / "pickled" / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    return hub


def ids(models) -> list[str]:
    return [model.id for model in models]


def test_most_downloaded_first_and_only_what_can_be_used(models: FakeHub) -> None:
    assert ids(search_models("")) == ["org/large-llama", "other/qwen", "org/small-llama"]
    assert len(models.requests) == 1


def test_every_column(models: FakeHub) -> None:
    (model,) = search_models("small")
    assert (model.id, model.architecture, model.license) == ("org/small-llama", "LlamaForCausalLM", "mit")
    assert (model.downloads, model.likes, model.gated, model.private) == (10, 3, False, False)
    assert model.num_parameters is not None
    assert model.bytes == model.num_parameters * 4
    assert not model.downloaded


def test_filters(models: FakeHub) -> None:
    assert ids(search_models("LLAMA org")) == ["org/large-llama", "org/small-llama"]
    assert ids(search_models("", family="qwen2")) == ["other/qwen"]
    assert ids(search_models("", limit=2)) == ["org/large-llama", "other/qwen"]
    assert ids(search_models("", max_parameters=200_000)) == ["other/qwen", "org/small-llama"]
    assert search_models("nothing like this") == ()
    assert [model.gated for model in search_models("large")] == [True]


def test_address_can_be_given(models: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert len(search_models("", endpoint=models.url)) == 3


@pytest.mark.usefixtures("hub_cache")
def test_no_network_is_said_at_once() -> None:
    started_s = time.monotonic()
    with pytest.raises(HubError, match=r"Cannot reach http://127\.0\.0\.1:9") as caught:
        search_models("llama", endpoint="http://127.0.0.1:9")
    assert time.monotonic() - started_s < 2
    assert "on this computer" in caught.value.remedy


def test_slow_hub(models: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfrot_engine.checkpoint.hub.SEARCH_TIMEOUT_S", 0.2)
    models.latency_s = 1.0
    with pytest.raises(HubError, match="Cannot reach"):
        search_models("")


@pytest.mark.parametrize(("status", "words"), [(500, "error 500"), (429, "fewer requests")])
def test_errors_of_the_hub_are_not_retried(models: FakeHub, status: int, words: str) -> None:
    models.faults.append(Fault("/api/models", status=status, times=-1))
    with pytest.raises(HubError, match=words):
        search_models("")
    assert len(models.requests) == 1


def test_something_else_answers(models: FakeHub) -> None:
    models.faults.append(Fault("/api/models", status=200))
    with pytest.raises(HubError, match="does not answer like a Hub"):
        search_models("")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=4))
def test_fields_of_any_kind_give_a_line(value: object) -> None:
    fields = ("downloads", "likes", "private", "gated", "tags", "safetensors", "config")
    for item in (dict.fromkeys(fields, value), {"safetensors": {"total": value, "parameters": {"F32": value}}}):
        model = _from_search(item | {"id": "../../etc"})
        assert model.downloads >= 0
        assert not model.downloaded


def test_downloaded_models_are_marked_and_listed(models: FakeHub, hub_cache: Path) -> None:
    assert local_models() == ()
    fetch(ModelSource(id_or_path="org/small-llama"), lambda *_: None)
    assert [model.downloaded for model in search_models("")] == [False, False, True]
    (model,) = local_models()
    assert (model.id, model.architecture, model.downloaded) == ("org/small-llama", "LlamaForCausalLM", True)
    assert model.num_parameters == search_models("small")[0].num_parameters
    weights = next(hub_cache.rglob("model.safetensors"))
    weights.unlink()
    assert local_models() == ()
