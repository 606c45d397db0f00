"""The Hub for the window: search, and what is already on this computer. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2
from huggingface_hub import get_session
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from dfrot_engine.architectures import ARCHITECTURES
from dfrot_engine.architectures.vision import seeing
from dfrot_engine.checkpoint import hub_errors
from dfrot_engine.checkpoint.headers import DTYPE_BITS
from dfrot_engine.checkpoint.hub_cache import is_downloaded, scan
from dfrot_engine.checkpoint.hub_errors import CLIENT_ERRORS, explain_connection
from dfrot_engine.checkpoint.local import has_weights, inspect_folder
from dfrot_engine.errors import HubError, ModelError

SEARCH_TIMEOUT_S = 6.0
_FIELDS = ("downloads", "likes", "createdAt", "private", "gated", "tags", "safetensors", "config")

#: Orders of a search → the Hub's names for them, which it sorts largest first.
Order = Literal["downloads", "likes", "newest"]
_SORTS: dict[Order, str] = {"downloads": "downloads", "likes": "likes", "newest": "createdAt"}


@dataclass(frozen=True)
class HubModel:
    """One line of a model list.

    Args:
        architecture: class name from config.json; "" if unknown.
        num_parameters, bytes: of the safetensors; None if the Hub does not say.
        license: identifier; "" if unknown.
        created: ISO date of the repository; "" if unknown.
    """

    id: str
    architecture: str
    downloads: int
    likes: int
    num_parameters: int | None
    bytes: int | None
    gated: bool
    private: bool
    downloaded: bool
    license: str
    created: str = ""


def search_models(
    query: str,
    *,
    limit: int = 30,
    family: str | None = None,
    max_parameters: int | None = None,
    order: Order = "downloads",
    endpoint: str | None = None,
) -> tuple[HubModel, ...]:
    """Language models with safetensors whose names hold the words, the first in that order.

    One request that is not retried: an answer or an error within seconds.

    Args:
        family: a model_type such as "llama", whose models may see as well; None for all that only read.
        max_parameters: leave out larger models, and those of unknown size.
        endpoint: address of the Hub; None for HF_ENDPOINT or the public one.
    Raises:
        HubError: the Hub cannot be reached, refuses, or answers nonsense.
    """
    filters = ["safetensors", *([family] if family else [])]
    parameters: dict[str, Any] = {
        "pipeline_tag": "image-text-to-text" if ARCHITECTURES.get(family or "") is seeing else "text-generation",
        "filter": filters,
        "sort": _SORTS[order],
        "limit": limit,
        "expand": list(_FIELDS),
    }
    if query.strip():
        parameters["search"] = query.strip()
    if max_parameters is not None:
        parameters["num_parameters"] = f"max:{-(-max_parameters // 1_000_000)}M"
    models = tuple(_from_search(item) for item in _request(endpoint or hub_errors.endpoint(), parameters))
    if max_parameters is None:
        return models
    return tuple(model for model in models if model.num_parameters and model.num_parameters <= max_parameters)


def local_models() -> tuple[HubModel, ...]:
    """Models in the Hub cache whose weights are complete, by name; asks no network."""
    cache = scan()
    if cache is None:
        return ()
    models: list[HubModel] = []
    for repo in sorted(cache.repos, key=lambda repo: repo.repo_id):
        newest = max(repo.revisions, key=lambda revision: revision.last_modified, default=None)
        if repo.repo_type == "model" and newest is not None and has_weights(newest.snapshot_path):
            model = _from_folder(repo.repo_id, newest.snapshot_path)
            models += [model] if model else []
    return tuple(models)


def _request(address: str, parameters: dict[str, Any]) -> Iterable[dict[str, Any]]:
    try:
        response = get_session().get(
            f"{address}/api/models",
            params=parameters,
            headers=build_hf_headers(library_name="dfrot"),
            timeout=SEARCH_TIMEOUT_S,
        )
        hf_raise_for_status(response)
        items = response.json()
    except (ValueError, RecursionError) as error:  # before the next, which counts the second among the client's
        raise HubError(f"{address} does not answer like a Hub.", "Check HF_ENDPOINT.") from error
    except CLIENT_ERRORS as error:
        raise _search_failed(error, address) from error
    if not isinstance(items, list):
        raise HubError(f"{address} does not answer like a Hub.", "Check HF_ENDPOINT.")
    return (item for item in items if isinstance(item, dict) and isinstance(item.get("id"), str))


def _search_failed(error: Exception, address: str) -> HubError:
    if isinstance(error, httpx2.TransportError | ConnectionError):
        return HubError(
            f"Cannot reach {address}.", "Check the network connection; models on this computer can still be used."
        )
    explained = explain_connection(error, "the list of models")
    return HubError(explained.message, explained.remedy)


def _from_search(item: dict[str, Any]) -> HubModel:
    safetensors = _dict(item.get("safetensors"))
    architectures = _dict(item.get("config")).get("architectures")
    tags = item.get("tags")
    tags = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return HubModel(
        id=item["id"],
        architecture=str(architectures[0]) if isinstance(architectures, list) and architectures else "",
        downloads=_count(item.get("downloads")) or 0,
        likes=_count(item.get("likes")) or 0,
        num_parameters=_count(safetensors.get("total")),
        bytes=_bytes(_dict(safetensors.get("parameters"))),
        gated=bool(item.get("gated")),
        private=bool(item.get("private")),
        downloaded=is_downloaded(item["id"]),
        license=next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), ""),
        created=str(item.get("createdAt") or ""),
    )


def _from_folder(model_id: str, folder: Path) -> HubModel | None:
    try:
        facts = inspect_folder(folder, model_id=model_id)
    except ModelError:  # a damaged copy is said to be damaged when it is chosen by name
        return None
    architectures = facts.config.get("architectures")
    return HubModel(
        id=model_id,
        architecture=str(architectures[0]) if isinstance(architectures, list) and architectures else "",
        downloads=0,
        likes=0,
        num_parameters=sum(header.num_elements for header in facts.headers.values()),
        bytes=sum(header.num_bytes for header in facts.headers.values()),
        gated=False,
        private=False,
        downloaded=True,
        license=facts.license,
    )


def _bytes(counts: dict[str, Any]) -> int | None:
    return sum((_count(count) or 0) * DTYPE_BITS.get(dtype, 16) // 8 for dtype, count in counts.items()) or None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
