"""Recipe, linears and exports → a verdict for each runtime and each generation of GPUs that differs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dfrot_engine.formats import FORMATS
from dfrot_engine.plan_linears import PlannedLinear
from dfrot_engine.plan_types import Output
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme, LinearSchemes, NoRotation, Recipe, WeightScheme
from dfrot_engine.verdicts.table import CarriedFact, Rule, Runtime, facts
from dfrot_engine.verdicts.types import EVERY_RUNTIME, LOADS, OUTCOMES, Outcome, Verdict

_UNKNOWN = "This scheme was not tried there."
_KV_STAYS = "The KV cache stays at 16 bits."
_KV_UNTRIED = CarriedFact(
    outcome="not-tried",
    reason="Whether the KV cache's scales are read was not tried.",
    how="not-tried",
    source="nothing was run",
)
_R4_UNTRIED = CarriedFact(
    outcome="not-tried",
    reason="Whether R4 is applied was not tried; without it the answers are nonsense.",
    how="not-tried",
    source="nothing was run",
)
_WORDS = {"any": "any", "cpu": "CPU"}
PLAIN = "none"


@dataclass(frozen=True)
class Case:
    """What a rule asks about a linear; group_size is 0 for one scale per channel."""

    weights: str = PLAIN
    weights_symmetric: bool = True
    group_size: int = 0
    activations: str = PLAIN
    activations_symmetric: bool = True
    is_head: bool = False
    is_expert: bool = False
    is_uneven: bool = False


class _Found(NamedTuple):
    rule: Rule | None
    case: Case
    linear: str

    @property
    def outcome(self) -> Outcome:
        return self.rule.outcome if self.rule else "not-tried"


class _Said(NamedTuple):
    """An outcome with what stands behind it."""

    outcome: Outcome
    reason: str
    source: str

    def beside(self, fact: CarriedFact) -> _Said:
        """With what becomes of something that lies beside the linears: the worse of the two decides."""
        own = f"{fact.how}: {fact.source}"
        if self.outcome == "refused":
            return self
        if OUTCOMES.index(fact.outcome) > OUTCOMES.index(self.outcome):
            return _Said(fact.outcome, fact.reason, own)
        return _Said(self.outcome, f"{self.reason} {fact.reason}", f"{self.source}; {own}")


class _Asked(NamedTuple):
    """What every verdict on one export stands on: each scheme that occurs, with the first linear that has it.

    Args:
        carries_kv: whether the KV cache's scales are in the files.
    """

    output: Output
    cases: Mapping[Case, str]
    kv_cache: KVCacheScheme | None
    is_rotated: bool
    carries_kv: bool


def verdicts(
    recipe: Recipe,
    linears: Sequence[PlannedLinear],
    outputs: Sequence[Output],
    *,
    unwritten: Mapping[str, str],
    here: Sequence[int],
) -> tuple[Verdict, ...]:
    """Judge every export by every runtime.

    Args:
        unwritten: export kind → why it is not written at all.
        here: compute capabilities of this computer's GPUs, times ten.
    """
    named = [(_case_of(linear), linear.name) for linear in linears if linear.weights or linear.activations]
    found: list[Verdict] = []
    for output in outputs:
        if output.exporter in unwritten:
            reason = unwritten[output.exporter]
            found.append(_verdict(EVERY_RUNTIME, "any", output, outcome="refused", reason=reason))
        else:
            found += _by_runtime(_asked(recipe, named, output), here)
    return tuple(found)


def recipe_verdicts(recipe: Recipe, output: Output, here: Sequence[int]) -> tuple[Verdict, ...]:
    """Judge one export without its model, as if the recipe's schemes and all its exceptions occurred."""
    schemes = {"": LinearSchemes(recipe.weights, recipe.activations)}
    for one in recipe.overrides:
        schemes[one.linears] = LinearSchemes(one.weights or recipe.weights, one.activations or recipe.activations)
    named = [(_case(*pair), name) for name, pair in schemes.items() if any(pair)]
    return tuple(_by_runtime(_asked(recipe, named, output), here))


def _asked(recipe: Recipe, named: Sequence[tuple[Case, str]], output: Output) -> _Asked:
    cases: dict[Case, str] = {}
    for case, name in named if facts().exports[output.exporter].is_quantized else ():
        cases.setdefault(case, name)
    kv, is_rotated = recipe.kv_cache, not isinstance(recipe.rotation.r4, NoRotation)
    carries_kv = kv is not None and kv.is_static and facts().exports[output.exporter].holds_kv_scales
    return _Asked(output, cases or {Case(): ""}, kv, is_rotated, carries_kv)


def _case_of(linear: PlannedLinear) -> Case:
    case = _case(linear.weights, linear.activations)
    is_uneven = bool(case.group_size) and linear.shape[1] % case.group_size != 0
    return replace(case, is_head=linear.is_head, is_expert=linear.expert is not None, is_uneven=is_uneven)


def _case(weights: WeightScheme | None, activations: ActivationScheme | None) -> Case:
    return Case(
        weights=weights.format if weights else PLAIN,
        weights_symmetric=weights.symmetric if weights else True,
        group_size=weights.group_size if weights and weights.granularity == "per-group" else 0,
        activations=activations.format if activations else PLAIN,
        activations_symmetric=activations.symmetric if activations else True,
    )


def _by_runtime(asked: _Asked, here: Sequence[int]) -> Iterator[Verdict]:
    for runtime in facts().runtimes:
        if runtime.device == "cuda":
            yield from _by_generation(runtime, asked, here)
        else:
            yield _plain(runtime, asked, here)


def _verdict(runtime: str, generation: str, output: Output, **fields: object) -> Verdict:
    data = {"runtime": runtime, "generation": generation, "export": output.name} | fields
    return Verdict.model_validate(data)


def _plain(runtime: Runtime, asked: _Asked, here: Sequence[int]) -> Verdict:
    verdict = _judge(runtime, asked, None, _WORDS[runtime.device])
    return verdict.model_copy(update={"is_this_computer": runtime.device == "cpu" and not here})


def _by_generation(runtime: Runtime, asked: _Asked, here: Sequence[int]) -> Iterator[Verdict]:
    """Neighbouring generations with the same verdict share a row."""
    runs: list[tuple[Verdict, list[int]]] = []
    for capability in facts().generations:
        verdict = _judge(runtime, asked, capability, "")
        if runs and runs[-1][0] == verdict:
            runs[-1][1].append(capability)
        else:
            runs.append((verdict, [capability]))
    own = {known for known in map(_known, here) if known}
    for verdict, capabilities in runs:
        update = {"generation": _words(capabilities), "is_this_computer": not own.isdisjoint(capabilities)}
        yield verdict.model_copy(update=update)


def _known(capability: int) -> int | None:
    """The generation whose code a GPU runs: the latest of its own major version that is not later than itself."""
    fitting = [one for one in facts().generations if one <= capability and one // 10 == capability // 10]
    return max(fitting, default=None)


def _words(capabilities: Sequence[int]) -> str:
    """ "Ampere–Hopper (sm80–sm90)", "Ada (sm89)"."""
    ends = dict.fromkeys((capabilities[0], capabilities[-1]))
    names = dict.fromkeys(facts().generations[one] for one in ends)
    return f"{'–'.join(names)} ({'–'.join(f'sm{one}' for one in ends)})"


def _judge(runtime: Runtime, asked: _Asked, capability: int | None, generation: str) -> Verdict:
    """By the best way to start it: the one whose worst linear is best, among those that load; the usual one if none."""
    ways = {flags: _found(runtime, asked, capability, flags) for flags in runtime.ways}
    flags = min(ways, key=lambda one: min(_rank(_worst(ways[one])), len(LOADS)))
    found, worst = ways[flags], _worst(ways[flags])
    reason = worst.rule.reason if worst.rule else _UNKNOWN
    source = f"{worst.rule.how}: {worst.rule.source}" if worst.rule else "not-tried: nothing was run or read"
    said, kv = _Said(worst.outcome, reason, source), asked.kv_cache
    if asked.is_rotated:
        said = said.beside(_first_fitting(runtime.rotation, capability) or _R4_UNTRIED)
    of_linears, of_kv = said.outcome, (_first_fitting(runtime.kv_cache, capability) or _KV_UNTRIED)
    outcome, reason, source = said.beside(of_kv) if asked.carries_kv else said
    does_load = outcome in LOADS
    kv_flag = runtime.kv_flags.get(kv.format, "") if kv and not asked.carries_kv else ""
    has_kv = bool(kv_flag) or (asked.carries_kv and of_kv.outcome == "loads")
    activation_bits = _bits(found, "activation_bits", "activations") if does_load else ()
    difference = _difference(activation_bits) if of_linears == "loads-differently" else ""
    if does_load and kv and not has_kv:
        outcome, difference = "loads-differently", difference or "16-bit KV cache"
        reason = reason if asked.carries_kv else f"{reason} {_KV_STAYS}"
    return _verdict(
        runtime.name,
        generation,
        asked.output,
        outcome=outcome,
        difference=difference,
        activation_bits=activation_bits,
        weight_bits=_bits(found, "weight_bits", "weights") if does_load else (),
        has_own_scale=any(one.rule.own_scale for one in found if one.rule),
        kv_cache_bits=(FORMATS[kv.format].bits if kv and has_kv else 16) if does_load else None,
        reason=reason,
        linear=worst.linear if len({one.outcome for one in found}) > 1 else "",
        command="" if outcome == "refused" else command(runtime, asked.output, (flags, kv_flag), asked.is_rotated),
        source=source,
        version=runtime.version,
    )


def _first_fitting(found: Sequence[CarriedFact], capability: int | None) -> CarriedFact | None:
    for fact in found:
        first, last = fact.capabilities or (0, 0)
        if fact.capabilities is None or (capability is not None and first <= capability <= last):
            return fact
    return None


def _difference(activation_bits: Sequence[int]) -> str:
    return f"{activation_bits[-1]}-bit activations" if activation_bits else "other activations"


def _found(runtime: Runtime, asked: _Asked, capability: int | None, flags: str) -> list[_Found]:
    kind = asked.output.exporter
    return [_Found(rule_for(runtime, kind, case, capability, flags), case, name) for case, name in asked.cases.items()]


def rule_for(runtime: Runtime, export: str, case: Case, capability: int | None, flags: str = "") -> Rule | None:
    """The first rule that fits; None where nothing is known."""
    fitting = (rule for rule in runtime.rules if _fits(rule, export, case, capability, flags))
    return next(fitting, None)


def _fits(rule: Rule, export: str, case: Case, capability: int | None, flags: str) -> bool:
    first, last = rule.capabilities or (0, 0)
    return (
        export in rule.exports
        and rule.flags in (None, flags)
        and (rule.weights is None or case.weights in rule.weights)
        and (rule.activations is None or case.activations in rule.activations)
        and (rule.group_sizes is None or case.group_size in rule.group_sizes)
        and (rule.least_group is None or case.group_size == 0 or case.group_size >= rule.least_group)
        and rule.weights_symmetric in (None, case.weights_symmetric)
        and rule.activations_symmetric in (None, case.activations_symmetric)
        and rule.is_head in (None, case.is_head)
        and rule.is_expert in (None, case.is_expert)
        and rule.is_uneven in (None, case.is_uneven)
        and (rule.capabilities is None or (capability is not None and first <= capability <= last))
    )


def _worst(found: Sequence[_Found]) -> _Found:
    return max(found, key=_rank)  # the first of the worst


def _rank(found: _Found) -> int:
    return OUTCOMES.index(found.outcome)


def _bits(found: Sequence[_Found], field: str, side: str) -> tuple[int, ...]:
    """The bits of all linears, fewest first; none where a rule says that nobody looked."""
    bits: set[int] = set()
    for rule, case, _ in found:
        own = FORMATS[getattr(case, side)].bits if getattr(case, side) != PLAIN else 16
        said = getattr(rule, field)
        bits.add(own if said is None else said)
    return () if 0 in bits else tuple(sorted(bits))


def command(runtime: Runtime, output: Output, flags: Sequence[str] = (), is_rotated: bool = False) -> str:
    """How to start a runtime with the files of an export; "" where there is no way.

    Args:
        is_rotated: whether the files carry R4, and code that applies it.
    """
    template = runtime.commands.get(facts().exports[output.exporter].files, "")
    shown = "".join(f" {one}" for one in flags if one)
    trust = ", trust_remote_code=True" if is_rotated else ""
    quoted = shlex.quote(output.folder)
    return template.strip().format(folder=output.folder, quoted=quoted, flags=shown, trust=trust)
