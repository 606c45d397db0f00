"""The front door: everything the window may import. Nothing here imports torch."""

from __future__ import annotations

from dfrot_engine.errors import (
    AccessError,
    Cancelled,
    DataError,
    DeviceError,
    DFRotError,
    DiskError,
    HubError,
    ModelError,
    RecipeError,
    RunError,
)
from dfrot_engine.events import (
    BlockQuantized,
    ChartSaved,
    Evaluated,
    Event,
    Logged,
    MassiveToken,
    MassiveTokensFound,
    Measured,
    PauseChanged,
    Proved,
    RemainingTime,
    RotationTried,
    RunEnded,
    RunStarted,
    SensitivityFinished,
    ServeChecked,
    StageAdvanced,
    StageFinished,
    StageStarted,
    TrialFinished,
    Warned,
    parse_event,
    read_events,
)
from dfrot_engine.options import RunOptions
from dfrot_engine.plan import ModelSummary, Output, Plan, Problem, StageEstimate, make_plan
from dfrot_engine.proof.types import ProofRow
from dfrot_engine.recipe import Recipe, preset_names
from dfrot_engine.run_list import RunInfo, list_runs
from dfrot_engine.trial.types import TokenError, TrialResult, TrialRow
from dfrot_engine.verdicts.types import Verdict

__version__ = "0.1.0"

__all__ = [
    "AccessError",
    "BlockQuantized",
    "Cancelled",
    "ChartSaved",
    "DFRotError",
    "DataError",
    "DeviceError",
    "DiskError",
    "Evaluated",
    "Event",
    "HubError",
    "Logged",
    "MassiveToken",
    "MassiveTokensFound",
    "Measured",
    "ModelError",
    "ModelSummary",
    "Output",
    "PauseChanged",
    "Plan",
    "Problem",
    "ProofRow",
    "Proved",
    "Recipe",
    "RecipeError",
    "RemainingTime",
    "RotationTried",
    "RunEnded",
    "RunError",
    "RunInfo",
    "RunOptions",
    "RunStarted",
    "SensitivityFinished",
    "ServeChecked",
    "StageAdvanced",
    "StageEstimate",
    "StageFinished",
    "StageStarted",
    "TokenError",
    "TrialFinished",
    "TrialResult",
    "TrialRow",
    "Verdict",
    "Warned",
    "list_runs",
    "make_plan",
    "parse_event",
    "preset_names",
    "read_events",
]
