"""Several processes that share one run: shares, sums, exchanges. Nothing else imports torch.distributed."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from compressed_tensors.offload import as_single_threaded
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, TCPStore

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.errors import DeviceError, DFRotError, RunError
from dfrot_engine.progress import Report
from dfrot_engine.rank_signals import RankSignals
from dfrot_engine.ranks import place

_JOIN = timedelta(minutes=5)
_JOIN_INTERVAL_S = 0.05
_WAIT = timedelta(days=60)  # for a rank that works alone; one that is gone is noticed by its signals
_LONGEST_NAP_S = 0.002


@dataclass(frozen=True)
class Ranks:
    """One process's view of all that share a run. Alone it sums nothing, waits for nobody and has everything."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    signals: RankSignals | None = None

    @property
    def is_first(self) -> bool:
        """The one that writes files and speaks."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        return self.world_size == 1

    @property
    def turn(self) -> int:
        """When this rank may download or convert a model, so that others find it: 0, 1 or 2."""
        return 0 if self.is_first else 1 if self.local_rank == 0 else 2

    def share_of(self, rank: int, number: int) -> range:
        """Of so many things, those that a rank works on: neighbours, and about as many for each."""
        return range(rank * number // self.world_size, (rank + 1) * number // self.world_size)

    def my_share(self, number: int) -> range:
        return self.share_of(self.rank, number)

    def interrupting(self, report: Report) -> Report:
        """The report, which also raises what another rank has failed with."""
        if self.signals is None:
            return report
        signals = self.signals

        def checked(event: Any) -> None:
            report(event)
            signals.check()

        return checked

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        """What to do when another rank is asked to stop."""
        if self.signals is not None:
            self.signals.on_cancel(cancel)

    def cause(self, error: DFRotError) -> DFRotError:
        """What has really ended the run."""
        return error if self.signals is None else self.signals.cause(error)

    def sum_across_ranks(self, tensor: Tensor, onto: int | None = None) -> Tensor:
        """The same tensor, now the sum of all ranks'; or only on one of them, and nothing is left on the others."""
        if self.is_alone:
            return tensor
        if onto is None:
            self._finish(dist.all_reduce(tensor, async_op=True))
            return tensor
        self._finish(dist.reduce(tensor, dst=onto, async_op=True))
        return tensor if self.rank == onto else tensor.new_empty(0)

    def sums_across_ranks(self, *numbers: float) -> tuple[float, ...]:
        """Of plain numbers, the same on every rank to the last bit."""
        return tuple(map(math.fsum, zip(*self.all_facts(numbers), strict=True))) if not self.is_alone else numbers

    def largest(self, number: Tensor) -> Tensor:
        """Of all ranks' scalars."""
        return number if self.is_alone else number.new_tensor(max(self.all_facts(float(number))))

    def combine(self, moments: InputMoments, onto: int | None = None) -> None:
        """Of all ranks' tokens on every rank; or only their number there, and the matrices on one rank."""
        if self.is_alone:
            return
        tokens = sum(self.all_facts(moments.tokens))
        moments.combine(tokens, lambda matrix: self.sum_across_ranks(matrix, onto))

    def told(self, fact: Any = None, owner: int = 0) -> Any:
        """What one rank says, the first unless another is named, on every rank; of JSON's types."""
        if self.is_alone:
            return fact
        return json.loads(self._bytes(json.dumps(fact).encode() if self.rank == owner else b"", owner))

    def all_facts(self, fact: Any) -> list[Any]:
        """What each rank says, in their order, on every rank."""
        return [self.told(fact, owner) for owner in range(self.world_size)]

    def told_tensors(
        self, tensors: Mapping[str, Tensor] | None = None, owner: int = 0, device: torch.device | None = None
    ) -> dict[str, Tensor]:
        """One rank's tensors on every rank, on the CPU or a device."""
        tensors = tensors or {}
        if self.is_alone:
            return dict(tensors)
        heads = self.told([[name, list(one.shape), _name(one.dtype)] for name, one in tensors.items()], owner)
        received: dict[str, Tensor] = {}
        for name, shape, dtype in heads:
            data = _as_bytes(tensors[name]) if self.rank == owner else _empty_bytes(shape, dtype)
            self._finish(dist.broadcast(data, owner, async_op=True))
            received[name] = data.view(getattr(torch, dtype)).reshape(shape).to(device or "cpu")
        return received

    def copy_file(self, path: Path) -> None:
        """Put the first rank's file at this path of every other rank."""
        if self.is_alone:
            return
        data = self._bytes(path.read_bytes() if self.is_first else b"", 0)
        if not self.is_first:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def gather_rows(self, rows: Tensor) -> Tensor:
        """Every rank's rows, in their order, on every rank; where the rows are."""
        if self.is_alone:
            return rows
        parts = [self.told_tensors({"rows": rows}, owner)["rows"] for owner in range(self.world_size)]
        return torch.cat([part for part in parts if len(part)] or parts[:1]).to(rows.device)

    def deal(self, parts: Sequence[Tensor] | None, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """This rank's of the parts that the first rank gives out, one to each, all of one shape; on the CPU."""
        received = _empty_bytes(shape, _name(dtype))
        given = [_as_bytes(part) for part in parts] if parts is not None else None
        self._finish(dist.scatter(received, given, src=0, async_op=True))
        return received.view(dtype).reshape(list(shape))

    def collect(self, part: Tensor) -> list[Tensor]:
        """On the first rank every rank's part, all of one shape; nothing on the others."""
        mine = _as_bytes(part)
        into = [torch.empty_like(mine) for _ in range(self.world_size)] if self.is_first else None
        self._finish(dist.gather(mine, into, dst=0, async_op=True))
        return [one.view(part.dtype).reshape(part.shape) for one in into or ()]

    def _bytes(self, data: bytes, owner: int) -> bytes:
        length = torch.tensor([len(data)])
        self._finish(dist.broadcast(length, owner, async_op=True))
        buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else _empty_bytes([int(length)], "uint8")
        self._finish(dist.broadcast(buffer, owner, async_op=True))
        return buffer.numpy().tobytes()

    def _finish(self, work: Any) -> None:
        """Wait for the others, unless one of them has ended.

        Raises:
            DFRotError, RunIsOver: as `RankSignals.check`.
        """
        assert self.signals is not None
        nap = 0.0
        while not work.is_completed():
            self.signals.check()
            time.sleep(nap)
            nap = min(_LONGEST_NAP_S, nap + 1e-5)
        try:
            work.wait()
        except RuntimeError as error:
            raise self.signals.cause(RunError(f"The processes of this run lost each other: {error}.")) from None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _as_bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def _empty_bytes(shape: Sequence[int], dtype: str) -> Tensor:
    return torch.empty(math.prod(shape) * getattr(torch, dtype).itemsize, dtype=torch.uint8)


@contextmanager
def joined(device: str, check: Callable[[], None] = lambda: None) -> Iterator[Ranks]:
    """All ranks that torchrun, or `ranks.other_ranks`, has started; this process alone where it was started plainly.

    Args:
        check: called while the others are awaited; what it raises ends the waiting.
    Raises:
        DeviceError: this computer has fewer GPUs than processes.
        RunError: the others did not come.
    """
    here = place()
    if here.world_size == 1:
        yield Ranks()
        return
    rank, size = here.rank, here.world_size
    on_gpu = device != "cpu" and torch.cuda.is_available()
    try:
        store = _store(rank)
        _await_all(PrefixStore("here", store), rank, size, check)
        backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
        group = PrefixStore("dfrot", store)
        dist.init_process_group(backend, store=group, rank=rank, world_size=size, timeout=_WAIT)
    except RuntimeError as error:
        raise _not_together(size, str(error)) from None
    connection: Any = store
    connection = connection.clone()  # of its own, since a thread waits on it
    signals = RankSignals(PrefixStore("signals", connection), rank, size)
    try:
        if on_gpu:
            _take_gpu(here.local_rank, signals)
        # Else it would share out the loading of a checkpoint, among processes that do not load it.
        with as_single_threaded():
            yield Ranks(rank, size, here.local_rank, signals)
    finally:
        signals.close()


def _store(rank: int) -> TCPStore:
    """Keys that all ranks see; torchrun has one already, else the first rank's process holds it."""
    holds = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(address, port, is_master=holds, timeout=_JOIN, wait_for_workers=False)


def _await_all(store: PrefixStore, rank: int, size: int, check: Callable[[], None]) -> None:
    """Until every rank has come.

    Raises:
        RunError: one has not, in five minutes.
    """
    store.set(str(rank), "")
    limit = time.monotonic() + _JOIN.total_seconds()
    while missing := [one for one in range(size) if not store.check([str(one)])]:
        check()
        if time.monotonic() > limit:
            raise _not_together(size, f"process {missing[0]} never came")
        time.sleep(_JOIN_INTERVAL_S)


def _not_together(size: int, reason: str) -> RunError:
    return RunError(
        f"The {size} processes of this run did not come together: {reason}.",
        "See that all of them were started, and that this computer can be reached at MASTER_ADDR and MASTER_PORT.",
    )


def _take_gpu(local_rank: int, signals: RankSignals) -> None:
    """From here on "cuda" is this rank's own GPU."""
    number = torch.cuda.device_count()
    if local_rank >= number:
        error = DeviceError(
            f"{local_rank + 1} processes or more want a GPU each, and {socket.gethostname()} has {number}.",
            "Start no more processes on a computer than it has GPUs, or choose --device cpu.",
            "options.device",
        )
        signals.fail(error)
        raise error
    torch.cuda.set_device(local_rank)
