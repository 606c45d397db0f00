"""What `dfrot doctor` finds, and that it answers whatever is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dfrot_engine
from dfrot_engine.doctor import computer, examine, hub, packages
from dfrot_engine.doctor.diagnostics import diagnostics, scrubbed
from dfrot_engine.doctor.finding import Finding
from dfrot_engine.doctor.licences import licences

ROOT = Path(__file__).parents[3]
TOKEN = "hf_" + "PlantedSecret0123456789"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def doctor(*arguments: str, first_on_path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, filter(None, (first_on_path, ROOT))))
    return subprocess.run(
        [sys.executable, "-m", "dfrot_engine", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"} | environment,
    )


def test_json_says_the_same_and_no_torch_is_loaded(tmp_path: Path) -> None:
    started = time.monotonic()
    done = doctor("doctor", "--json", "--output", str(tmp_path / "not" / "there"))
    assert time.monotonic() - started < 20
    report = json.loads(done.stdout)
    assert report["version"] == dfrot_engine.__version__
    assert report["is_ready"] is (done.returncode == 0)
    names = {finding["name"] for finding in report["findings"]}
    wanted = {"Python", "torch", "Qt", "GPU", "CUDA in PyTorch", "fast-hadamard-transform", "transformers", "peft"}
    assert wanted | {"compressed-tensors", "lm-eval", "Hub cache", "connection", "login"} <= names
    by_name = {finding["name"]: finding for finding in report["findings"]}
    assert by_name["torch"]["value"] == packages.version_of("torch")
    assert str(tmp_path) in by_name["current folder"]["value"]


@pytest.mark.parametrize("broken", ["pydantic", "numpy", "rich", "platformdirs", "pynvml", "packaging"])
def test_a_broken_package_is_a_finding_or_a_sentence(broken: str, tmp_path: Path) -> None:
    (tmp_path / f"{broken}.py").write_text("raise RuntimeError('half of it is gone')")
    done = doctor("doctor", first_on_path=tmp_path)
    assert "Traceback" not in done.stderr + done.stdout
    assert "Packages" in done.stdout
    assert "Disk" in done.stdout
    plan = doctor("--version", first_on_path=tmp_path)
    assert "Traceback" not in plan.stderr
    if plan.returncode:
        assert "dfrot doctor" in plan.stderr


def test_a_check_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: None) -> None:
    def fails() -> tuple[Finding, ...]:
        raise OSError("no such device")

    monkeypatch.setattr(examine, "computer_findings", fails)
    findings = examine.examine(tmp_path)
    assert [one for one in findings if one.status == "broken" and "no such device" in one.note]
    assert findings[-1].group == packages.RUNTIMES


def test_versions_out_of_bounds_and_packages_that_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_bounds", lambda: {"numpy": ">=99", "rich": ">=1"})
    monkeypatch.setattr(packages, "version_of", lambda name: None if name in ("torch", "lm-eval") else "9.0")
    found = {finding.name: finding for finding in packages.package_findings()}
    assert found["torch"].status == "missing"
    assert "install" in found["torch"].remedy
    assert found["lm-eval"].status == "absent"
    assert "dfrot-gui[tasks]" in found["lm-eval"].remedy
    assert found["numpy"].status == "broken"
    assert "numpy>=99" in found["numpy"].remedy
    assert found["rich"].status == "ok"


def test_a_bundle_is_not_told_to_install_what_it_can_never_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(packages, "version_of", lambda name: None if name in ("torch", "lm-eval") else "9.0")
    found = {finding.name: finding for finding in packages.package_findings()}
    assert found["torch"].remedy == "Install the program again."
    assert "pip" in found["lm-eval"].remedy


@pytest.mark.parametrize(
    ("gpus", "cuda", "statuses"),
    [([], "", ("absent", "absent", "absent")), (["H100, 80 GB"], "", ("ok", "slow", "absent"))],
)
def test_a_gpu_that_pytorch_cannot_use_is_slow(
    gpus: list[str], cuda: str, statuses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computer, "gpu_names", lambda: gpus)
    monkeypatch.setattr(computer, "torch_cuda", lambda: cuda)
    found = {finding.name: finding for finding in computer.computer_findings()}
    names = ("GPU", "CUDA in PyTorch", "fast-hadamard-transform")
    assert tuple(found[name].status for name in names[:2]) == statuses[:2]
    if gpus:
        assert "install torch" in found["CUDA in PyTorch"].remedy


def test_the_transform_is_missed_where_a_gpu_would_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computer, "gpu_names", lambda: ["H100, 80 GB"])
    monkeypatch.setattr(computer, "torch_cuda", lambda: "13.0")
    monkeypatch.setattr(computer, "version_of", lambda name: "2.13.0" if name == "torch" else None)
    found = {finding.name: finding for finding in computer.computer_findings()}
    assert found["fast-hadamard-transform"].status == "slow"
    assert "dfrot-gui[cuda]" in found["fast-hadamard-transform"].remedy


def test_a_small_disk_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(computer, "ROOM_BYTES", 1e18)
    assert {finding.status for finding in computer.disk_findings(tmp_path)} == {"slow"}


def test_hub_says_where_the_token_is_and_not_what(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for name in hub.TOKEN_NAMES:
        monkeypatch.delenv(name, raising=False)
    connection, login = hub.hub_findings()
    assert (connection.status, login.status) == ("absent", "absent")
    assert "secret" not in repr(connection)
    (tmp_path / "token").write_text(TOKEN)
    assert list(hub.hub_findings())[1].value == "signed in (a saved token)"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "HF_TOKEN" in list(hub.hub_findings())[1].value
    assert TOKEN not in repr(list(hub.hub_findings()))
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    assert next(iter(hub.hub_findings())).status == "broken"


def test_diagnostics_hold_no_token_and_no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: None) -> None:
    home = tmp_path / "home" / "planted-name"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", "an-odd-secret")
    monkeypatch.setenv("HF_HOME", str(home / ".hub"))
    (home / ".hub").mkdir()
    (home / ".hub" / "token").write_text("another-odd-secret\n")
    planted = f"{home}/x an-odd-secret another-odd-secret {TOKEN} https://me:pass@host/"
    findings = (*examine.examine(home), Finding("Hub", "planted", "ok", planted))
    assert str(home) in repr(findings)
    text = diagnostics(findings)
    assert "~/x [token] [token] [token] https://host/" in text
    for secret in ("planted-name", "odd-secret", TOKEN, "pass@"):
        assert secret not in text


def test_scrubbing_leaves_ordinary_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert scrubbed("torch 2.13 at /opt/models") == "torch 2.13 at /opt/models"


def test_licences_name_what_is_shipped() -> None:
    found = {entry.name.lower().replace("_", "-"): entry for entry in licences()}
    assert {"torch", "transformers", "pyside6-essentials", "shiboken6", "numpy", "tokenizers"} <= found.keys()
    assert "LGPL" in found["pyside6-essentials"].licence
    assert "pytest" not in found
    assert all(entry.licence for entry in found.values())


def test_every_name_of_the_front_door_is_there() -> None:
    assert all(getattr(dfrot_engine, name) is not None for name in dfrot_engine.__all__)
    with pytest.raises(AttributeError):
        _ = dfrot_engine.no_such_name  # pyright: ignore[reportAttributeAccessIssue]


def test_a_reader_that_leaves_early_is_no_fault() -> None:
    command = f"{sys.executable} -m dfrot_engine doctor | true"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.stderr == ""
