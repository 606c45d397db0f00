"""Facts about this computer for the sidebar and the model list."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

from dfrot_gui.translation import tr


@dataclass(frozen=True)
class MemoryUse:
    """Bytes in use and in all, and whose they are."""

    name: str
    used: int
    total: int


def cpu_line() -> str:
    """ "CPU · 8 cores": the cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return tr("CPU · %n cores", cores)


def ram() -> MemoryUse:
    memory = psutil.virtual_memory()
    return MemoryUse(tr("Memory"), memory.total - memory.available, memory.total)


def total_ram() -> int:
    return psutil.virtual_memory().total


class GpuMonitor:
    """Name and memory of the first NVIDIA GPU; quiet when there is none or its driver does not answer."""

    def __init__(self) -> None:
        self._handle: object | None = None
        self.name = ""
        import pynvml

        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            name = pynvml.nvmlDeviceGetName(self._handle)
        except pynvml.NVMLError:
            self._handle = None
            return
        self.name = name.decode() if isinstance(name, bytes) else name

    def memory(self) -> MemoryUse | None:
        if self._handle is None:
            return None
        try:
            info = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
        except self._nvml.NVMLError:
            return None
        return MemoryUse(self.name, int(info.used), int(info.total))
