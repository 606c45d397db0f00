"""What may lie in a work folder; whatever else is there is not ours. Imports no torch."""

from __future__ import annotations

from dfrot_engine.events import JOURNAL
from dfrot_engine.report_file import REPORT

#: What a stage leaves for the next one; a finished run drops them.
STAGE_FOLDERS = ("calibrate", "rotate", "quantize", "prove", "evaluate", "export")
#: Which files the export wrote into which output folder.
WRITTEN = "written.json"
LOCK = "lock"
OWNER = "owner.json"
#: The lock last: as long as it is there, nobody else begins.
OWN_NAMES = (
    *STAGE_FOLDERS,
    "charts",
    JOURNAL,
    REPORT,
    WRITTEN,
    "recipe.toml",
    "options.json",
    "stages.json",
    "source.json",
    "rotations.safetensors",
    "rotation.json",
    "massive.json",
    "evaluation.json",
    "proof.json",
    "recovery.json",
    "experts.json",
    "clips.json",
    OWNER,
    LOCK,
)
