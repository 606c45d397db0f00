"""Facts of a model on the Hub from a few small requests: its card, its config and the headers of its shards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, get_session, hf_hub_download, hf_hub_url
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hf_api import ModelInfo
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from dfrot_engine.checkpoint.facts import COMPANIONS, ModelFacts, ModelFile, has_pickles
from dfrot_engine.checkpoint.headers import (
    INDEX,
    LENGTH_BYTES,
    SINGLE_SHARD,
    TensorHeader,
    check_weight_map,
    header_length,
    merge_headers,
    parse_header,
    read_weight_map,
)
from dfrot_engine.checkpoint.hub_cache import cached_snapshot, missing_bytes
from dfrot_engine.checkpoint.hub_errors import CLIENT_ERRORS, endpoint, explain
from dfrot_engine.checkpoint.json_files import MODEL_FIELD, read_json_object
from dfrot_engine.checkpoint.local import CONFIG, inspect_folder
from dfrot_engine.errors import DFRotError, HubError, ModelError

TIMEOUT_S = 8.0
# An edit of the recipe must not ask the Hub again; a new grant or branch is seen after this.
REMEMBER_S = 300.0
REMEMBER_ERROR_S = 10.0
# Most headers fit, so that most shards take one request.
FIRST_BYTES = 200_000
CONNECTIONS = 8


def inspect_hub(model_id: str, revision: str) -> ModelFacts:
    """Facts of a model on the Hub; a complete copy in the cache is used as it is and asks no network.

    Raises:
        ModelError: unknown, without safetensors, or broken.
        HubError: no network, gated or refused.
    """
    snapshot = cached_snapshot(model_id, revision)
    if snapshot is not None:
        return inspect_folder(snapshot, model_id=model_id, revision=snapshot.name)
    outcome = _outcome(model_id, revision, endpoint(), int(time.monotonic() // REMEMBER_ERROR_S))
    if isinstance(outcome, DFRotError):
        raise type(outcome)(outcome.message, outcome.remedy, outcome.field)
    return replace(outcome, download_bytes=missing_bytes(model_id, outcome.revision, outcome.files))


@lru_cache(maxsize=32)
def _outcome(model_id: str, revision: str, address: str, period: int) -> ModelFacts | DFRotError:
    try:
        return _facts(model_id, revision, address, int(time.monotonic() // REMEMBER_S))
    except DFRotError as error:
        return error


@lru_cache(maxsize=32)
def _facts(model_id: str, revision: str, address: str, period: int) -> ModelFacts:
    with explained(model_id, revision):
        info = _model_info(model_id, revision, address)
        commit = info.sha or revision
        sizes = _sizes(info, address)
        _check_files(model_id, set(sizes))
        config = read_json_object(_small_file(model_id, CONFIG, commit))
        shards, weight_map = _shards(model_id, commit, set(sizes))
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            parts = list(pool.map(lambda shard: _remote_headers(model_id, commit, shard, sizes[shard]), shards))
    headers: dict[str, TensorHeader] = {}
    for part in parts:
        merge_headers(headers, part)
    if weight_map is not None:
        check_weight_map(weight_map, headers)
    return ModelFacts(
        id=model_id,
        revision=commit,
        config=config,
        headers=headers,
        files=tuple(
            ModelFile(name, sizes[name])
            for name in sorted(sizes)
            if name in shards or any(fnmatchcase(name, pattern) for pattern in COMPANIONS)
        ),
        folder=None,
        download_bytes=0,
        license=_license(info),
        gated=bool(info.gated),
    )


def _model_info(model_id: str, revision: str, address: str) -> ModelInfo:
    try:
        return HfApi(endpoint=address).model_info(model_id, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
    except HFValidationError:
        raise
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:  # the client trusts the answer
        raise _no_hub(address) from error


def _sizes(info: ModelInfo, address: str) -> dict[str, int]:
    """Bytes of the files of the repository's top folder, by name."""
    sizes: dict[str, int] = {}
    for file in info.siblings or ():
        name, size = file.rfilename, file.size or 0
        if not isinstance(name, str) or type(size) is not int or size < 0 or "\0" in name or "\\" in name:
            raise _no_hub(address)
        if "/" not in name:
            sizes[name] = size
    return sizes


def _no_hub(address: str) -> HubError:
    return HubError(f"{address} does not answer like a Hub.", "Check HF_ENDPOINT.", MODEL_FIELD)


@contextmanager
def explained(model_id: str, revision: str) -> Iterator[None]:
    """Turn what the Hub's client raises inside into errors a user can act on."""
    try:
        yield
    except DFRotError:
        raise
    except CLIENT_ERRORS as error:
        raise explain(error, model_id, revision) from error


def _check_files(model_id: str, names: set[str]) -> None:
    if CONFIG in names and any(name.endswith(".safetensors") for name in names):
        return
    if any(name.endswith(".gguf") for name in names):
        reason, remedy = "holds GGUF files", "Download one of them and choose the file itself."
    elif "adapter_config.json" in names:
        reason, remedy = "is an adapter, not a model", "Choose its base model, or merge the two first."
    elif has_pickles(names):
        reason, remedy = (
            "has its weights only as pickles (.bin, .pt), which can run code when they are opened",
            "Choose a copy published as safetensors.",
        )
    elif CONFIG not in names:
        reason, remedy = f"has no {CONFIG}", "Choose a model published for transformers."
    else:
        reason, remedy = "has no safetensors", "Choose a model published for transformers."
    raise ModelError(f"'{model_id}' {reason}.", remedy, MODEL_FIELD)


def _shards(model_id: str, commit: str, names: set[str]) -> tuple[tuple[str, ...], dict[str, str] | None]:
    weight_map = read_weight_map(read_json_object(_small_file(model_id, INDEX, commit))) if INDEX in names else None
    if weight_map is not None:
        shards = tuple(sorted(set(weight_map.values())))
    elif SINGLE_SHARD in names:
        shards = (SINGLE_SHARD,)
    else:
        shards = tuple(sorted(name for name in names if name.endswith(".safetensors")))
    missing = [shard for shard in shards if shard not in names]
    if missing:
        raise ModelError(
            f"'{model_id}' lacks {missing[0]}, which its index names.", "Choose another copy of it.", MODEL_FIELD
        )
    return shards, weight_map


def _small_file(model_id: str, name: str, commit: str) -> Path:
    return Path(hf_hub_download(model_id, name, revision=commit, endpoint=endpoint(), etag_timeout=TIMEOUT_S))


def _remote_headers(model_id: str, commit: str, shard: str, file_bytes: int) -> dict[str, TensorHeader]:
    url = hf_hub_url(model_id, shard, revision=commit, endpoint=endpoint())
    data = _read_range(url, 0, min(FIRST_BYTES, file_bytes))
    length = header_length(data, shard, file_bytes)
    header = data[LENGTH_BYTES : LENGTH_BYTES + length]
    if len(header) < length:
        header += _read_range(url, LENGTH_BYTES + len(header), length - len(header))
    return parse_header(header, shard, file_bytes)


def _read_range(url: str, start: int, num_bytes: int) -> bytes:
    try:
        return _read_range_once(url, start, num_bytes)
    except (httpx2.ReadError, httpx2.RemoteProtocolError):  # of a hundred shards, one connection may break
        return _read_range_once(url, start, num_bytes)


def _read_range_once(url: str, start: int, num_bytes: int) -> bytes:
    headers = build_hf_headers(library_name="dfrot") | {"Range": f"bytes={start}-{start + num_bytes - 1}"}
    # Streamed and cut: a server that ignores Range would send gigabytes.
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as response:
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        to_skip = start if response.status_code == 200 else 0
        data = bytearray()
        for piece in response.iter_bytes():
            data += piece
            if len(data) >= to_skip + num_bytes:
                break
    return bytes(data[to_skip : to_skip + num_bytes])


def _license(info: ModelInfo) -> str:
    card = info.card_data.to_dict() if info.card_data is not None else {}
    named = card.get("license_name") or card.get("license")
    if isinstance(named, str):
        return named
    return next((tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")), "")
