"""Builds one folder that runs without Python; window and engine (`--engine …`) are the same executable.

    python packaging/build_bundle.py [--out dist]

Run it in an environment that holds the program, PyInstaller and the CPU build of PyTorch; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bundle_parts import LICENCES, NAME, ROOT

from dfrot_engine.doctor.licences import licences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="the folder is made in here")
    out = parser.parse_args().out.absolute()
    places = ["--distpath", str(out), "--workpath", str(out / "work")]
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", *places, str(ROOT / "packaging" / f"{NAME}.spec")]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status == 0:
        folder = out / NAME
        add_licences(folder)
        num_bytes = sum(path.lstat().st_size for path in folder.rglob("*"))
        print(f"Built {folder / NAME}, {num_bytes / 1e6:,.0f} MB")
    return status


def add_licences(folder: Path) -> None:
    """The list, and the texts that no package brings along: Python's, ours, and those of Qt."""
    (folder / LICENCES).write_text(licence_list(), encoding="utf-8")
    texts = {"Python": Path(os.__file__).with_name("LICENSE.txt"), NAME: ROOT / "LICENSE"}
    texts |= {path.stem: path for path in (ROOT / "packaging" / "licences").iterdir()}
    for name, path in texts.items():
        if path.is_file():  # some systems keep Python's elsewhere
            shutil.copyfile(path, folder / f"licence-{name}.txt")


def licence_list() -> str:
    """What Help in the window lists, a package a line."""
    rows = [(one.name, one.version, one.licence) for one in licences()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "".join(f"{name:{widths[0]}}  {version:{widths[1]}}  {licence}\n" for name, version, licence in rows)


if __name__ == "__main__":
    sys.exit(main())
