"""Problems with the device, the folders and the disks."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from dfrot_engine import Plan, RunOptions, plan_checks, plan_places
from tests.engine.plan.conftest import BASE, found


def test_cuda_without_a_driver(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_checks, "has_nvidia_gpu", lambda: False)
    assert "driver" in found(plan(device="cuda"), "options.device").message
    assert plan(device="auto").problems == ()


@pytest.mark.parametrize(("version", "is_fine"), [("2.13.0+cpu", False), ("2.13.0", True), ("2.13.0+cu130", True)])
def test_cuda_with_a_torch_for_cpus(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, version: str, is_fine: bool
) -> None:
    monkeypatch.setattr(plan_checks, "has_nvidia_gpu", lambda: True)
    monkeypatch.setattr(plan_checks.importlib.metadata, "version", lambda _name: version)
    assert (plan(device="cuda").errors == ()) is is_fine


def test_output_folder_with_something_in_it(plan: Callable[..., Plan], options: RunOptions) -> None:
    options.output_dir.mkdir()
    assert plan().problems == ()
    (options.output_dir / "thesis.tex").touch()
    assert "not empty" in found(plan(), "options.output_dir").message
    assert found(plan(overwrite=True), "options.overwrite").severity == "warning"
    assert plan(("exports", [])).problems == ()


def test_own_output_may_be_written_again(plan: Callable[..., Plan], options: RunOptions, model: Path) -> None:
    options.output_dir.mkdir()
    (options.output_dir / "model.safetensors").touch()
    recipe = BASE.with_field("model.id_or_path", str(model))
    marker = options.output_dir / "dfrot.json"
    marker.write_text(json.dumps({"recipe_fingerprint": recipe.fingerprint()}))
    assert plan().problems == ()
    assert found(plan(("calibration.seed", 1)), "options.output_dir").severity == "error"
    for damaged in ("{", "[]", "{}"):
        marker.write_text(damaged)
        assert found(plan(), "options.output_dir").severity == "error"


def test_folders_that_are_never_replaced(plan: Callable[..., Plan], model: Path) -> None:
    for precious in (model, model.parent, Path.home()):
        problem = found(plan(output_dir=precious, overwrite=True), "options.output_dir")
        assert problem.severity == "error"
        assert "not replaced" in problem.message


def test_folders_that_cannot_be_made(plan: Callable[..., Plan], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert "is a file" in found(plan(output_dir=file), "options.output_dir").message
    assert "is a file" in found(plan(output_dir=file / "inside"), "options.output_dir").message
    assert "is a file" in found(plan(work_dir=file), "options.work_dir").message


def test_folder_without_the_right_to_write(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "may not write" in found(plan(), "options.output_dir").message


def test_disk_that_is_too_small(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=plan_places.RESERVE_BYTES))
    problem = found(plan(), "options.output_dir")
    assert problem.severity == "error"
    assert "0 MB" in problem.message or "1 MB" in problem.message
    assert "200 MB are free" in problem.message
