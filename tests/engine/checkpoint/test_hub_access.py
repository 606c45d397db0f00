"""Gated and private models, with and without a token; no token ever shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfrot_engine import HubError, ModelError
from dfrot_engine.checkpoint.source import fetch, inspect
from tests.engine.checkpoint.conftest import SOURCE, no_progress, set_card
from tests.fake_hub import ALICE, BOB, FakeHub


def sign_in(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)


def test_gated_without_token(hub: FakeHub, repo: Path) -> None:
    set_card(repo, gated="manual", granted=["alice"])
    with pytest.raises(HubError, match="is gated") as caught:
        inspect(SOURCE)
    assert f"{hub.url}/org/tiny" in caught.value.remedy
    assert "hf auth login" in caught.value.remedy


def test_gated_and_not_granted(hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_card(repo, gated="manual", granted=["alice"])
    sign_in(monkeypatch, BOB)
    with pytest.raises(HubError, match="no access to the gated model") as caught:
        inspect(SOURCE)
    assert BOB not in str(caught.value)


def test_gated_and_granted(hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_card(repo, gated="manual", granted=["alice"])
    sign_in(monkeypatch, ALICE)
    assert inspect(SOURCE).gated
    assert (fetch(SOURCE, no_progress) / "model-00001-of-00002.safetensors").is_file()
    # The token goes to the Hub and never to the storage it redirects to.
    assert {request.token for request in hub.requests if "_storage" in request.path} == {None}


def test_private_model_is_unknown_to_others(hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_card(repo, private=True, granted=["alice"])
    sign_in(monkeypatch, BOB)
    with pytest.raises(ModelError, match="knows no model") as caught:
        inspect(SOURCE)
    assert "owner" in caught.value.remedy


def test_wrong_token(hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, "hf_wrong")
    with pytest.raises(HubError, match="does not accept your token") as caught:
        inspect(SOURCE)
    assert "hf_wrong" not in str(caught.value)
