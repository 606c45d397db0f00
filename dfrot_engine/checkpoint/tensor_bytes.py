"""The bytes of a tensor to and from an open file, where the file stands."""

from __future__ import annotations

from typing import BinaryIO

import torch
from torch import Tensor


def write_tensor(file: BinaryIO, tensor: Tensor) -> None:
    """All of its bytes, in the order of its dimensions; the file is opened without a buffer."""
    left = _bytes_of(tensor.detach().cpu().contiguous())
    while left:
        left = left[file.write(left) :]


def read_tensor(file: BinaryIO, into: Tensor) -> None:
    """Fill a contiguous tensor on the CPU; the file is opened without a buffer.

    Raises:
        OSError: the file ends before that.
    """
    left = _bytes_of(into)
    while left:
        count = file.readinto(left)  # type: ignore[attr-defined]  # files without a buffer have it
        if not count:
            raise OSError("it is shorter than it should be")
        left = left[count:]


def _bytes_of(tensor: Tensor) -> memoryview:
    assert tensor.is_contiguous()
    return tensor.view(-1).view(torch.uint8).numpy().data
