"""The stand-in itself: two local servers, one for the API and one for the storage of big files.

    with FakeHub(root) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)

`root` holds models/<owner>/<name>/** and datasets/<owner>/<name>/**.
"""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.fake_hub.handler import Handler
from tests.fake_hub.repo import Repo

ALICE, BOB = "hf_alice", "hf_bob"


@dataclass
class Fault:
    """What goes wrong with requests whose path matches the glob.

    Args:
        status: answered instead of the real thing; 0 for none.
        drop_after: this many bytes of a file are sent, then the connection is cut; -1 for all.
        times: so many requests, then the fault is gone; -1 for ever.
    """

    path: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int = -1
    times: int = 1


class Request(NamedTuple):
    """One line of the log; range is the Range header or None."""

    method: str
    path: str
    status: int
    range: str | None
    token: str | None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[Handler]) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        # Kept-alive connections would otherwise go on being answered.
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class FakeHub:
    """Serves `root`; latency in seconds a request, rate in bytes a second and response (0: no limit)."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root = root
        self.tokens = {ALICE: "alice", BOB: "bob"}
        self.latency_s = 0.0
        self.rate = 0
        self.page_size = 0
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        #: Large files that have arrived, by SHA-256.
        self.objects: dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._repos: dict[tuple[str, str], Repo] = {}
        handler = type("BoundHandler", (Handler,), {"hub": self})
        # The storage answers at another address, as at the real Hub: the client follows redirects on the same host
        # while it reads a file's facts (X-Repo-Commit, X-Linked-*), and would lose them.
        self._servers = _Server(("127.0.0.1", port), handler), _Server(("127.0.0.1", 0), handler)
        self.url, self.storage_url = (server.url for server in self._servers)

    def __enter__(self) -> FakeHub:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop()

    def next_request_id(self) -> str:
        return f"Root=1-{next(self._numbers):08x}"

    def log(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def take_fault(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times and fnmatch.fnmatch(path, fault.path):
                    fault.times -= 1
                    return fault
        return None

    def repos(self, kind: str) -> Iterator[Repo]:
        for path in sorted((self.root / kind).glob("*/*")):
            repo = self.repo(kind, f"{path.parent.name}/{path.name}")
            if repo is not None:
                yield repo

    def repo(self, kind: str, repo_id: str) -> Repo | None:
        path = self.root / kind / repo_id
        if ".." in repo_id or "/" not in repo_id or not path.is_dir():
            return None
        with self._lock:
            return self._repos.setdefault((kind, repo_id), Repo(kind, repo_id, path))
