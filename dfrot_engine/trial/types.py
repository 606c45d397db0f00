"""What a trial says: one row for each rotation, and the recommendation. Imports no torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class TokenError(_Frozen):
    """‖x − Q(x)‖/‖x‖ of the activations behind the norms; massive_mean is None where no token is massive."""

    mean: float
    p999: float
    massive_mean: float | None


class TrialRow(_Frozen):
    """One rotation R1 and what it does to the model; R2, R3 and R4 are the recipe's in every row.

    Args:
        kind: as in rotation.r1.kind.
        token_error: None when the recipe leaves activations as they are.
        block_error: ‖Δ̂ − Δ‖/‖Δ‖, where Δ is what a block adds to a token: mean over the tokens and blocks tried.
        seconds: for building and measuring it.
        steps: refinements taken; 0 for a rotation that is not refined.
    """

    kind: str
    token_error: TokenError | None
    block_error: float
    seconds: float
    steps: int = 0


class TrialResult(_Frozen):
    """The table of a trial and what follows from it.

    Args:
        recommended: kind of the row a run should use.
        sentence: the recommendation with its numbers, for people.
        notes: what limits it.
        tokens: calibration tokens that were read.
        blocks: blocks on which rounding was tried, from 0.
        read_blocks: blocks the tokens went through; fewer than num_blocks for a model that is very large.
        massive_count: massive (block, site, token) places among `places`.
    """

    model: str
    recipe_name: str
    rows: tuple[TrialRow, ...]
    recommended: str
    sentence: str
    notes: tuple[str, ...]
    tokens: int
    blocks: tuple[int, ...]
    read_blocks: int
    num_blocks: int
    massive_count: int
    places: int
