"""The rotations that are tried, and the recipe they are tried with: the user's, cut down to a minute's work."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from dfrot_engine.options import RunOptions
from dfrot_engine.recipe import (
    REFINED,
    Descent,
    DFRot,
    Hadamard,
    NoRotation,
    RandomOrthogonal,
    Recipe,
    Whip,
)

NUM_SAMPLES = 2
SEQ_LEN = 512
SAMPLE_ROWS = 16_384
BATCH_ROWS = 2_048
# On the sample model, refinements that go on gain little more. A kind that is not here takes too long for a trial.
MOST_STEPS = {DFRot: 30, Descent: 80, Whip: 80}


def candidates(recipe: Recipe) -> tuple[Any, ...]:
    """Sections of R1 to try, simplest first; the recipe's own stands for its kind, with its own settings."""
    own = recipe.rotation.r1
    seed = getattr(own, "seed", 0)
    usual = (NoRotation(), RandomOrthogonal(seed=seed), Hadamard(seed=seed), DFRot(seed=seed), Descent(seed=seed))
    tried = tuple(own if own.kind == section.kind else section for section in usual)
    return tried if own in tried else (*tried, own)


def shortened(section: Any, most_steps: int) -> Any:
    """A refinement with fewer steps, a descent with smaller batches too; other rotations as they are."""
    if not isinstance(section, REFINED):
        return section
    update: dict[str, Any] = {"steps": min(section.steps, most_steps)}
    if isinstance(section, Descent | Whip):
        update["batch_rows"] = min(section.batch_rows, BATCH_ROWS)
    return section.model_copy(update=update)


def trial_recipe(recipe: Recipe) -> Recipe:
    """Few tokens, nothing written, nothing evaluated, weights rounded to nearest: too few tokens to solve for them."""
    data = recipe.model_dump(mode="json")
    data["exports"], data["evaluation"], data["solver"] = [], None, {"kind": "rtn"}
    length = min(recipe.calibration.seq_len, SEQ_LEN)
    data["calibration"] |= {"num_samples": min(recipe.calibration.num_samples, NUM_SAMPLES), "seq_len": length}
    return Recipe.parse(data)


def trial_options(device: str = "auto", threads: int = 0) -> RunOptions:
    """Options for a trial; nothing is written to the folder they name."""
    folder = Path(tempfile.gettempdir()) / "dfrot-trial"
    return RunOptions.model_validate({"output_dir": folder, "device": device, "threads": threads})
