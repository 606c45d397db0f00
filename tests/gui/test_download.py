"""Downloads against the stand-in Hub: progress, pause, breaks, refusals; and what the panel shows of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfrot_engine import HubError
from dfrot_engine.checkpoint.hub_cache import cached_bytes, delete_cached, is_downloaded
from dfrot_gui.download import Download, DownloadState
from dfrot_gui.hub_actions import HubActions
from dfrot_gui.pages.model_download import ModelDownload, progress_text
from tests.engine.checkpoint.conftest import hub, hub_cache, repo, set_card  # noqa: F401 - fixtures
from tests.engine.checkpoint.folders import save_model
from tests.fake_hub import FakeHub, Fault

MODEL = "org/tiny"
BIG_BYTES = 12_000_000


@pytest.fixture
def download(hub: FakeHub, repo: Path) -> Iterator[Download]:  # noqa: F811
    """Of a model whose license text makes it big enough to be stopped on the way."""
    (repo / "LICENSE.txt").write_bytes(os.urandom(BIG_BYTES))
    download = Download(HubActions().fetch)
    yield download
    download.cancel()
    hub.rate = 0
    download.wait(10)


def started(qtbot, download: Download, hub: FakeHub, rate: int = 6_000_000) -> None:  # noqa: F811
    hub.rate = rate
    download.start(MODEL)
    qtbot.waitUntil(lambda: download.state.done_bytes > 1_000_000, timeout=10_000)


def ended(qtbot, download: Download) -> DownloadState:
    qtbot.waitUntil(lambda: not download.state.is_active, timeout=15_000)
    return download.state


def ranges(hub: FakeHub) -> list[str]:  # noqa: F811
    return [one.range or "" for one in hub.requests if "LICENSE" in one.path and one.method == "GET" and one.range]


def test_a_download_tells_how_far_it_is(qtbot, download: Download, hub: FakeHub) -> None:  # noqa: F811
    started(qtbot, download, hub)
    qtbot.waitUntil(lambda: download.state.bytes_per_s > 0)
    state = download.state
    assert state.total_bytes > BIG_BYTES
    assert 1_000_000 < state.bytes_per_s < 30_000_000
    assert 0 < (state.left_s or 0) < 60
    hub.rate = 0
    assert ended(qtbot, download).status == "finished"
    assert is_downloaded(MODEL)


def test_a_pause_holds_the_bytes_and_loses_none(qtbot, download: Download, hub: FakeHub, hub_cache: Path) -> None:  # noqa: F811
    started(qtbot, download, hub)
    download.pause()
    qtbot.wait(400)
    held = download.state.done_bytes
    qtbot.wait(500)
    assert download.state.status == "paused"
    assert held <= download.state.done_bytes < BIG_BYTES  # a word that was on its way may still arrive
    assert download.state.done_bytes - held < 1_500_000
    assert not list(hub_cache.rglob("LICENSE.txt"))
    num_requests = len([one for one in hub.requests if "LICENSE" in one.path and one.method == "GET"])
    hub.rate = 0
    download.resume()
    assert ended(qtbot, download).status == "finished"
    assert len([one for one in hub.requests if "LICENSE" in one.path and one.method == "GET"]) == num_requests


def test_cancel_leaves_finished_files_only(qtbot, download: Download, hub: FakeHub, hub_cache: Path) -> None:  # noqa: F811
    started(qtbot, download, hub)
    download.pause()
    download.cancel()
    assert ended(qtbot, download).status == "stopped"
    assert not list(hub_cache.rglob("*.incomplete"))
    hub.rate = 0
    hub.requests.clear()
    download.start(MODEL)
    assert ended(qtbot, download).status == "finished"
    assert not [one for one in hub.requests if "config.json" in one.path and one.method == "GET" and one.status == 200]


def test_a_broken_connection_goes_on_by_range(qtbot, download: Download, hub: FakeHub) -> None:  # noqa: F811
    hub.faults.append(Fault("/_storage/*LICENSE*", drop_after=11_000_000, times=1))
    download.start(MODEL)
    assert ended(qtbot, download).status == "finished"
    assert any(one.startswith("bytes=") and one != "bytes=0-0" for one in ranges(hub))


@pytest.mark.parametrize(("status", "words"), [(403, "no right to read"), (429, "fewer requests")])
def test_a_refusal_is_said(qtbot, download: Download, hub: FakeHub, status: int, words: str) -> None:  # noqa: F811
    hub.faults.append(Fault("/api/models/org/tiny*", status=status, headers={"Retry-After": "0"}, times=-1))
    download.start(MODEL)
    state = ended(qtbot, download)
    assert state.status == "failed"
    assert isinstance(state.error, HubError)
    assert words in state.error.message


def test_a_gated_model_is_refused_to_strangers(qtbot, download: Download, repo: Path) -> None:  # noqa: F811
    set_card(repo, gated="manual", granted=["alice"])
    download.start(MODEL)
    state = ended(qtbot, download)
    assert state.error is not None
    assert "is gated" in state.error.message


def test_the_panel_downloads_pauses_and_deletes(qtbot, download: Download, hub: FakeHub) -> None:  # noqa: F811
    asked: list[tuple[str, int]] = []
    panel = ModelDownload(download, HubActions(), lambda _, model, size: asked.append((model, size)) is None)
    qtbot.addWidget(panel)
    panel.show()
    panel.set_model(MODEL, "main", BIG_BYTES, is_kept=False)
    assert panel.download_button.text().strip() == "Download 12.0 MB"
    assert not panel.delete_button.isVisible()
    hub.rate = 6_000_000
    panel.download_button.click()
    qtbot.waitUntil(lambda: download.state.done_bytes > 1_000_000, timeout=10_000)
    assert panel.progress_box.isVisible()
    assert 0 < panel.bar.value() < 1000
    panel.pause_button.click()
    assert panel.pause_button.text().strip() == "Resume"
    assert "paused" in panel.numbers.text()
    hub.rate = 0
    panel.pause_button.click()
    ended(qtbot, download)
    assert not panel.progress_box.isVisible()
    panel.set_model(MODEL, "main", 0, is_kept=True)
    size = cached_bytes(MODEL)
    assert size > BIG_BYTES
    with qtbot.waitSignal(panel.files_changed):
        panel.delete_button.click()
    assert asked == [(MODEL, size)]
    assert not is_downloaded(MODEL)
    assert cached_bytes(MODEL) == 0
    assert "free again" in panel.notice.text


def test_nothing_is_deleted_without_a_yes(qtbot, download: Download, repo: Path) -> None:  # noqa: F811
    (repo / "LICENSE.txt").unlink()
    download.start(MODEL)
    ended(qtbot, download)
    asked: list[int] = []
    panel = ModelDownload(download, HubActions(), lambda _, __, size: bool(asked.append(size)))
    qtbot.addWidget(panel)
    panel.set_model(MODEL, "main", 0, is_kept=True)
    panel.delete_button.click()
    qtbot.waitUntil(lambda: bool(asked))
    assert is_downloaded(MODEL)


def test_deleting_spares_other_models(qtbot, download: Download, hub: FakeHub, repo: Path) -> None:  # noqa: F811
    (repo / "LICENSE.txt").unlink()
    save_model(hub.root / "models" / "org" / "other", num_shards=1)
    for model in (MODEL, "org/other"):
        download.start(model)
        assert ended(qtbot, download).status == "finished"
    assert delete_cached(MODEL) > 0
    assert is_downloaded("org/other")
    assert delete_cached("org/never") == 0


def test_progress_in_words() -> None:
    state = DownloadState("a/b", "main", "running", 1_200_000_000, 4_400_000_000, 32_000_000.0)
    assert progress_text(state) == "1.2 GB of 4.4 GB · 32.0 MB/s · about 2 min left"
    assert progress_text(DownloadState("a/b", status="running")) == "Asking the Hub…"
