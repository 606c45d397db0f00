"""Builds one folder that runs without Python; window and engine (`--engine …`) are the same executable.

    python packaging/build_bundle.py [--out dist]

Run it in an environment that holds the program, PyInstaller and the CPU build of PyTorch; nothing is downloaded.
"""

from __future__ import annotations

import argparse
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
        (folder / LICENCES).write_text(licence_list(), encoding="utf-8")
        num_bytes = sum(path.lstat().st_size for path in folder.rglob("*"))
        print(f"Built {folder / NAME}, {num_bytes / 1e6:,.0f} MB")
    return status


def licence_list() -> str:
    """What Help in the window lists, a package a line."""
    rows = [(one.name, one.version, one.licence) for one in licences()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "".join(f"{name:{widths[0]}}  {version:{widths[1]}}  {licence}\n" for name, version, licence in rows)


if __name__ == "__main__":
    sys.exit(main())
