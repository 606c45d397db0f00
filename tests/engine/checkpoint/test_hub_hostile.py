"""A server that calls itself a Hub and answers anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfrot_engine.checkpoint.hub import HubModel, search_models
from dfrot_engine.checkpoint.hub_facts import inspect_hub
from tests.engine.checkpoint.conftest import forget
from tests.engine.hostile.asking import FEW, TEXTS, VALUES, outcome

MODEL = {"id": "org/tiny", "sha": "c0ffee", "siblings": [{"rfilename": "config.json", "size": 2}], "tags": []}
FIELDS = ("id", "sha", "siblings", "tags", "gated", "cardData", "safetensors", "lastModified", "config", "downloads")
SIBLING = st.dictionaries(st.sampled_from(["rfilename", "size", "lfs", "blobId"]), VALUES, max_size=4)
CHANGED = st.dictionaries(st.sampled_from(FIELDS), st.one_of(VALUES, st.lists(SIBLING, max_size=2)), max_size=3)


@pytest.fixture
def answers(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The first entry is what the server says to every question."""
    said = [b"{}"]

    class Anything(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(said[0])))
            self.end_headers()
            self.wfile.write(said[0])

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Anything)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield said
    server.shutdown()
    server.server_close()
    thread.join()


@FEW
@given(changed=CHANGED)
def test_any_card_is_facts_or_refused(answers: list[bytes], changed: dict[str, Any]) -> None:
    answers[0] = json.dumps(MODEL | changed).encode()
    forget()
    outcome(lambda: inspect_hub("org/tiny", "main"))


@FEW
@given(
    items=st.one_of(
        VALUES, st.lists(CHANGED.map(lambda changed: MODEL | changed), max_size=3), st.just([{"id": TEXTS}])
    )
)
def test_any_list_is_models_or_refused(answers: list[bytes], items: Any) -> None:
    answers[0] = json.dumps(items, default=str).encode()
    found = outcome(lambda: search_models("x"))
    assert found is None or all(isinstance(model, HubModel) for model in found)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff", b"", b"<html>", b"9" * 10_000])
def test_what_is_no_answer_is_refused(answers: list[bytes], body: bytes) -> None:
    answers[0] = body
    forget()
    assert outcome(lambda: search_models("x"), "Hub", "127.0.0.1") is None
    assert outcome(lambda: inspect_hub("org/tiny", "main"), "Hub", "127.0.0.1", "org/tiny") is None
