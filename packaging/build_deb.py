"""Builds a Debian package from the folder that `build_bundle.py` has made.

    python packaging/build_deb.py [--out dist]

Needs Debian or a relative with dpkg-dev; the maintainer is `DEBFULLNAME` and `DEBEMAIL`, as everywhere in Debian.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from bundle_parts import COMMAND, METAINFO, NAME, ROOT
from manual_pages import manual_pages

from dfrot_engine import __version__

PROGRAM = Path("usr/lib") / NAME
DOC = Path("usr/share/doc") / NAME
LINUX = ROOT / "packaging" / "linux"
DEBIAN = ROOT / "packaging" / "debian"
#: One for the packaging itself, should it be mended while the program stays.
REVISION = 1
VERSION = f"{__version__}-{REVISION}"
#: Where each file of packaging/linux goes; icons go below the last.
PLACES = {".desktop": "usr/share/applications", ".xml": "usr/share/metainfo", ".png": "usr/share/icons/hicolor"}
#: Started by others as programs of their own.
EXECUTABLE = (f"{PROGRAM}/{NAME}", f"{PROGRAM}/_internal/torch/bin/torch_shm_manager")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="holds the folder; the package is written here")
    out = parser.parse_args().out.absolute()
    if not (out / NAME / NAME).is_file():
        sys.exit(f"{out / NAME} is not there. Run `python packaging/build_bundle.py` first.")
    architecture = output_of("dpkg", "--print-architecture").strip()
    package = out / f"{NAME}_{VERSION}_{architecture}.deb"
    with tempfile.TemporaryDirectory(dir=out) as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(out / NAME, tree / PROGRAM, symlinks=True)
        add_links(tree)
        add_desktop_files(tree)
        add_documents(tree)
        set_modes(tree)
        add_control(tree, architecture)
        command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z12", "--build", str(tree), str(package)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(f"Built {package}, {package.stat().st_size / 1e6:,.0f} MB")
    return 0


def add_links(tree: Path) -> None:
    """One executable under two names."""
    commands = tree / "usr/bin"
    commands.mkdir(parents=True)
    for name in (NAME, COMMAND):
        (commands / name).symlink_to(Path("../lib") / NAME / NAME)


def add_desktop_files(tree: Path) -> None:
    for path in sorted(LINUX.rglob("*.*")):
        below = path.parent.relative_to(LINUX / "icons") / "apps" if path.suffix == ".png" else Path()
        copy(path, tree / PLACES[path.suffix] / below / path.name)


def add_documents(tree: Path) -> None:
    """Licence, every shipped package's licence, manual pages, changes."""
    copy(DEBIAN / "copyright", tree / DOC / "copyright")
    for path in (tree / PROGRAM).glob("licence*.txt"):
        path.rename(tree / DOC / path.name)
    compress((ROOT / "packaging" / "CHANGELOG.md").read_bytes(), tree / DOC / "changelog.gz")
    entry = f"{NAME} ({VERSION}) stable; urgency=medium\n\n  * What changed for users is in changelog.gz.\n\n"
    signed = f" -- {maintainer()}  {format_datetime(date_of_release())}\n"
    compress((entry + signed).encode(), tree / DOC / "changelog.Debian.gz")
    for name, page in manual_pages().items():
        compress(page.encode(), tree / "usr/share/man/man1" / f"{name}.1.gz")
    copy(DEBIAN / "lintian-overrides", tree / "usr/share/lintian/overrides" / NAME)


def set_modes(tree: Path) -> None:
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or str(path.relative_to(tree)) in EXECUTABLE else 0o644)


def add_control(tree: Path, architecture: str) -> None:
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    control = tree / "DEBIAN"
    control.mkdir()  # by it dpkg-shlibdeps knows where the package begins
    fields = {
        "Package": NAME,
        "Version": VERSION,
        "Architecture": architecture,
        "Maintainer": maintainer(),
        "Installed-Size": str(sum(path.stat().st_size for path in files) // 1024),
        "Depends": ", ".join(depends(tree)),
        "Section": "science",
        "Priority": "optional",
    }
    description = (DEBIAN / "description").read_text(encoding="utf-8")
    lines = [f"{field}: {value}\n" for field, value in fields.items()]
    (control / "control").write_text("".join(lines) + description, encoding="utf-8")
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files]
    (control / "md5sums").write_text("".join(sums), encoding="utf-8")
    for path in (control, *control.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)


def depends(tree: Path) -> list[str]:
    """Packages of Debian that hold the libraries our files link to, and those that Qt opens by name.

    dpkg-shlibdeps fails where a library is neither in the folder nor in any package: then something was left out
    that is needed.
    """
    internal = tree / PROGRAM / "_internal"
    linked = sorted(str(path) for path in (tree / PROGRAM).rglob("*") if is_elf(path))
    homes = sorted({f"-l{Path(path).parent}" for path in linked})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "debian").mkdir()
        (Path(folder) / "debian" / "control").write_text(f"Source: {NAME}\n\nPackage: {NAME}\nArchitecture: any\n")
        # Ours are searched first and belong to no package; what they say of themselves is of no interest.
        words = [
            "dpkg-shlibdeps",
            "-O",
            "--warnings=0",
            "--ignore-missing-info",
            f"-l{internal}",
            *homes,
            f"-x{NAME}",
            *linked,
        ]
        answer = output_of(*words, cwd=folder)
    found = answer.partition("shlibs:Depends=")[2].strip().split(", ")
    named = {re.split(r"[ (]", one)[0] for one in found}
    return sorted(
        [*found, *(name for name in opened_by_qt() if name not in named), "fonts-dejavu-core | fonts-freefont-ttf"]
    )


def opened_by_qt() -> list[str]:
    """The tables of packaging/setup.sh, which says the same to people without this package."""
    lines = (ROOT / "packaging" / "setup.sh").read_text(encoding="utf-8")
    return re.findall(r"\blib[\w.+-]+\.so\.\d+=([\w.+-]+)", lines)


def is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def maintainer() -> str:
    developer = re.search(r"<developer[^>]*>\s*<name>(.*?)</name>", METAINFO.read_text(encoding="utf-8"), re.DOTALL)
    assert developer
    name, address = os.environ.get("DEBFULLNAME", developer[1]), os.environ.get("DEBEMAIL", "nobody@dfrot.invalid")
    return f"{name} <{address}>"


def date_of_release() -> datetime:
    released = re.search(rf'<release version="{re.escape(__version__)}" date="([\d-]+)"', METAINFO.read_text())
    assert released
    return datetime.fromisoformat(released[1]).replace(tzinfo=UTC)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def compress(text: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))


def output_of(*command: str, cwd: str | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed; what it said is above.")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
