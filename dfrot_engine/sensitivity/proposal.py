"""Which linears get 8 bits so that a wanted average is reached. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dfrot_engine.architectures.base import Architecture
from dfrot_engine.formats import FORMATS
from dfrot_engine.plan_linears import PlannedLinear
from dfrot_engine.recipe import ActivationScheme, Override, Recipe, WeightScheme
from dfrot_engine.sensitivity.types import Proposal, Raisable, SensitivityResult

_EXPERTS = ("", "experts")
# What runtimes load; between 4 and 8 bits there is no format that exporters write.
RAISED = {"int4": "int8"}
MOST_BITS = 8


@dataclass(frozen=True)
class _Unit:
    """Linears that are raised together: runtimes run those that read the same norm as one matrix, and all experts of a
    model alike.

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
    return sum(map(_bits, rounded)) / max(1, num_weights(rounded))


def num_weights(linears: Iterable[PlannedLinear]) -> int:
    """Of the linears whose weights are rounded."""
    return sum(_num_weights(linear) for linear in linears if linear.weights is not None)


def propose(
    kl: Mapping[str, float], linears: Sequence[PlannedLinear], architecture: Architecture, bits: float
) -> Proposal:
    """Raise where the most KL divergence lies for each bit more, as long as the average stays within `bits`.

    With 8 bits a linear's rounding error has about 1/300 of its energy, so that all its KL is counted as gained;
    activations of fewer bits are raised with the weights, or they would keep most of it.

    Args:
        kl: nats per token by full name of a linear, or the pattern of a block's experts.
        bits: wanted average of `average_bits`.
    """
    rounded = num_weights(linears)
    room = bits * rounded - average_bits(linears) * rounded
    raised: list[PlannedLinear] = []
    for unit in sorted(_units(kl, linears, architecture), key=lambda one: -one.kl / one.cost):
        # The next smaller one may still fit.
        if unit.cost <= room * (1 + 1e-9):
            room -= unit.cost
            raised += unit.linears
    names = {linear.pattern for linear in raised}
    return Proposal(
        bits_wanted=bits,
        bits_before=average_bits(linears),
        bits_after=bits - room / rounded,
        raised=tuple(dict.fromkeys(linear.pattern for linear in linears if linear.pattern in names)),
        overrides=tuple(_overrides(raised, architecture)),
    )


def with_proposal(recipe: Recipe, proposal: Proposal) -> Recipe:
    """The recipe with the proposal's overrides behind its own, so that they win."""
    name = f"{recipe.name}, {proposal.bits_after:.2f} bits"
    return recipe.model_copy(update={"name": name, "overrides": recipe.overrides + proposal.overrides})


def raisable(
    kl: Mapping[str, float], linears: Sequence[PlannedLinear], architecture: Architecture
) -> tuple[Raisable, ...]:
    """Everything that could get 8 bits, what gains the most for each bit more first; `kl` as for `propose`."""
    units = sorted(_units(kl, linears, architecture), key=lambda one: -one.kl / one.cost)
    return tuple(
        Raisable(
            linears=tuple(dict.fromkeys(linear.pattern for linear in unit.linears)),
            overrides=tuple(_overrides(unit.linears, architecture)),
            bits=unit.cost,
        )
        for unit in units
    )


def bits_with(result: SensitivityResult, raised: Iterable[Raisable]) -> float:
    """Average bits of a weight when these get 8."""
    return result.average_bits + sum(one.bits for one in raised) / max(1, result.num_weights)


def with_raised(recipe: Recipe, result: SensitivityResult, raised: Sequence[Raisable]) -> Recipe:
    """The recipe with 8 bits for these, as exceptions behind its own, so that they win."""
    name = f"{recipe.name}, {bits_with(result, raised):.2f} bits"
    more = tuple(override for one in raised for override in one.overrides)
    return recipe.model_copy(update={"name": name, "overrides": recipe.overrides + more})


def _units(kl: Mapping[str, float], linears: Sequence[PlannedLinear], architecture: Architecture) -> Iterator[_Unit]:
    together: dict[tuple[str, str], list[PlannedLinear]] = {}
    norms = {
        linear.kind: norm.name
        for block, _ in architecture.blocks_of_kind
        for linear in block.linears
        if (norm := block.norm_before(linear.name))
    }
    for linear in linears:
        block = linear.pattern.removesuffix(linear.short_name)
        reads = norms.get(linear.short_name, linear.short_name)
        together.setdefault((block, reads) if linear.expert is None else _EXPERTS, []).append(linear)
    for members in together.values():
        open_ones = tuple(one for one in members if one.weights is not None and one.weights.format in RAISED)
        if open_ones:
            cost = sum(_bits(one, _more_bits(one)[0]) - _bits(one) for one in open_ones)
            patterns = dict.fromkeys(one.pattern for one in open_ones)
            yield _Unit(open_ones, sum(kl[pattern] for pattern in patterns), cost)


def _overrides(raised: Sequence[PlannedLinear], architecture: Architecture) -> Iterator[Override]:
    """One for each linear, or one for a kind of linear that is raised alike in all blocks."""
    counts: Counter[str] = Counter()
    for block, numbers in architecture.blocks_of_kind:
        for linear in block.linears:
            counts[linear.kind] += len(numbers)
    by_kind: dict[str, list[PlannedLinear]] = {kind: [] for kind in counts}
    order = {name: number for number, name in enumerate(architecture.linear_names())}
    for one in sorted(raised, key=lambda one: order[one.name]):
        by_kind[one.short_name].append(one)
    for kind, of_kind in by_kind.items():
        schemes = {_more_bits(one) for one in of_kind}
        if len(of_kind) == counts[kind] and len(schemes) == 1:
            # Experts, shared and dense MLPs have linears whose names end alike.
            name = kind if architecture.experts_per_token else kind.rpartition(".")[2]
            yield _override(f"*.{name}", of_kind[0])
        else:
            patterns = {one.pattern: one for one in of_kind}
            yield from (_override(pattern, one) for pattern, one in patterns.items())


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
    return FORMATS[name].bits
