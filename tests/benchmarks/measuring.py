"""Time, memory and the loss that every method is judged by."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from dfrot_engine.memory import PeakMemory
from dfrot_engine.rotations.dfrot import Quantizer
from tests.benchmarks.methods import Outcome, Problem

_CHUNK_ROWS = 4_096


@dataclass(frozen=True)
class Measurement:
    """What one method took and reached.

    Args:
        seconds: wall time; `cpu_seconds` over all threads, which other work on the computer disturbs less.
        peak_bytes: growth of resident memory (CUDA: of allocated device memory) while the method ran.
        loss: Σ w‖xR − Q(xR)‖² over all rows, float64, the same code for every method.
        massive_rmse, other_rmse: root of the mean ‖xR − Q(xR)‖² over the rows of each kind; nan without any.
        lowest_seen: lowest of the losses the method itself computed, on the rows it used.
        deviation: largest entry of |RᵀR − I|.
    """

    method: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    loss: float
    massive_rmse: float
    other_rmse: float
    iterations: int
    rows_used: int
    lowest_seen: float
    deviation: float
    losses: list[float]


def measure(name: str, method: Callable[[Problem], Outcome], problem: Problem, is_massive_N: Tensor) -> Measurement:
    """Run a method on its own, with the memory that earlier ones gave back returned to the system."""
    _release()
    on_cuda = problem.rows_ND.is_cuda
    before = torch.cuda.memory_allocated() if on_cuda else psutil.Process().memory_info().rss
    with PeakMemory() as memory:
        began, cpu_began = time.perf_counter(), time.process_time()
        outcome = method(problem)
        if on_cuda:
            torch.cuda.synchronize()
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    peak = (torch.cuda.max_memory_allocated() if on_cuda else memory.peak_bytes) - before
    error_N = squared_errors(problem.rows_ND, outcome.rotation_DD, problem.grid.quantize)
    gram = outcome.rotation_DD.T @ outcome.rotation_DD
    return Measurement(
        method=name,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak_bytes=peak,
        loss=float((problem.weight_N.double() * error_N).sum()),
        massive_rmse=float(error_N[is_massive_N].mean().sqrt()),
        other_rmse=float(error_N[~is_massive_N].mean().sqrt()),
        iterations=outcome.iterations,
        rows_used=outcome.rows_used,
        lowest_seen=min(outcome.losses),
        deviation=float((gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).abs().max()),
        losses=outcome.losses,
    )


def squared_errors(rows_ND: Tensor, rotation_DD: Tensor, quantize: Quantizer) -> Tensor:
    """[N] float64 ‖xR − Q(xR)‖² of every row."""
    errors = []
    for rows in rows_ND.split(_CHUNK_ROWS):
        rotated = rows.double() @ rotation_DD
        errors.append((quantize(rotated) - rotated).square().sum(1))
    return torch.cat(errors)


def machine_facts() -> dict[str, Any]:
    """Where the figures were taken; without them they say little."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": os.getloadavg(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    if platform.libc_ver()[0] == "glibc":
        # Freed memory that the allocator keeps would hide what the next method takes.
        ctypes.CDLL(None).malloc_trim(0)


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
