"""What pyproject.toml lists is what there is."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine import __version__

ROOT = Path(__file__).parents[1]
LINUX = ROOT / "packaging" / "linux"
PACKAGE_DATA = "dfrot_engine._resources"


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_and_resource_folder_is_in_the_wheel() -> None:
    listed = set(project()["tool"]["setuptools"]["packages"])
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("dfrot_engine", "dfrot_gui")
        for path in (ROOT / top).rglob("__init__.py")
    }
    folders = {path.name for path in (ROOT / "resources").iterdir() if path.is_dir()} - {"screenshots"}
    assert listed == packages | {PACKAGE_DATA} | {f"{PACKAGE_DATA}.{name}" for name in folders}


def test_the_version_is_the_same_everywhere() -> None:
    metainfo = (LINUX / "dfrot-gui.metainfo.xml").read_text()
    assert re.findall(r'<release version="([^"]+)"', metainfo)[0] == __version__
    assert f"## [{__version__}]" in (ROOT / "packaging" / "CHANGELOG.md").read_text()
    assert project()["project"]["dynamic"] == ["version"]


def test_a_desktop_finds_entry_icons_and_metadata() -> None:
    files = project()["tool"]["setuptools"]["data-files"]
    paths = [ROOT / path for listed in files.values() for path in listed]
    assert {path.suffix for path in paths} == {".desktop", ".xml", ".png"}
    for path in paths:
        assert path.is_file()
        if path.suffix == ".png":
            width, height = struct.unpack(">II", path.read_bytes()[16:24])
            assert path.parent.name == f"{width}x{height}"
    assert {f"share/icons/hicolor/{path.name}/apps" for path in (LINUX / "icons").iterdir()} <= set(files)
    entry = (LINUX / "dfrot-gui.desktop").read_text()
    assert f"Exec={next(iter(project()['project']['gui-scripts']))}\n" in entry


@pytest.mark.parametrize(
    "command",
    [
        ("desktop-file-validate", "dfrot-gui.desktop"),
        ("appstreamcli", "validate", "--no-net", "dfrot-gui.metainfo.xml"),
    ],
)
def test_the_desktops_own_checks_agree(command: tuple[str, ...]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=LINUX, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_dependency_has_a_reason_and_no_bound_shuts_out_a_newer_torch() -> None:
    lines = (ROOT / "pyproject.toml").read_text().partition("\ndependencies = [\n")[2].partition("\n]\n")[0].split("\n")
    assert len(lines) == 2 * len(project()["project"]["dependencies"])
    assert all(reason.startswith("  # ") for reason in lines[::2])
    assert re.fullmatch(r'  "torch>=[\d.]+",', lines[1])
