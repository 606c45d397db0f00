"""What a check by a runtime comes to. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

#: Largest difference that counts as the same numbers, relative to what is compared with.
LIMIT = 0.01
#: The same for a runtime that computes the scales of activations by a formula of its own, or in 16 bits.
OWN_SCALE_LIMIT = 0.02

#: What a runtime's perplexity is compared with.
Reference = Literal["engine", "reloaded", "weights"]

REFERENCE_WORDS: dict[Reference, str] = {
    "engine": "the engine's quantized forward",
    "reloaded": "the files, loaded by transformers",
    "weights": "the files with rounded weights alone",
}


class ServeCheck(BaseModel):
    """One folder by one runtime.

    Args:
        export: kind of files; versions: of what the runtime's environment imports.
        references: perplexities on the same windows, as far as they are known.
        compared_with: the one that the difference is relative to; "weights" where the runtime leaves activations in
            other bits than the recipe says.
        expected: the table's word for it before; "" where the recipe is not known.
        in_float32: whether the runtime was asked to compute so, as the engine does.
    """

    model_config = ConfigDict(frozen=True)

    runtime: str
    versions: dict[str, str]
    folder: str
    export: str
    dataset: str
    seq_len: int
    num_windows: int
    tokens: int
    perplexity: float
    references: dict[Reference, float]
    compared_with: Reference
    limit: float
    expected: str
    reason: str
    notes: tuple[str, ...] = ()
    in_float32: bool = False
    load_s: float
    measure_s: float

    @property
    def difference(self) -> float:
        """Relative, positive where the runtime's perplexity is higher."""
        return self.perplexity / self.references[self.compared_with] - 1

    @property
    def is_within(self) -> bool:
        return abs(self.difference) <= self.limit
