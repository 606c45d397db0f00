"""What the window does at the Hub besides searching; every function is called in a thread.

The engine's functions are imported when they are first called: the Hub's client alone takes half a second to import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Progress = Callable[[int, int, str], None]


def _fetch(model_id: str, revision: str, progress: Progress) -> object:
    from dfrot_engine.checkpoint.source import fetch
    from dfrot_engine.recipe import ModelSource

    return fetch(ModelSource(id_or_path=model_id, revision=revision), progress)


def _cached_bytes(model_id: str) -> int:
    from dfrot_engine.checkpoint.hub_cache import cached_bytes

    return cached_bytes(model_id)


def _delete(model_id: str) -> int:
    from dfrot_engine.checkpoint.hub_cache import delete_cached

    return delete_cached(model_id)


def _revisions(model_id: str) -> Sequence[str]:
    from dfrot_engine.checkpoint.hub_account import revisions

    return revisions(model_id)


def _user() -> str:
    from dfrot_engine.checkpoint.hub_account import user

    return user()


def _sign_in(token: str) -> str:
    from dfrot_engine.checkpoint.hub_account import sign_in

    return sign_in(token)


def _sign_out() -> None:
    from dfrot_engine.checkpoint.hub_account import sign_out

    sign_out()


def _page(path: str) -> str:
    from dfrot_engine.checkpoint.hub_errors import endpoint

    return f"{endpoint()}/{path}"


@dataclass(frozen=True)
class HubActions:
    """The Hub and its cache on this computer, behind functions that tests replace.

    Args:
        fetch: (model, revision, progress) downloads; stops with what `progress` raises.
        cached_bytes, delete: what a model takes in the cache, and its removal; both answer in bytes.
        revisions: branches, tags, then commits of a model.
        user: name of who is signed in; "" for nobody.
        sign_in: checks a token, has the Hub's client keep it, and answers with the name.
        page: address of a page, such as a model's, which is its id.
    """

    fetch: Callable[[str, str, Progress], object] = _fetch
    cached_bytes: Callable[[str], int] = _cached_bytes
    delete: Callable[[str], int] = _delete
    revisions: Callable[[str], Sequence[str]] = _revisions
    user: Callable[[], str] = _user
    sign_in: Callable[[str], str] = _sign_in
    sign_out: Callable[[], None] = _sign_out
    page: Callable[[str], str] = _page
