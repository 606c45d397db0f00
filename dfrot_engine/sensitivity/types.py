"""What is asked of a sensitivity pass, and what it says. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dfrot_engine.recipe_sections import Override

KV_CACHE = "kv_cache"  # stands where a linear's name stands


@dataclass(frozen=True)
class Ask:
    """One pass.

    Args:
        num_samples, seq_len: calibration sequences and their tokens.
        bits: wanted average bits of the rounded weights, scales not counted; None for no proposal.
        out: where the recipe with the proposal is written.
        check: whether the whole rounded model is measured with and without the proposal.
    """

    num_samples: int = 2
    seq_len: int = 256
    bits: float | None = None
    out: Path | None = None
    check: bool = False


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class SensitivityRow(_Frozen):
    """KL(original ‖ model) per token, in nats, with this alone rounded.

    Args:
        block: from 0.
        linear: relative to its block, or KV_CACHE for keys and values together.
        name: full name.
        bits: of its weights; None where the recipe leaves them as they are.
    """

    block: int
    linear: str
    name: str
    kl: float
    bits: int | None


class Proposal(_Frozen):
    """Where the bits of a wanted average should go.

    Args:
        bits_wanted, bits_before, bits_after: average over the weights that are rounded, scales not counted.
        raised: full names of the linears that get 8 bits.
        overrides: to be appended to the recipe's own.
        out: the recipe file that was written; "" for none.
        kl_before, kl_after: of the whole model, rounded to nearest, without and with it; None if not measured.
    """

    bits_wanted: float
    bits_before: float
    bits_after: float
    raised: tuple[str, ...]
    overrides: tuple[Override, ...]
    out: str = ""
    kl_before: float | None = None
    kl_after: float | None = None


class Raisable(_Frozen):
    """Linears that get 8 bits together, since runtimes run them as one matrix.

    Args:
        linears: full names, as in the rows.
        overrides: to be appended to the recipe's own.
        bits: more for all their weights.
    """

    linears: tuple[str, ...]
    overrides: tuple[Override, ...]
    bits: int


class SensitivityResult(_Frozen):
    """The table of a pass.

    Args:
        rows: worst first.
        linears: what was rounded, in the order of the blocks' linears.
        raisable: what could get 8 bits; linears in none of them have as many, or a format that is not raised.
        average_bits: of the weights that are rounded, scales not counted; num_weights: how many these are.
        by_kind: linear → sum over the blocks, worst first; by_block: sums in the order of the blocks.
        notes: what limits it, one sentence each.
        tokens: predictions that were compared.
    """

    model: str
    recipe_name: str
    rows: tuple[SensitivityRow, ...]
    by_kind: dict[str, float]
    by_block: tuple[float, ...]
    notes: tuple[str, ...]
    tokens: int
    num_samples: int
    seq_len: int
    linears: tuple[str, ...] = ()
    raisable: tuple[Raisable, ...] = ()
    average_bits: float = 0.0
    num_weights: int = 0
    proposal: Proposal | None = None
