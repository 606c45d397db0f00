"""Licences of everything the program needs, and the vulnerabilities that are known of the versions it was tested with.

python packaging/audit.py                   # in the program's environment; takes a minute and the network
python packaging/audit.py --only pillow     # vulnerabilities of some packages; --licences asks no network at all

The exit status is 1 where a licence is not listed below or a vulnerability is known, 2 where nobody could be asked.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "packaging" / "constraints.txt"

_PERMISSIVE = "asks for its notice, which the wheel or the bundle carries"
_BESIDE = "copyleft of its own files, which are used as they are and can be replaced"
#: What a licence calls itself → why it may be used by a program under Apache-2.0.
ALLOWED: dict[str, str] = {
    r"Apache( Software License|[- ]2\.0)?( License)?|Apache-2\.0 WITH LLVM-exception": _PERMISSIVE,
    r"MIT( License)?|MIT-CMU|HPND|ISC( License \(ISCL\))?|Zlib|BSL-1\.0|CNRI-Python": _PERMISSIVE,
    r"BSD( License|-[23]-Clause)?|0BSD": _PERMISSIVE,
    r"PSF-2\.0|Python Software Foundation License": _PERMISSIVE,
    r"CC0-1\.0|Unlicense": "given up by its authors",
    r"MPL-2\.0|Mozilla Public License 2\.0 \(MPL 2\.0\)": _BESIDE,
    r"LGPL-3\.0-only": f"{_BESIDE}: Qt is linked as a library",
}


def refused(licences: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each (package, licence) that is not allowed: of "A OR B" one has to be, of "A AND B" both."""
    return [f"{name}: {licence}" for name, licence in licences if not _is_allowed(licence)]


def _is_allowed(expression: str) -> bool:
    plain = expression.replace("(MPL 2.0)", "[MPL 2.0]").replace("(ISCL)", "[ISCL]")
    choices = re.split(r" OR ", plain.replace("(", "").replace(")", ""))
    return any(all(map(_is_listed, re.split(r" AND |, ", choice))) for choice in choices)


def _is_listed(licence: str) -> bool:
    name = licence.strip().replace("[", "(").replace("]", ")")
    return any(re.fullmatch(pattern, name) for pattern in ALLOWED)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python packaging/audit.py", description=__doc__)
    parser.add_argument("--licences", action="store_true", help="licences alone")
    parser.add_argument("--only", nargs="+", metavar="PACKAGE", help="vulnerabilities of these packages alone")
    chosen = parser.parse_args(arguments)
    status = _audit_licences()
    return status if chosen.licences else max(status, _audit_versions(chosen.only))


def _audit_licences() -> int:
    sys.path.insert(0, str(ROOT))
    from dfrot_engine.doctor.licences import licences

    found = licences()
    wrong = refused((one.name, one.licence) for one in found)
    print(f"Licences: {len(found)} packages, {len(wrong)} not on the list of packaging/audit.py.")
    print("".join(f"  {line}\n" for line in wrong), end="")
    return int(bool(wrong))


def _audit_versions(only: Sequence[str] | None) -> int:
    """pip-audit of the tested versions, in an environment that is deleted again."""
    lines = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if "==" in line]
    wanted = [line for line in lines if only is None or line.partition("==")[0] in only]
    with tempfile.TemporaryDirectory(prefix="dfrot-audit-") as folder:
        versions = Path(folder) / "versions.txt"
        versions.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        venv.create(Path(folder) / "env", with_pip=True)
        python = str(Path(folder) / "env" / "bin" / "python")
        if subprocess.run([python, "-m", "pip", "install", "--quiet", "pip-audit"], check=False).returncode:
            print("Vulnerabilities: not checked, pip-audit cannot be installed. Check the network.")
            return 2
        flags = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--requirement", str(versions)]
        done = subprocess.run([python, "-m", "pip_audit", *flags], check=False, capture_output=True, text=True)
    print(f"Vulnerabilities of {len(wanted)} packages: {done.stdout.strip() or done.stderr.strip()[-2_000:]}")
    if "Found" in done.stderr:
        return 1
    if done.returncode or "could not be audited" in done.stdout:
        print("The database did not answer for all of them: nothing is known about those.")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
