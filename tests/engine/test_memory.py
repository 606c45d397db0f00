"""Memory: what is freed goes back, and what a container's limit leaves."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from dfrot_engine import memory
from dfrot_engine.memory import available_bytes, return_freed_memory, set_imports_aside

_HOLES = """
import psutil, torch
from dfrot_engine.memory import return_freed_memory
torch.ones(6_000_000)  # once freed, glibc keeps pieces of this size for itself
kept, process = [], psutil.Process()
before = process.memory_info().rss
parts = [torch.ones(4_900_000 + 1_000 * number) for number in range(20)]
kept += [torch.ones(20_000) for _ in range(20)]  # behind them, so that the heap cannot shrink
del parts
held = process.memory_info().rss - before
return_freed_memory()
print(held, process.memory_info().rss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_freed_tensors_go_back_to_the_system() -> None:
    ran = subprocess.run([sys.executable, "-c", _HOLES], capture_output=True, check=True, text=True)
    held, returned = map(int, ran.stdout.split())
    assert held > 200e6, "nothing was held that could go back"
    assert returned < 40e6


def test_collections_pass_over_what_was_there_and_free_what_comes_later() -> None:
    there: list[object] = []
    set_imports_aside()
    later: list[object] = []
    looked_at = {id(one) for one in gc.get_objects()}
    assert id(there) not in looked_at
    assert id(later) in looked_at
    circle = torch.nn.Linear(2, 2)
    circle.register_module("itself", torch.nn.Sequential(circle))
    gone = weakref.ref(circle)
    del circle
    return_freed_memory(cycles=True)
    assert gone() is None


def test_a_container_with_a_limit_has_less(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    everything = available_bytes()
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 50000\n")
    assert available_bytes() == 650_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes() == pytest.approx(everything, rel=0.5)
