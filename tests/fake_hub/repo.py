"""One repository of the stand-in: a folder of files, and what the real Hub would say about it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CARD = ".hub.json"
LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".parquet", ".pt", ".msgpack", ".h5", ".onnx")
LFS_OVER_BYTES = 10 << 20

_LIST_KEYS = ("createdAt", "downloads", "likes", "private", "tags", "pipeline_tag", "library_name")
_FULL_KEYS = (*_LIST_KEYS, "author", "lastModified", "gated", "sha", "siblings", "disabled")
_ONLY_ON_REQUEST = ("trendingScore", "downloadsAllTime")


@dataclass
class Repo:
    """A repository; `path/.hub.json` sets its card (downloads, likes, gated, private, granted, revisions …)."""

    kind: str
    id: str
    path: Path
    _hashes: dict[tuple[str, int, int], tuple[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def card(self) -> dict[str, Any]:
        path = self.path / CARD
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def files(self) -> list[str]:
        paths = (path for path in self.path.rglob("*") if path.is_file() and path.name != CARD)
        return sorted(str(path.relative_to(self.path)).replace(os.sep, "/") for path in paths)

    def is_visible(self, user: str | None) -> bool:
        card = self.card
        return not card.get("private") or user in card.get("granted", ())

    def is_readable(self, user: str | None) -> bool:
        card = self.card
        return not card.get("gated") or user in card.get("granted", ())

    def resolves(self, revision: str) -> bool:
        return revision in ("main", self.sha) or revision in self.card.get("revisions", ())

    def entry(self, name: str) -> dict[str, Any]:
        """One line of a tree listing; big and binary files are LFS pointers, as on the real Hub."""
        size = (self.path / name).stat().st_size
        sha256, sha1 = self._digests(name)
        if not name.endswith(LFS_SUFFIXES) and size <= LFS_OVER_BYTES:
            return {"type": "file", "path": name, "size": size, "oid": sha1}
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        oid = _git_oid(pointer)
        lfs = {"oid": sha256, "size": size, "pointerSize": len(pointer)}
        return {"type": "file", "path": name, "size": size, "oid": oid, "lfs": lfs}

    @property
    def sha(self) -> str:
        """The commit; it changes when any file does."""
        digest = hashlib.sha1()
        for name in self.files():
            entry = self.entry(name)
            digest.update(f"{name}\0{entry.get('lfs', entry)['oid']}\n".encode())
        return digest.hexdigest()

    def refs(self) -> dict[str, Any]:
        """main, and the revisions of the card as tags; all are the one commit there is."""
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": self.sha}
        names = self.card.get("revisions", ())
        tags = [{"name": name, "ref": f"refs/tags/{name}", "targetCommit": self.sha} for name in names]
        return {"branches": [main], "tags": tags, "converts": []}

    def config(self) -> dict[str, Any]:
        path = self.path / "config.json"
        if self.kind != "models" or not path.exists():
            return {}
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return {}
        return config if isinstance(config, dict) else {}

    def pipeline_tag(self) -> str | None:
        is_causal = any("CausalLM" in name for name in self.config().get("architectures") or ())
        return self.card.get("pipeline_tag", "text-generation" if is_causal else None)

    def safetensors(self) -> dict[str, Any] | None:
        """Parameter counts by dtype, from the headers; None without sound ones."""
        counts: dict[str, int] = {}
        for name in self.files():
            if not name.endswith(".safetensors"):
                continue
            try:
                with (self.path / name).open("rb") as file:
                    header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            except (ValueError, OverflowError, MemoryError):
                return None
            for tensor, entry in header.items():
                if tensor != "__metadata__":
                    counts[entry["dtype"]] = counts.get(entry["dtype"], 0) + math.prod(entry["shape"])
        return {"parameters": counts, "total": sum(counts.values())} if counts else None

    def num_parameters(self) -> int:
        counts = self.safetensors()
        return counts["total"] if counts else -1

    def tags(self) -> list[str]:
        tags: set[str] = set(self.card.get("tags", []))
        config = self.config()
        if config:
            tags |= {"transformers", config.get("model_type", "")}
        if any(name.endswith(".safetensors") for name in self.files()):
            tags.add("safetensors")
        tags.add(self.pipeline_tag() or "")
        return sorted(tags - {""})

    def info(self, keys: list[str] | None = None, *, full: bool = False, single: bool = False, blobs: bool = False):
        """What the API says: the named keys, or the set a listing, a full listing or a single request gives."""
        facts = self._facts(blobs)
        if keys is None:
            if single:
                keys = [key for key in facts if key not in _ONLY_ON_REQUEST]
            else:
                keys = list(_FULL_KEYS if full else _LIST_KEYS)
        base = {"_id": hashlib.sha256(self.id.encode()).hexdigest()[:24], "id": self.id}
        if self.kind == "models":
            base["modelId"] = self.id
        return base | {key: facts[key] for key in keys if facts.get(key) is not None}

    def _facts(self, blobs: bool) -> dict[str, Any]:
        card = self.card
        downloads = card.get("downloads", 0)
        facts: dict[str, Any] = {
            "author": self.id.split("/")[0],
            "createdAt": card.get("createdAt", "2024-01-01T00:00:00.000Z"),
            "lastModified": card.get("lastModified", "2026-01-01T00:00:00.000Z"),
            "downloads": downloads,
            "downloadsAllTime": downloads * 10,
            "likes": card.get("likes", 0),
            "private": bool(card.get("private")),
            "gated": card.get("gated", False),
            "disabled": False,
            "tags": self.tags(),
            "sha": self.sha,
            "trendingScore": card.get("trendingScore", 0),
            "usedStorage": sum((self.path / name).stat().st_size for name in self.files()),
            "cardData": card.get("cardData", {}),
            "siblings": [self._sibling(name, blobs) for name in self.files()],
        }
        if self.kind != "models":
            return facts
        config = self.config()
        return facts | {
            "pipeline_tag": self.pipeline_tag(),
            "library_name": "transformers" if config else None,
            "safetensors": self.safetensors(),
            "config": {key: config[key] for key in ("architectures", "model_type") if key in config},
        }

    def _sibling(self, name: str, blobs: bool) -> dict[str, Any]:
        if not blobs:
            return {"rfilename": name}
        entry = self.entry(name)
        sibling = {"rfilename": name, "size": entry["size"], "blobId": entry["oid"]}
        if "lfs" in entry:
            lfs = entry["lfs"]
            sibling["lfs"] = {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}
        return sibling

    def _digests(self, name: str) -> tuple[str, str]:
        path = self.path / name
        stat = path.stat()
        key = (name, stat.st_size, stat.st_mtime_ns)
        with self._lock:
            if key not in self._hashes:
                data = path.read_bytes()
                self._hashes[key] = hashlib.sha256(data).hexdigest(), _git_oid(data)
            return self._hashes[key]


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
