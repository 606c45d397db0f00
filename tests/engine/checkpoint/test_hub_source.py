"""Models on the Hub: facts from small requests, downloads, and every way it can go wrong."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from filelock import FileLock
from huggingface_hub import constants

from dfrot_engine import Cancelled, DiskError, HubError, ModelError
from dfrot_engine.checkpoint.source import fetch, inspect
from dfrot_engine.recipe import ModelSource
from tests.engine.checkpoint.conftest import SOURCE, forget, no_progress, set_card
from tests.engine.checkpoint.folders import shard_bytes
from tests.fake_hub import FakeHub, Fault


def incomplete_files(cache: Path) -> list[Path]:
    return list(cache.rglob("*.incomplete"))


def test_facts_come_without_the_weights(hub: FakeHub, repo: Path, hub_cache: Path) -> None:
    set_card(repo, cardData={"license": "mit"})
    (repo / "consolidated.safetensors").write_bytes(b"a second copy nobody needs")
    (repo / "modeling_tiny.py").write_text("raise SystemExit")
    (repo / "pytorch_model.bin").write_bytes(b"pickle")
    facts = inspect(SOURCE)
    assert facts.folder is None
    assert facts.config["hidden_size"] == 64
    assert facts.headers["lm_head.weight"].shape == (64, 64)
    assert (facts.license, facts.gated, len(facts.revision)) == ("mit", False, 40)
    names = {file.name for file in facts.files}
    assert "model-00001-of-00002.safetensors" in names
    assert not names & {"consolidated.safetensors", "modeling_tiny.py", "pytorch_model.bin"}
    # config.json and the index are already here: they were read.
    here = {"config.json", "model.safetensors.index.json"}
    assert facts.download_bytes == sum(file.bytes for file in facts.files if file.name not in here)
    ranges = [request.range for request in hub.requests if "_storage" in request.path]
    assert len(ranges) == 2
    assert all(ranges)


def test_facts_are_asked_once(hub: FakeHub, repo: Path) -> None:
    inspect(SOURCE)
    count = len(hub.requests)
    inspect(SOURCE)
    assert len(hub.requests) == count


def test_header_longer_than_the_first_request(hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfrot_engine.checkpoint.hub_facts.FIRST_BYTES", 100)
    assert inspect(SOURCE).headers["model.norm.weight"].shape == (64,)


def test_fetch_downloads_what_is_needed_and_reports(hub: FakeHub, repo: Path, hub_cache: Path) -> None:
    (repo / "modeling_tiny.py").write_text("raise SystemExit")
    (repo / "consolidated.safetensors").write_bytes(b"a second copy nobody needs")
    (repo / "original").mkdir()
    (repo / "original" / "params.json").write_text("{}")
    total = inspect(SOURCE).download_bytes
    calls: list[tuple[int, int, str]] = []
    folder = fetch(SOURCE, lambda *call: calls.append(call))
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert calls[0][:2] == (0, total)
    assert calls[-1] == (total, total, "Downloading org/tiny")
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert inspect(SOURCE).folder == folder
    assert not incomplete_files(hub_cache)


def test_downloaded_model_works_without_network(
    hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch, hub_cache: Path
) -> None:
    folder = fetch(SOURCE, no_progress)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    forget()
    count = len(hub.requests)
    facts = inspect(SOURCE)
    assert facts.folder == folder == fetch(SOURCE, no_progress)
    assert (facts.download_bytes, facts.license, facts.id) == (0, "apache-2.0", "org/tiny")
    assert len(hub.requests) == count


def test_half_a_download_is_no_model(hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetch(SOURCE, no_progress)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert inspect(SOURCE).folder is None
    assert inspect(SOURCE).download_bytes == (repo / "model-00002-of-00002.safetensors").stat().st_size


def test_cancel_stops_soon_keeps_finished_files_and_resumes(hub: FakeHub, repo: Path, hub_cache: Path) -> None:
    big = repo / "model-00001-of-00002.safetensors"
    data = 40_000_000
    header = {"big": {"dtype": "I8", "shape": [data], "data_offsets": [0, data]}}
    big.write_bytes(shard_bytes(header, data))
    index = {"weight_map": {"big": big.name}}
    (repo / "model.safetensors.index.json").write_text(json.dumps(index))
    hub.rate = 60_000_000

    def stop_midway(done: int, total: int, label: str) -> None:
        if done > 5_000_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch(SOURCE, stop_midway)
    assert not incomplete_files(hub_cache)
    forget()
    left = inspect(SOURCE)
    assert left.folder is None
    assert data < left.download_bytes < data + 1000
    hub.rate = 0
    folder = fetch(SOURCE, no_progress)
    assert (folder / big.name).stat().st_size == big.stat().st_size


def test_a_stopped_download_leaves_that_of_another_window_alone(hub: FakeHub, repo: Path, hub_cache: Path) -> None:
    """The client holds a file's lock while it writes it, under a name that no other process would take up again."""
    room = "models--org--tiny"
    blobs, locks = hub_cache / room / "blobs", hub_cache / ".locks" / room
    blobs.mkdir(parents=True)
    locks.mkdir(parents=True)
    theirs, nobodys = blobs / "0123.aaaaaaaa.incomplete", blobs / "4567.bbbbbbbb.incomplete"
    theirs.touch()
    nobodys.touch()

    def stop(done: int, total: int, label: str) -> None:
        if done:
            raise Cancelled

    with FileLock(locks / "0123.lock"), pytest.raises(Cancelled):
        fetch(SOURCE, stop)
    assert incomplete_files(hub_cache) == [theirs]


def test_cut_connection_is_taken_up_again(hub: FakeHub, repo: Path) -> None:
    hub.faults.append(Fault("/_storage/*00001-of*", drop_after=1000, times=1))
    inspect(SOURCE)
    hub.faults.append(Fault("/_storage/*00002-of*", drop_after=1000, times=1))
    folder = fetch(SOURCE, no_progress)
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        assert (folder / name).read_bytes() == (repo / name).read_bytes()


@pytest.mark.usefixtures("hub")
def test_unknown_model() -> None:
    with pytest.raises(ModelError, match="knows no model 'org/missing'") as caught:
        inspect(ModelSource(id_or_path="org/missing"))
    assert "spelling" in caught.value.remedy
    assert "hf auth login" in caught.value.remedy


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", ["a b", "-x/y", "org/na..me", "x" * 200])
def test_impossible_id(name: str) -> None:
    with pytest.raises(ModelError, match="neither a model on the Hub nor a path"):
        inspect(ModelSource(id_or_path=name))


def test_unknown_revision(repo: Path) -> None:
    with pytest.raises(ModelError, match="no revision 'v9'") as caught:
        inspect(ModelSource(id_or_path="org/tiny", revision="v9"))
    assert caught.value.field == "model.revision"


@pytest.mark.parametrize("call", [inspect, lambda source: fetch(source, no_progress)])
def test_no_network(call, hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"Cannot reach http://127\.0\.0\.1:9") as caught:
        call(SOURCE)
    assert "network" in caught.value.remedy


def test_offline_by_choice(hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        inspect(SOURCE)
    assert not hub.requests


def test_slow_hub_times_out(hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfrot_engine.checkpoint.hub_facts.TIMEOUT_S", 0.2)
    hub.latency_s = 1.0
    with pytest.raises(HubError, match="did not answer in time"):
        inspect(SOURCE)


@pytest.mark.parametrize(("status", "words"), [(500, "error 500"), (429, "fewer requests"), (403, "no right")])
def test_hub_refuses(hub: FakeHub, repo: Path, status: int, words: str) -> None:
    hub.faults.append(Fault("/api/models/*", status=status, times=-1))
    with pytest.raises(HubError, match=words):
        inspect(SOURCE)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("config.json", "pytorch_model.bin"), "only as pickles"),
        (("config.json", "model.pt"), "only as pickles"),
        (("tiny.Q4_0.gguf",), "holds GGUF files"),
        (("adapter_config.json", "adapter_model.safetensors"), "is an adapter"),
        (("model.safetensors",), "no config.json"),
        (("config.json",), "no safetensors"),
        ((), "no config.json"),
    ],
)
def test_repositories_that_cannot_be_used(hub: FakeHub, files: tuple[str, ...], words: str) -> None:
    repo = hub.root / "models" / "org" / "tiny"
    repo.mkdir(parents=True)
    for name in files:
        (repo / name).write_text("{}")
    for call in (inspect, lambda source: fetch(source, no_progress)):
        with pytest.raises(ModelError, match=words) as caught:
            call(SOURCE)
        assert caught.value.remedy


def test_broken_config(hub: FakeHub, repo: Path) -> None:
    (repo / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json is not valid JSON"):
        inspect(SOURCE)


def test_broken_shard(hub: FakeHub, repo: Path) -> None:
    path = repo / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors is damaged"):
        inspect(SOURCE)


def test_index_names_a_shard_that_is_not_there(hub: FakeHub, repo: Path) -> None:
    (repo / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks model-00002-of-00002\.safetensors"):
        inspect(SOURCE)


def test_no_tokenizer(hub: FakeHub, repo: Path) -> None:
    (repo / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        fetch(SOURCE, no_progress)


def test_what_progress_raises_comes_through_as_it_is(hub: FakeHub, repo: Path) -> None:
    def stop(done: int, total: int, label: str) -> None:
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        fetch(SOURCE, stop)


def test_full_disk(hub: FakeHub, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **settings: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dfrot_engine.checkpoint.hub_download.snapshot_download", no_space)
    with pytest.raises(DiskError, match="No space left") as caught:
        fetch(SOURCE, no_progress)
    assert "HF_HOME" in caught.value.remedy
