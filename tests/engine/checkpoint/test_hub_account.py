"""Signing in and out; the token is nowhere but in the Hub client's own file, and in no message."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from huggingface_hub import _login, constants, get_token, hf_api

from dfrot_engine import HubError
from dfrot_engine.checkpoint.hub_account import revisions, sign_in, sign_out, user
from tests.engine.checkpoint.conftest import set_card
from tests.fake_hub import ALICE, BOB, FakeHub


@pytest.fixture(autouse=True)
def own_tokens(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client keeps its files in the test's folder, leaves git alone, and asks the stand-in."""
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "home" / "tokens"))
    monkeypatch.setattr(_login, "unset_git_credential", lambda: None)
    monkeypatch.setattr(hf_api.api, "endpoint", hub.url)


def test_sign_in_and_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert user() == ""
    assert sign_in(f" {ALICE}\n") == "alice"
    assert get_token() == ALICE
    assert user() == "alice"
    holders = {
        path.name for path in tmp_path.rglob("*") if path.is_file() and ALICE in path.read_text(errors="replace")
    }
    assert holders == {"token", "tokens"}
    assert ALICE not in "".join(record.getMessage() for record in caplog.records if "dfrot" in record.name)
    sign_out()
    assert get_token() is None
    assert user() == ""


@pytest.mark.parametrize("token", ["hf_wrong", "hf_a b", "hf_ü", "hf_a\r\nX-Evil: 1", ""])
def test_a_wrong_token_is_not_kept_and_not_shown(token: str) -> None:
    with pytest.raises(HubError) as caught:
        sign_in(token)
    assert not token or token not in str(caught.value)
    assert get_token() is None


def test_a_token_that_ran_out(hub: FakeHub) -> None:
    sign_in(ALICE)
    del hub.tokens[ALICE]
    with pytest.raises(HubError, match="does not accept this token"):
        user()


def test_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", BOB)
    with pytest.raises(HubError, match="HF_TOKEN is set") as caught:
        sign_in(ALICE)
    assert ALICE not in str(caught.value)
    with pytest.raises(HubError, match="still signed in"):
        sign_out()


def test_no_network(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="Cannot reach"):
        sign_in(ALICE)


def test_revisions(repo: Path) -> None:
    set_card(repo, revisions=["v1.0"])
    main, tag, commit = revisions("org/tiny")
    assert (main, tag) == ("main", "v1.0")
    assert len(commit) == 40
