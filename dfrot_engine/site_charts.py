"""Errors by place, as files: of the sampled tokens, and of every token of the activation map. numpy only.

A *site* is a place where a block reads the residual stream, such as the input of its attention or of its MLP.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfrot_engine.charts import TokenErrors, damaged, load_arrays, save_arrays
from dfrot_engine.token_series import series_of

SITE_ERRORS = "site_errors"
CELL_ERRORS = "cell_errors"
#: What may be kept of the map's sequence, all blocks together, until its rotations are known.
FIRST_BYTES = 256_000_000


@dataclass(frozen=True)
class SiteErrors:
    """Relative errors of the sampled tokens, and where each of them was.

    Args:
        sites: what reads each site: "attention", "mlp", or "attention, mlp".
        errors: [N] float32 for each rotation kind.
        share_N: float32, how many tokens each stands for; is_massive_N: bool; block_N, site_N: int32.
    """

    sites: tuple[str, ...]
    errors: dict[str, NDArray[np.float32]]
    share_N: NDArray[np.float32]
    is_massive_N: NDArray[np.bool_]
    block_N: NDArray[np.int32]
    site_N: NDArray[np.int32]

    @property
    def num_blocks(self) -> int:
        return int(self.block_N.max(initial=-1)) + 1

    def at(self, site: int | None, block: int | None) -> TokenErrors:
        """The errors at one site, in one block, or both; None is for all of them."""
        chosen = np.ones(len(self.block_N), np.bool_)
        for wanted, column in ((site, self.site_N), (block, self.block_N)):
            if wanted is not None:
                chosen &= column == wanted
        if not chosen.any():
            return TokenErrors({})
        columns = (self.share_N[chosen], self.is_massive_N[chosen], self.block_N[chosen])
        return TokenErrors({kind: series_of(error[chosen], *columns) for kind, error in self.errors.items()})

    def save(self, path: Path) -> None:
        columns = {name: getattr(self, name) for name in _COLUMNS}
        save_arrays(path, {"sites": np.array(self.sites)} | columns | _by_kind(self.errors))

    @staticmethod
    def load(path: Path) -> SiteErrors:
        """Raises: DFRotError: missing or damaged file."""
        arrays = load_arrays(path)
        try:
            columns = {name: arrays[name] for name in _COLUMNS}
            loaded = SiteErrors(tuple(arrays["sites"].tolist()), _kinds(arrays), **columns)
        except KeyError as error:
            raise damaged(path) from error
        if {array.shape for array in (*columns.values(), *loaded.errors.values())} != {loaded.block_N.shape}:
            raise damaged(path)
        return loaded


@dataclass(frozen=True)
class CellErrors:
    """Relative error of every token of the activation map's sequence under each rotation.

    Args:
        sites: as in `SiteErrors`.
        errors: [S, L, T] float32 for each rotation kind; nan where the token was not kept.
    """

    sites: tuple[str, ...]
    errors: dict[str, NDArray[np.float32]]

    def of(self, site: int, block: int, position: int) -> dict[str, float]:
        """Error by rotation of one token; empty where it was not kept or not measured."""
        found = {
            kind: float(error[site, block, position])
            for kind, error in self.errors.items()
            if site < error.shape[0] and block < error.shape[1] and position < error.shape[2]
        }
        return {kind: error for kind, error in found.items() if np.isfinite(error)}

    def save(self, path: Path) -> None:
        save_arrays(path, {"sites": np.array(self.sites)} | _by_kind(self.errors))

    @staticmethod
    def load(path: Path) -> CellErrors:
        """Raises: DFRotError: missing or damaged file."""
        arrays = load_arrays(path)
        try:
            loaded = CellErrors(tuple(arrays["sites"].tolist()), _kinds(arrays))
        except KeyError as error:
            raise damaged(path) from error
        if any(error.ndim != 3 for error in loaded.errors.values()):
            raise damaged(path)
        return loaded


_COLUMNS = ("share_N", "is_massive_N", "block_N", "site_N")
_ERROR = "error/"


def _by_kind(errors: dict[str, NDArray[np.float32]]) -> dict[str, NDArray]:
    return {f"{_ERROR}{kind}": error for kind, error in errors.items()}


def _kinds(arrays: dict[str, NDArray]) -> dict[str, NDArray[np.float32]]:
    return {name.removeprefix(_ERROR): array for name, array in arrays.items() if name.startswith(_ERROR)}
