"""Number formats as rows of one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """Signed integers of a number of bits; codes run from `lowest` to `highest`."""

    name: str
    bits: int

    @property
    def lowest(self) -> int:
        return -(1 << (self.bits - 1))

    @property
    def highest(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def steps(self) -> int:
        return self.highest - self.lowest


FORMATS = {f"int{bits}": Format(f"int{bits}", bits) for bits in range(2, 9)}
