"""Searching, sorting, trees and pages, as the Hub does them."""

from __future__ import annotations

import hashlib
import urllib.parse
from typing import Any

from tests.fake_hub.repo import Repo

Query = dict[str, list[str]]
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def select(repos: list[Repo], query: Query) -> list[Repo]:
    """The repositories that fit the query's filters, sorted as it asks, largest first."""
    words = query.get("search", [""])[0].lower().split()
    tags = [tag for value in query.get("filter", []) for tag in value.split(",")] + query.get("pipeline_tag", [])
    author = query.get("author", [""])[0].lower()
    least, most = _limits(query.get("num_parameters", [""])[0])
    chosen = [
        repo
        for repo in repos
        if all(word in repo.id.lower() for word in words)
        and all(tag in repo.tags() for tag in tags)
        and author in ("", repo.id.split("/")[0].lower())
        and ("num_parameters" not in query or least <= repo.num_parameters() <= most)
    ]
    key = query.get("sort", ["trendingScore"])[0]
    return sorted(chosen, key=lambda repo: (repo.info([key]).get(key) or 0, repo.id), reverse=True)


def tree(repo: Repo, folder: str, *, recursive: bool) -> list[dict[str, Any]] | None:
    """Files and folders below `folder`; None if there is no such folder."""
    prefix = f"{folder}/" if folder else ""
    names = [name for name in repo.files() if name.startswith(prefix)]
    if folder and not names:
        return None
    folders: dict[str, None] = {}
    items: list[dict[str, Any]] = []
    for name in names:
        parts = name.removeprefix(prefix).split("/")
        depth = len(parts) if recursive else min(2, len(parts))
        folders |= dict.fromkeys(prefix + "/".join(parts[:end]) for end in range(1, depth))
        if recursive or len(parts) == 1:
            items.append(repo.entry(name))
    return [_folder_entry(name) for name in folders] + items


def page_of(items: list[Any], size: int, query: Query) -> tuple[list[Any], str]:
    """One page, and the query of the next one; "" at the end."""
    start = int(query.get("cursor", ["0"])[0])
    if start + size >= len(items):
        return items[start:], ""
    following = query | {"cursor": [str(start + size)]}
    return items[start : start + size], urllib.parse.urlencode(following, doseq=True)


def _folder_entry(name: str) -> dict[str, Any]:
    return {"type": "directory", "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0, "path": name}


def _limits(text: str) -> tuple[float, float]:
    given = dict(part.split(":") for part in text.split(",") if part)
    return _number(given.get("min", "0")), _number(given.get("max", "1000000T"))


def _number(text: str) -> float:
    unit = _UNITS.get(text[-1].upper())
    return float(text[:-1]) * unit if unit else float(text)
