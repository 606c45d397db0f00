"""Standard output that nobody reads, or that was never open. Imports no torch."""

from __future__ import annotations

import os
import sys


def discard_output() -> None:
    """What is still held back for standard output would raise again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def open_standard_streams() -> None:
    """A program started with `>&-` would write its prints into the next file that is opened."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
