"""What a stage is: a name, the recipe fields it depends on, whether it is needed, and its loop."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.recipe import Recipe
from dfrot_engine.work_dir import WorkDir


@dataclass(frozen=True)
class Stage:
    """One step of the straight line.

    Args:
        settings: what of the recipe decides the files the stage leaves; hashed after the fingerprint before it.
        is_needed: False lets the run pass the stage over.
        run: reads what earlier stages left in the work folder, adds its own files; third argument: its fingerprint.
    """

    name: str
    settings: Callable[[Recipe], Sequence[object]]
    is_needed: Callable[[Job], bool]
    run: Callable[[Job, WorkDir, str, Report], None]

    def fingerprint(self, recipe: Recipe, before: str) -> str:
        """16 hexadecimal characters; changes when a setting or anything before changes."""
        return hashlib.sha256(f"{before} {list(self.settings(recipe))!r}".encode()).hexdigest()[:16]
