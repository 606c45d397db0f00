"""Where the files that ship with the app lie, in a checkout, an installed wheel or a frozen bundle."""

from __future__ import annotations

import sys
from pathlib import Path


def resources_dir() -> Path:
    """The folder `resources/`: in the bundle, in the installed package data, or beside the packages."""
    bundle = getattr(sys, "_MEIPASS", None)
    candidates = [Path(bundle) / "resources"] if bundle else []
    package = Path(__file__).resolve().parent
    candidates += [package / "_resources", package.parent / "resources"]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise AssertionError(f"resources not found; looked in {candidates}")


def preset_paths() -> tuple[Path, ...]:
    return tuple(sorted((resources_dir() / "recipes").glob("*.toml")))


def preset_path(name: str) -> Path:
    return resources_dir() / "recipes" / f"{name}.toml"


def builtin_text_path(purpose: str) -> Path:
    """The app's own prose; purpose is "calibration" or "evaluation"."""
    return resources_dir() / "text" / f"{purpose}.txt"


def runtimes_path() -> Path:
    """The table of what runtimes load."""
    return resources_dir() / "runtimes.toml"


def serve_check_path() -> Path:
    """The script that runtimes' own environments run."""
    return resources_dir() / "serve_check.py"
