"""Which rotation to use, from the rows of a trial; "do not rotate" is an answer too."""

from __future__ import annotations

from collections.abc import Sequence

from dfrot_engine.rotation_names import rotation_name
from dfrot_engine.trial.types import TrialRow

# Closer than this, another seed or other tokens may turn two block errors around.
MARGIN = 0.02
# Beyond this, bits decide and not rotations: runs with such errors lost most of what the sample model knew.
HEAVY_ERROR = 0.25
# Of rotations that do equally well, the first is recommended: less work, and fewer things that can go wrong.
SIMPLEST_FIRST = (
    "none",
    "hadamard",
    "random-orthogonal",
    "from-file",
    "householder",
    "dfrot",
    "whip",
    "descent",
)


def recommend(rows: Sequence[TrialRow]) -> TrialRow:
    """The simplest rotation whose block error is within 2 % of the smallest.

    Args:
        rows: at least one.
    """
    limit = min(row.block_error for row in rows) * (1 + MARGIN)
    return min((row for row in rows if row.block_error <= limit), key=_effort)


def sentence(rows: Sequence[TrialRow]) -> str:
    """The recommendation with the numbers it rests on."""
    chosen = recommend(rows)
    rivals = [row for row in rows if row is not chosen]
    if not rivals:
        return f"Only {rotation_name(chosen.kind)} could be tried: {_off_by(chosen)}."
    rivals.sort(key=lambda row: row.block_error)
    if chosen.kind == "none":
        return f"Do not rotate this model for this recipe: {_off_by(chosen)} without a rotation, {_against(rivals[0])}."
    equal = [row for row in rivals if row.block_error <= chosen.block_error * (1 + MARGIN)]
    none = [row for row in rivals if row.kind == "none"]
    worse = [row for row in rivals if row not in equal and row not in none][:1]
    parts = " and ".join(_against(row) for row in none + worse)
    text = f"Use {rotation_name(chosen.kind)}: {_off_by(chosen)}" + (f", {parts}." if parts else ".")
    return f"{text} {_equals([rotation_name(row.kind) for row in equal])}" if equal else text


def notes(
    rows: Sequence[TrialRow], *, massive_count: int, read_blocks: int, num_blocks: int, is_cut_short: bool
) -> tuple[str, ...]:
    """What limits the recommendation, one sentence each.

    Args:
        is_cut_short: whether a refinement took all its steps here, and a run would take more.
    """
    found: list[str] = []
    error = recommend(rows).block_error
    if error > HEAVY_ERROR:
        found.append(
            f"Even so, rounding spoils {_percent(error)} of what a block adds: "
            "more bits would help more than any rotation."
        )
    if massive_count == 0:
        found.append("No token is massive on the text that was read, so γ and with it DFRot have nothing to work on.")
    if read_blocks < num_blocks:
        found.append(f"The model is large: only the first {read_blocks} of {num_blocks} blocks were read.")
    if is_cut_short:
        found.append("Refinements were cut short here; a run takes more steps and may gain a little more.")
    return tuple(found)


def _effort(row: TrialRow) -> int:
    return SIMPLEST_FIRST.index(row.kind) if row.kind in SIMPLEST_FIRST else len(SIMPLEST_FIRST)


def _equals(names: Sequence[str]) -> str:
    verb = "makes" if len(names) == 1 else "make"
    listed = " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed[0].upper()}{listed[1:]} {verb} no real difference."


def _off_by(row: TrialRow) -> str:
    return f"what a block adds is off by {_percent(row.block_error)}"


def _against(row: TrialRow) -> str:
    return f"against {_percent(row.block_error)} with {rotation_name(row.kind)}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
