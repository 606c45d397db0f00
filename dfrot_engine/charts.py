"""Arrays of the charts, on disk as .npz: written by the stages, read by the window. numpy only, never pickled."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfrot_engine.errors import DFRotError
from dfrot_engine.whole_file import whole_file

TOKEN_ERROR = "token_error"
ACTIVATION_MAP = "activation_map"


@dataclass(frozen=True)
class ErrorSeries:
    """Relative errors ‖x − Q(x)‖/‖x‖ of the sampled tokens under one rotation, worst first.

    Args:
        rank: [P] float64, 1-based; a sampled row stands for its share of all tokens, so the last rank is their number.
        error: [P] float32, falling.
        massive_rank, massive_error: [M] the massive tokens among them.
        block_mean: [L] float32, mean error per block.
        mean, p999, massive_mean: over all tokens, the 99.9th percentile, over massive tokens (nan if there is none).
    """

    rank: NDArray[np.float64]
    error: NDArray[np.float32]
    massive_rank: NDArray[np.float64]
    massive_error: NDArray[np.float32]
    block_mean: NDArray[np.float32]
    mean: float
    p999: float
    massive_mean: float


@dataclass(frozen=True)
class TokenErrors:
    """Errors per rotation kind: "none", "random-orthogonal", "hadamard", and the recipe's own, such as "dfrot"."""

    series: dict[str, ErrorSeries]

    def save(self, path: Path) -> None:
        arrays: dict[str, NDArray] = {"names": np.array(list(self.series))}
        for name, one in self.series.items():
            arrays |= {
                f"{name}/rank": one.rank,
                f"{name}/error": one.error,
                f"{name}/massive_rank": one.massive_rank,
                f"{name}/massive_error": one.massive_error,
                f"{name}/block_mean": one.block_mean,
                f"{name}/summary": np.array([one.mean, one.p999, one.massive_mean]),
            }
        save_arrays(path, arrays)

    @staticmethod
    def load(path: Path) -> TokenErrors:
        """Raises: DFRotError: missing or damaged file."""
        arrays = load_arrays(path)
        series: dict[str, ErrorSeries] = {}
        try:
            for name in arrays["names"].tolist():
                mean, p999, massive_mean = (float(value) for value in arrays[f"{name}/summary"])
                series[name] = ErrorSeries(
                    rank=arrays[f"{name}/rank"],
                    error=arrays[f"{name}/error"],
                    massive_rank=arrays[f"{name}/massive_rank"],
                    massive_error=arrays[f"{name}/massive_error"],
                    block_mean=arrays[f"{name}/block_mean"],
                    mean=mean,
                    p999=p999,
                    massive_mean=massive_mean,
                )
        except (KeyError, ValueError) as error:
            raise damaged(path) from error
        return TokenErrors(series)


@dataclass(frozen=True)
class ActivationMap:
    """Largest |h| of the residual stream for every block input and token of one calibration sequence.

    Args:
        value: [L, T] float32.
        is_massive: [L, T] bool, at any site.
        tokens: [T] text of each token.
        site_value, site_is_massive: [S, L, T] the same in front of each site; S is 0 in files of earlier versions.
    """

    value: NDArray[np.float32]
    is_massive: NDArray[np.bool_]
    tokens: NDArray[np.str_]
    site_value: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    site_is_massive: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0, 0), np.bool_))

    def save(self, path: Path) -> None:
        save_arrays(path, {name: array for name, array in vars(self).items() if array.size})

    @staticmethod
    def load(path: Path) -> ActivationMap:
        """Raises: DFRotError: missing or damaged file."""
        arrays = load_arrays(path)
        try:
            chart = ActivationMap(
                arrays["value"],
                arrays["is_massive"],
                arrays["tokens"],
                **{name: arrays[name] for name in ("site_value", "site_is_massive") if name in arrays},
            )
        except KeyError as error:
            raise damaged(path) from error
        if chart.value.ndim != 2 or chart.is_massive.shape != chart.value.shape:
            raise damaged(path)
        for sites in (chart.site_value, chart.site_is_massive):
            if sites.size and sites.shape[1:] != chart.value.shape:
                raise damaged(path)
        return chart


def save_arrays(path: Path, arrays: dict[str, NDArray]) -> None:
    """Raises: DFRotError: the disk is full."""
    num_bytes = sum(array.nbytes for array in arrays.values())
    with whole_file(path, num_bytes) as draft, draft.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_arrays(path: Path) -> dict[str, NDArray]:
    """Raises: DFRotError: missing or damaged file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise damaged(path) from error


def damaged(path: Path) -> DFRotError:
    return DFRotError(f"The chart file {path} is missing or damaged.", "Run the recipe again to measure anew.")
