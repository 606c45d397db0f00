"""What the Hub does with uploads: repositories, the choice of LFS, its storage, commits."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from tests.fake_hub.repo import CARD, LFS_SUFFIXES

if TYPE_CHECKING:
    from tests.fake_hub.repo import Repo
    from tests.fake_hub.server import FakeHub

#: (status, what is answered)
Answer = tuple[int, dict[str, Any]]


def create(hub: FakeHub, body: bytes, user: str | None) -> Answer:
    wanted = json.loads(body)
    owner = wanted.get("organization") or user
    if user is None or owner != user:
        return 403 if user else 401, {"error": "You don't have the rights to create a model under this namespace"}
    folder = hub.root / "models" / user / wanted["name"]
    address = {"url": f"{hub.url}/{owner}/{wanted['name']}", "name": f"{owner}/{wanted['name']}"}
    if folder.is_dir():
        return 409, address | {"error": "You already created this model repo"}
    folder.mkdir(parents=True)
    (folder / CARD).write_text(json.dumps({"private": wanted.get("visibility") == "private", "granted": [user]}))
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    return 200, address


def preupload(repo: Repo, body: bytes) -> Answer:
    known = repo.files()
    files = [
        {
            "path": one["path"],
            "uploadMode": "lfs" if one["path"].endswith((*LFS_SUFFIXES, ".png")) else "regular",
            "shouldIgnore": False,
            "oid": repo.entry(one["path"])["oid"] if one["path"] in known else None,
        }
        for one in json.loads(body)["files"]
    ]
    return 200, {"files": files}


def batch(hub: FakeHub, repo_id: str, body: bytes) -> Answer:
    """Where to put objects; nothing for those that have arrived before."""
    objects = []
    for one in json.loads(body)["objects"]:
        missing = one["oid"] not in hub.objects
        actions = {"upload": {"href": f"{hub.storage_url}/_lfs/{repo_id}/{one['oid']}"}} if missing else None
        objects.append({"oid": one["oid"], "size": one["size"]} | ({"actions": actions} if actions else {}))
    return 200, {"transfer": "basic", "objects": objects}


def commit(hub: FakeHub, repo: Repo, body: bytes) -> Answer:
    for line in body.splitlines():
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "header":
            continue
        path = repo.path / value["path"]
        if entry["key"] == "deletedFile":
            path.unlink()
            continue
        data = hub.objects[value["oid"]] if entry["key"] == "lfsFile" else base64.b64decode(value["content"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    oid = "c0ffee" * 6 + "abcd"
    return 200, {"success": True, "commitOid": oid, "commitUrl": f"{hub.url}/{repo.id}/commit/{oid}", "hookOutput": ""}
