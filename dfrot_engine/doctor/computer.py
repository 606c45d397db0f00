"""GPU, driver, PyTorch's build and disks."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dfrot_engine.doctor.finding import Finding
from dfrot_engine.doctor.packages import PRODUCT, is_bundle, pip, version_of
from dfrot_engine.units import format_bytes

COMPUTER, DISK = "Computer", "Disk"
#: A model of 7 billion parameters in 16 bits, its rounded copy and the work folder do not fit below this.
ROOM_BYTES = 30e9
_TORCH_TIMEOUT_S = 120


def computer_findings() -> Iterator[Finding]:
    """Cores, GPUs, and whether PyTorch can use them; torch is loaded only where there is a GPU."""
    yield Finding(COMPUTER, "CPU", "ok", f"{_cores()} cores")
    gpus = gpu_names()
    cuda = "" if is_bundle() else torch_cuda()
    yield Finding(
        COMPUTER,
        "GPU",
        "ok" if gpus else "absent",
        "; ".join(gpus) or "no NVIDIA GPU that the driver answers for",
        "" if gpus else "Everything runs on the CPU, more slowly.",
    )
    yield _cuda_finding(has_gpu=bool(gpus), cuda=cuda)
    yield _hadamard_finding(is_of_use=bool(gpus and cuda))


def disk_findings(folder: Path) -> Iterator[Finding]:
    """Free space where models are kept, where this program keeps its own, and in `folder`, where a run writes."""
    for name, path in (
        ("Hub cache", hub_cache()),
        ("program's cache", _own_cache()),
        ("current folder", folder.absolute()),
    ):
        existing = next(one for one in (path, *path.parents) if one.exists())
        free = shutil.disk_usage(existing).free
        has_room, may_write = free >= ROOM_BYTES, os.access(existing, os.W_OK | os.X_OK)
        note = "" if has_room else "Large models will not fit."
        remedy = "" if has_room else "Free some space, or name a folder on another disk with --output and HF_HOME."
        if not may_write:
            note, remedy = "You may not write there.", f"Make {existing} writable, or choose another folder."
        status = "broken" if not may_write else "ok" if has_room else "slow"
        yield Finding(DISK, name, status, f"{format_bytes(free)} free at {path}", note, remedy)


def gpu_names() -> list[str]:
    """Name and memory of every NVIDIA GPU, by the driver; nothing where it does not answer."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [
            f"{pynvml.nvmlDeviceGetName(handle)}, {format_bytes(int(pynvml.nvmlDeviceGetMemoryInfo(handle).total))}"
            for handle in handles
        ]
    finally:
        pynvml.nvmlShutdown()


def torch_cuda() -> str:
    """The CUDA version that PyTorch was built for, read from its files; "" for a build without, or no PyTorch."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return found[1] if found else ""


def hub_cache() -> Path:
    """Where the Hub's client keeps models, as it decides itself."""
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or str(Path(home) / "hub")).expanduser()


def _cuda_finding(*, has_gpu: bool, cuda: str) -> Finding:
    name = "CUDA in PyTorch"
    if version_of("torch") is None:
        return Finding(COMPUTER, name, "absent", "PyTorch is not installed")
    if not has_gpu:
        return Finding(COMPUTER, name, "ok" if cuda else "absent", cuda or "none", "Not used without a GPU.")
    if is_bundle():
        remedy = "Install the program with pip, where PyTorch has CUDA."
        return Finding(COMPUTER, name, "slow", "none", "This folder computes on the CPU alone.", remedy)
    if not cuda:
        note = "This PyTorch was built without CUDA: the GPU is not used."
        remedy = f"{pip()} uninstall -y torch && {pip()} install torch"
        return Finding(COMPUTER, name, "slow", "none", note, remedy)
    code = "import sys, torch; sys.exit(0 if torch.cuda.is_available() else 3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=_TORCH_TIMEOUT_S, check=False)
    if done.returncode == 0:
        return Finding(COMPUTER, name, "ok", cuda)
    note = f"PyTorch for CUDA {cuda} cannot use the GPU; most often the driver is too old for it."
    return Finding(COMPUTER, name, "slow", cuda, note, "Update the NVIDIA driver and start the computer again.")


def _hadamard_finding(*, is_of_use: bool) -> Finding:
    name = "fast-hadamard-transform"
    version = version_of(name)
    if version is not None:
        return Finding(COMPUTER, name, "ok", version)
    if not is_of_use:
        return Finding(COMPUTER, name, "absent", "not installed", "Of use only with CUDA.")
    note = "Hadamard transforms take PyTorch's own operations: the same numbers, more slowly."
    return Finding(COMPUTER, name, "slow", "not installed", note, f'{pip()} install "{PRODUCT}[cuda]"')


def _own_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("dfrot")


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
