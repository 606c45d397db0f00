"""What ends a run, in words: whatever was raised → a sentence and what to do about it."""

from __future__ import annotations

import errno
from pathlib import Path

import torch

from dfrot_engine.errors import DeviceError, DFRotError, DiskError, RunError
from dfrot_engine.memory import is_out_of_memory
from dfrot_engine.options import RunOptions
from dfrot_engine.whole_file import unwritten

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def explained(error: Exception, options: RunOptions) -> DFRotError:
    """The error for people; one that nobody foresaw is our own mistake, see `is_own_mistake`."""
    if isinstance(error, DFRotError):
        return error
    if isinstance(error, (RuntimeError, MemoryError)) and is_out_of_memory(error):
        return _out_of_gpu_memory() if isinstance(error, torch.OutOfMemoryError) else _out_of_memory()
    return _disk_error(error, options) if isinstance(error, OSError) else _own_mistake(error)


def is_own_mistake(error: Exception) -> bool:
    """Whether the traceback is worth keeping."""
    foreseen = isinstance(error, (DFRotError, OSError)) or is_out_of_memory(error)
    return not foreseen


def _own_mistake(error: Exception) -> RunError:
    return RunError(
        f"The program made a mistake: {type(error).__name__}: {error}.",
        "Report it with the last lines on standard error. Finished blocks are kept; the same run goes on from there.",
    )


def _out_of_gpu_memory() -> DeviceError:
    return DeviceError(
        "The GPU ran out of memory.",
        "Lower calibration.seq_len or evaluation.seq_len, close other programs on the GPU, or choose device 'cpu'. "
        "Finished blocks are kept.",
        "options.device",
    )


def _out_of_memory() -> DeviceError:
    return DeviceError(
        "This computer ran out of memory.",
        "Give hidden states less with --memory, or lower calibration.seq_len. Finished blocks are kept.",
        "options.memory",
    )


def _disk_error(error: OSError, options: RunOptions) -> DiskError:
    path = Path(error.filename or options.work_path)
    if error.errno in _FULL:
        return unwritten(path, error)
    return DiskError(
        f"{path} cannot be used: {error.strerror or error}.",
        "See that the disk is there and that you may read and write on it, and run the same again: what is finished "
        "is kept.",
        "options.output_dir",
    )
