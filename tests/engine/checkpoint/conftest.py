"""The stand-in Hub with a cache of its own, in this process, and a small model on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from dfrot_engine.checkpoint import hub_facts
from dfrot_engine.recipe import ModelSource
from tests.engine.checkpoint.folders import save_model
from tests.fake_hub import FakeHub

SOURCE = ModelSource(id_or_path="org/tiny")


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty Hub cache, no token, and a client that may use the network."""
    cache = tmp_path / "hub-cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    forget()
    yield cache
    forget()
    close_session()


@pytest.fixture
def hub(tmp_path: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A stand-in that serves tmp_path/hub; the engine finds it through HF_ENDPOINT."""
    with FakeHub(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def forget() -> None:
    """What was learned from the Hub is asked again."""
    hub_facts._outcome.cache_clear()
    hub_facts._facts.cache_clear()


@pytest.fixture
def repo(hub: FakeHub) -> Path:
    return save_model(hub.root / "models" / "org" / "tiny", num_shards=2)


def set_card(repo: Path, **card: object) -> None:
    (repo / ".hub.json").write_text(json.dumps(card))


def no_progress(done: int, total: int, label: str) -> None:
    assert 0 <= done <= total
    assert label
