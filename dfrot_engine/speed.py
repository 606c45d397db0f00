"""How fast this computer multiplies, tried out once for a few milliseconds. Imports no torch."""

from __future__ import annotations

import time
from functools import cache

import numpy as np

_SIZE = 64  # the library multiplies matrices this small in one thread
_PRODUCTS, _TRIES = 100, 8


@cache
def core_flops() -> float:
    """Additions and multiplications of float32 a second on one core, in products of small matrices.

    The best of a few tries, so that other work on the computer disturbs it little.
    """
    matrix = np.linspace(0.0, 1.0, _SIZE * _SIZE, dtype=np.float32).reshape(_SIZE, _SIZE)
    product = matrix @ matrix
    shortest = min(_timed(matrix, product) for _ in range(_TRIES))
    return 2 * _SIZE**3 * _PRODUCTS / shortest


def _timed(matrix: np.ndarray, product: np.ndarray) -> float:
    started = time.perf_counter()
    for _ in range(_PRODUCTS):
        np.matmul(matrix, matrix, out=product)
    return time.perf_counter() - started
