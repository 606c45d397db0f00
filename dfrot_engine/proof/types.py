"""What a proof says, row by row. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

#: The links of the chain, in order.
ProofCheck = Literal["files", "tensors", "folding", "reload", "text"]

TITLES: dict[ProofCheck, str] = {
    "files": "Files are as written",
    "tensors": "Tensors are what was computed",
    "folding": "Rotations leave the model as it is",
    "reload": "Reloaded, it computes the same",
    "text": "It writes sensible text",
}


class Written(NamedTuple):
    """An output that is proved.

    Args:
        label: what it is called beside others of the run.
    """

    label: str
    kind: str
    folder: Path


class ProofRow(BaseModel):
    """One thing that was checked.

    Args:
        output: the export it is about, by its label; "" for the model before it is written.
        what: what was compared, for people.
        figure: what was found; None where nothing was done.
        limit: the largest figure that passes.
        passed: None where it was not done; `note` says why.
        note: what failed, or what else is worth knowing.
    """

    model_config = ConfigDict(frozen=True)
    check: ProofCheck
    output: str = ""
    what: str
    figure: float | None = None
    limit: float | None = None
    passed: bool | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        return {True: "passed", False: "FAILED", None: "not done"}[self.passed]


def failures(rows: Iterable[ProofRow]) -> list[ProofRow]:
    return [row for row in rows if row.passed is False]
