"""The front door: everything the window may import. Nothing here imports torch.

Names are looked up when they are first asked for, so that `dfrot doctor` answers where a package they need is broken.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        GenerationFinished,
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
        TextWritten,
        TrialFinished,
        Warned,
        parse_event,
        read_events,
    )
    from dfrot_engine.generation.types import GenerationResult
    from dfrot_engine.options import RunOptions
    from dfrot_engine.plan import ModelSummary, Output, Plan, Problem, StageEstimate, make_plan
    from dfrot_engine.proof.types import ProofRow
    from dfrot_engine.recipe import Recipe, preset_names
    from dfrot_engine.run_list import RunInfo, list_runs
    from dfrot_engine.sensitivity.types import SensitivityResult
    from dfrot_engine.trial.types import TokenError, TrialResult, TrialRow
    from dfrot_engine.verdicts.types import Verdict

#: The version's one home; pyproject.toml reads it here.
__version__ = "0.1.0"

_ROOMS = (
    "dfrot_engine.errors",
    "dfrot_engine.events",
    "dfrot_engine.generation.types",
    "dfrot_engine.options",
    "dfrot_engine.plan",
    "dfrot_engine.proof.types",
    "dfrot_engine.recipe",
    "dfrot_engine.run_list",
    "dfrot_engine.sensitivity.types",
    "dfrot_engine.trial.types",
    "dfrot_engine.verdicts.types",
)

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
    "GenerationFinished",
    "GenerationResult",
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
    "SensitivityResult",
    "ServeChecked",
    "StageAdvanced",
    "StageEstimate",
    "StageFinished",
    "StageStarted",
    "TextWritten",
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


def __getattr__(name: str) -> Any:
    if name in __all__:
        for room in map(import_module, _ROOMS):
            if name in vars(room):
                globals()[name] = vars(room)[name]
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
