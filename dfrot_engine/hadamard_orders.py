"""Which Hadamard matrix a width gets. Formulas only, no torch: the plan says the answer before the run."""

from __future__ import annotations

from typing import NamedTuple


class HadamardOrder(NamedTuple):
    """width = base · power · blocks: a Paley matrix of order `base` times a Sylvester matrix of order `power`,
    repeated on the diagonal `blocks` times."""

    base: int
    power: int
    blocks: int

    @property
    def width(self) -> int:
        return self.base * self.power * self.blocks

    def __str__(self) -> str:
        order = f"{self.base} · {self.power}" if self.base > 1 else f"{self.power}"
        if self.blocks > 1:
            return f"{self.width} = {self.blocks} blocks of {order}"
        return f"{self.width} = {order}" if self.base > 1 else f"{self.width}"


def hadamard_order(width: int) -> HadamardOrder:
    """The full Hadamard matrix of this width where a formula gives one, else power-of-two blocks on the diagonal."""
    power = width & -width
    base = width // power
    if base == 1:
        return HadamardOrder(1, power, 1)
    for borrowed in (4, 8, 16):  # Paley orders are multiples of 4, so some of the twos belong to the base
        if power % borrowed == 0 and paley_field(base * borrowed) is not None:
            return HadamardOrder(base * borrowed, power // borrowed, 1)
    return HadamardOrder(1, power, base)


def paley_field(order: int) -> tuple[int, int, int] | None:
    """(construction, p, k): the field GF(p^k), k ≤ 2, of the Paley construction (1 or 2) of this order, or None.

    Source: Paley (1933). Type 1 wants q = order − 1 ≡ 3 (mod 4); type 2 wants q = order/2 − 1 ≡ 1 (mod 4).
    """
    for construction, q, remainder in ((1, order - 1, 3), (2, order // 2 - 1, 1)):
        if q % 4 == remainder and (field := _prime_power(q)) is not None:
            return construction, *field
    return None


def _prime_power(q: int) -> tuple[int, int] | None:
    if _is_prime(q):
        return q, 1
    root = round(q**0.5)
    return (root, 2) if root * root == q and _is_prime(root) else None


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))
