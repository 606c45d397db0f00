"""What pyproject.toml lists is what there is."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE_DATA = "dfrot_engine._resources"


def test_every_package_and_resource_folder_is_in_the_wheel() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("dfrot_engine", "dfrot_gui")
        for path in (ROOT / top).rglob("__init__.py")
    }
    folders = {path.name for path in (ROOT / "resources").iterdir() if path.is_dir()} - {"screenshots"}
    assert listed == packages | {PACKAGE_DATA} | {f"{PACKAGE_DATA}.{name}" for name in folders}
