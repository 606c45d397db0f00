"""The routes of the Hub that its client uses."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fake_hub import uploads
from tests.fake_hub.listing import page_of, select, tree

if TYPE_CHECKING:
    from tests.fake_hub.repo import Repo
    from tests.fake_hub.server import FakeHub

_API = re.compile(
    r"/api/(models|datasets)/([^/]+/[^/]+|[^/]+?)(?:/(revision|tree|paths-info|refs|commits|preupload|commit)(?:/([^/]+))?(?:/(.*))?)?"
)
_RESOLVE = re.compile(r"(?:/(datasets))?/((?:[^/]+/)?[^/]+)/resolve/([^/]+)/(.+)")
_STORAGE = re.compile(r"/_storage/(models|datasets)/((?:[^/]+/)?[^/]+?)/(.+)")
_LFS_BATCH = re.compile(r"/([^/]+/[^/]+)[.]git/info/lfs/objects/batch")
_LFS_OBJECT = re.compile(r"/_lfs/[^/]+/[^/]+/([0-9a-f]{64})")
_PIECE_BYTES = 1 << 18


class Handler(BaseHTTPRequestHandler):
    """Answers as the Hub does, or as a fault says."""

    hub: FakeHub
    protocol_version = "HTTP/1.1"
    server_version = "FakeHub/1"
    # Else every small answer waits some 40 ms for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Requests go to the hub's own log."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        from tests.fake_hub.server import Request

        self._status, self._drop_after = 0, -1
        address = urllib.parse.urlsplit(self.path)
        self._query = urllib.parse.parse_qs(address.query, keep_blank_values=True)
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        try:
            time.sleep(self.hub.latency_s)
            fault = self.hub.take_fault(address.path)
            if fault is not None and fault.status:
                self._send(fault.status, b'{"error": "injected fault"}', fault.headers)
            else:
                self._drop_after = fault.drop_after if fault is not None else -1
                self._route(address.path, token)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.hub.log(Request(self.command, self.path, self._status, self.headers.get("Range"), token))

    def _route(self, path: str, token: str | None) -> None:  # noqa: PLR0911  a route each
        if token is not None and token not in self.hub.tokens:
            return self._error(401, "", "Invalid credentials in Authorization header")
        user = self.hub.tokens[token] if token else None
        if (answer := self._upload(path, user)) is not None:
            return self._reply(answer)
        whole = {"/api/whoami-v2": self._who, "/api/models": self._list, "/api/datasets": self._list}
        if path in whole:
            return whole[path](path.rpartition("/")[2], user)
        if match := _API.fullmatch(path):
            kind, repo_id, verb, revision, rest = (urllib.parse.unquote(part or "") for part in match.groups())
            return self._api(self._find(kind, repo_id, user), verb, revision or "main", rest)
        if match := _RESOLVE.fullmatch(path):
            kind, repo_id, revision, name = (urllib.parse.unquote(part or "") for part in match.groups())
            return self._resolve(self._find(kind or "models", repo_id, user), revision, name, user)
        if match := _STORAGE.fullmatch(path):
            kind, repo_id, name = (urllib.parse.unquote(part) for part in match.groups())
            repo = self.hub.repo(kind, repo_id)
            if repo is not None and name in repo.files():
                return self._send_file(repo.path / name, {"ETag": f'"{repo.entry(name)["lfs"]["oid"]}"'})
        return self._error(404, "", "Sorry, we can't find the page you are looking for.")

    def _who(self, _kind: str, user: str | None) -> None:
        if user is None:
            return self._error(401, "", "Invalid username or password.")
        access = {"displayName": f"{user}-token", "role": "read"}
        return self._json({"type": "user", "name": user, "auth": {"type": "access_token", "accessToken": access}})

    def _upload(self, path: str, user: str | None) -> uploads.Answer | None:
        """Of what is no business of one repository that is there; None for other paths."""
        if path == "/api/repos/create":
            return uploads.create(self.hub, self._body, user)
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if match := _LFS_BATCH.fullmatch(path):
            return uploads.batch(self.hub, match[1], self._body)
        if self.command == "PUT" and (match := _LFS_OBJECT.fullmatch(path)):
            self.hub.objects[match[1]] = self._body
            return 200, {}
        return None

    def _find(self, kind: str, repo_id: str, user: str | None) -> Repo | None:
        repo = self.hub.repo(kind, repo_id)
        if repo is not None and repo.is_visible(user):
            return repo
        # The Hub hides what exists: 401 for the anonymous, 404 for those who are signed in.
        if user is None:
            self._error(401, "RepoNotFound", "Invalid username or password.")
        else:
            self._error(404, "RepoNotFound", "Repository not found")
        return None

    def _api(self, repo: Repo | None, verb: str, revision: str, rest: str) -> None:
        if repo is None:
            return
        if not repo.resolves(revision):
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif verb == "preupload":
            self._reply(uploads.preupload(repo, self._body))
        elif verb == "commit":
            self._reply(uploads.commit(self.hub, repo, self._body))
        elif verb == "tree":
            self._tree(repo, rest.strip("/"))
        elif verb == "refs":
            self._json(repo.refs())
        elif verb == "commits":
            commit = {
                "id": repo.sha,
                "title": "Upload",
                "message": "",
                "authors": [],
                "date": "2026-01-01T00:00:00.000Z",
            }
            self._json([commit])
        elif verb == "paths-info":
            self._json([repo.entry(name) for name in self._wanted_paths() if name in repo.files()])
        else:
            self._json(repo.info(self._query.get("expand"), single=True, blobs=self._flag("blobs")))

    def _tree(self, repo: Repo, folder: str) -> None:
        items = tree(repo, folder, recursive=self._flag("recursive"))
        if items is None:
            self._error(404, "EntryNotFound", f"{folder} does not exist")
        else:
            self._page(items, 1000)

    def _wanted_paths(self) -> list[str]:
        if "json" in self.headers.get("Content-Type", ""):
            return json.loads(self._body)["paths"]
        return urllib.parse.parse_qs(self._body.decode()).get("paths", [])

    def _resolve(self, repo: Repo | None, revision: str, name: str, user: str | None) -> None:
        if repo is None:
            return None
        if not repo.is_readable(user):
            why = "You must be authenticated." if user is None else "You are not in the authorized list."
            return self._error(403 if user else 401, "GatedRepo", f"Access to model {repo.id} is restricted. {why}")
        if not repo.resolves(revision):
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        headers = {"X-Repo-Commit": repo.sha, "Accept-Ranges": "bytes"}
        if name not in repo.files():
            headers |= {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            return self._send(404, b"Entry not found", headers)
        entry = repo.entry(name)
        headers["ETag"] = f'"{entry["oid"]}"'
        if "lfs" not in entry:
            return self._send_file(repo.path / name, headers)
        headers |= {
            "Location": f"{self.hub.storage_url}/_storage/{repo.kind}/{repo.id}/{urllib.parse.quote(name)}?Signature=x",
            "X-Linked-Size": str(entry["size"]),
            "X-Linked-ETag": f'"{entry["lfs"]["oid"]}"',
        }
        return self._send(302, b"Found. Redirecting", headers)

    def _list(self, kind: str, user: str | None) -> None:
        visible = [repo for repo in self.hub.repos(kind) if repo.is_visible(user)]
        chosen = select(visible, self._query)
        limit = min(int(self._query.get("limit", ["1000"])[0]), 1000)
        keys = self._query.get("expand")
        items = [repo.info(keys, full=self._flag("full")) for repo in chosen]
        self._page(items, self.hub.page_size or limit)

    def _page(self, items: list[dict[str, Any]], size: int) -> None:
        page, following = page_of(items, size, self._query)
        address = f"{self.hub.url}{urllib.parse.urlsplit(self.path).path}?{following}"
        self._json(page, {"Link": f'<{address}>; rel="next"'} if following else {})

    def _flag(self, name: str) -> bool:
        return self._query.get(name, [""])[0].lower() in ("true", "1")

    def _json(self, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), headers or {})

    def _reply(self, answer: uploads.Answer) -> None:
        status, value = answer
        self._send(status, json.dumps(value).encode(), {})

    def _error(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._start(status, len(body), {"Content-Type": "application/json; charset=utf-8"} | headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _start(self, status: int, num_bytes: int, headers: dict[str, str]) -> None:
        self._status = status
        self.send_response(status)
        always = {"Content-Length": str(num_bytes), "X-Request-Id": self.hub.next_request_id()}
        for name, value in (always | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def _send_file(self, path: Path, headers: dict[str, str]) -> None:
        size = path.stat().st_size
        begin, end, status = 0, size, 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            begin, end, status = int(match[1]), min(int(match[2] or size - 1) + 1, size), 206
            if begin >= size:
                return self._send(416, b"", {"Content-Range": f"bytes */{size}"})
            headers = headers | {"Content-Range": f"bytes {begin}-{end - 1}/{size}"}
        self._start(status, end - begin, {"Content-Type": "application/octet-stream"} | headers)
        if self.command != "HEAD":
            self._send_bytes(path, begin, end - begin)
        return None

    def _send_bytes(self, path: Path, begin: int, num_bytes: int) -> None:
        rate, sent, started_s = self.hub.rate, 0, time.monotonic()
        piece = min(_PIECE_BYTES, max(1024, rate // 20)) if rate else _PIECE_BYTES
        with path.open("rb") as file:
            file.seek(begin)
            while sent < num_bytes:
                if 0 <= self._drop_after <= sent:
                    self.close_connection = True
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                until_drop = self._drop_after - sent if self._drop_after > sent else piece
                data = file.read(min(piece, num_bytes - sent, until_drop))
                self.wfile.write(data)
                sent += len(data)
                if rate:
                    time.sleep(max(0.0, sent / rate - (time.monotonic() - started_s)))
