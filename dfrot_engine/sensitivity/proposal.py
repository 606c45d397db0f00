"""Which linears get 8 bits so that a wanted average is reached. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.plan_linears import PlannedLinear
from dfrot_engine.recipe import ActivationScheme, Override, Recipe, WeightScheme
from dfrot_engine.sensitivity.types import Proposal

# What runtimes load; between 4 and 8 bits there is no format that exporters write.
RAISED = {"int4": "int8"}
MOST_BITS = 8


@dataclass(frozen=True)
class _Unit:
    """Linears that are raised together, since runtimes run those that read the same norm as one matrix.

    Args:
        kl: nats per token that rounding them costs, their sum.
        cost: bits more for all their weights.
    """

    linears: tuple[PlannedLinear, ...]
    kl: float
    cost: int


def average_bits(linears: Sequence[PlannedLinear]) -> float:
    """Bits of a weight on average over the linears whose weights are rounded, scales not counted."""
    rounded = [linear for linear in linears if linear.weights is not None]
    return sum(map(_bits, rounded)) / max(1, sum(map(_num_weights, rounded)))


def propose(
    kl: Mapping[str, float], linears: Sequence[PlannedLinear], architecture: Architecture, bits: float
) -> Proposal:
    """Raise where the most KL divergence lies for each bit more, as long as the average stays within `bits`.

    With 8 bits a linear's rounding error has about 1/300 of its energy, so that all its KL is counted as gained;
    activations of fewer bits are raised with the weights, or they would keep most of it.

    Args:
        kl: nats per token by full name of a linear.
        bits: wanted average of `average_bits`.
    """
    rounded = sum(_num_weights(linear) for linear in linears if linear.weights is not None)
    room = bits * rounded - average_bits(linears) * rounded
    raised: list[PlannedLinear] = []
    for unit in sorted(_units(kl, linears, architecture), key=lambda one: -one.kl / one.cost):
        # The next smaller one may still fit.
        if unit.cost <= room * (1 + 1e-9):
            room -= unit.cost
            raised += unit.linears
    names = {linear.name for linear in raised}
    return Proposal(
        bits_wanted=bits,
        bits_before=average_bits(linears),
        bits_after=bits - room / rounded,
        raised=tuple(linear.name for linear in linears if linear.name in names),
        overrides=tuple(_overrides(raised, architecture)),
    )


def with_proposal(recipe: Recipe, proposal: Proposal) -> Recipe:
    """The recipe with the proposal's overrides behind its own, so that they win."""
    name = f"{recipe.name}, {proposal.bits_after:.2f} bits"
    return recipe.model_copy(update={"name": name, "overrides": recipe.overrides + proposal.overrides})


def _units(kl: Mapping[str, float], linears: Sequence[PlannedLinear], architecture: Architecture) -> Iterator[_Unit]:
    together: dict[tuple[str, str], list[PlannedLinear]] = {}
    for linear in linears:
        norm = architecture.block.norm_before(linear.short_name)
        block = linear.name.removesuffix(linear.short_name)
        together.setdefault((block, norm.name if norm else linear.short_name), []).append(linear)
    for members in together.values():
        open_ones = tuple(one for one in members if one.weights is not None and one.weights.format in RAISED)
        if open_ones:
            cost = sum(_bits(one, _more_bits(one)[0]) - _bits(one) for one in open_ones)
            yield _Unit(open_ones, sum(kl[one.name] for one in open_ones), cost)


def _overrides(raised: Sequence[PlannedLinear], architecture: Architecture) -> Iterator[Override]:
    """One for each linear, or one for a kind of linear that is raised alike in all blocks."""
    for linear in architecture.block.linears:
        of_kind = [one for one in raised if one.short_name == linear.name]
        schemes = {_more_bits(one) for one in of_kind}
        if len(of_kind) == architecture.num_blocks and len(schemes) == 1:
            yield _override(f"*.{linear.name.rpartition('.')[2]}", of_kind[0])
        else:
            order = [architecture.block_prefix(index) + linear.name for index in range(architecture.num_blocks)]
            yield from (_override(one.name, one) for one in sorted(of_kind, key=lambda one: order.index(one.name)))


def _override(pattern: str, linear: PlannedLinear) -> Override:
    weights, activations = _more_bits(linear)
    return Override(linears=pattern, weights=weights, activations=activations)


def _more_bits(linear: PlannedLinear) -> tuple[WeightScheme, ActivationScheme | None]:
    """Its schemes with more bits; None for activations that stay as they are."""
    weights, activations = linear.weights, linear.activations
    assert weights is not None
    more = weights.model_copy(update={"format": RAISED[weights.format]})
    if activations is None or _format_bits(activations.format) >= MOST_BITS:
        return more, None
    return more, activations.model_copy(update={"format": f"int{MOST_BITS}"})


def _bits(linear: PlannedLinear, scheme: WeightScheme | None = None) -> int:
    """Of all its weights together."""
    scheme = scheme or linear.weights
    assert scheme is not None
    return _format_bits(scheme.format) * _num_weights(linear)


def _num_weights(linear: PlannedLinear) -> int:
    return linear.shape[0] * linear.shape[1]


def _format_bits(name: str) -> int:
    return int(name.removeprefix("int"))
