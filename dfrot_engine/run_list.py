"""Past runs as a list: what each came to, in a row. Imports no torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dfrot_engine.errors import DFRotError
from dfrot_engine.recipe import Recipe
from dfrot_engine.report_file import weight_bytes
from dfrot_engine.run_index import RunNote, read_notes
from dfrot_engine.run_record import RunRecord, read_run

RunStatus = Literal["finished", "cancelled", "failed", "killed", "running", "gone"]
_LOG = logging.getLogger(__name__)


class RunInfo(BaseModel):
    """One run of this computer.

    Args:
        key: what `dfrot runs` calls it.
        status: "killed" where the journal has no end and nobody is at work on it, "gone" where there is no journal.
        recipe: its name; `formats` and `rotation` say in short what is in it.
        can_resume: whether it stopped early, and its recipe and options are there.
        seconds: from the last start to the last word.
        perplexity, perplexity_original, kl_divergence: None where they were not measured.
        bytes: of the weights that were written and are there; None where none are.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    work_dir: Path
    output_dir: Path
    model: str
    recipe: str
    formats: str
    rotation: str
    status: RunStatus
    message: str = ""
    can_resume: bool = False
    started: datetime
    seconds: float | None = None
    perplexity: float | None = None
    perplexity_original: float | None = None
    kl_divergence: float | None = None
    bytes: int | None = None


def list_runs(on_skip: Callable[[str], None] = _LOG.warning) -> tuple[RunInfo, ...]:
    """The runs of this computer, the one started last first; folders that are gone are among them.

    Args:
        on_skip: told in a sentence of every note that is damaged.
    """
    return tuple(read_info(note) for note in read_notes(on_skip))


def read_info(note: RunNote) -> RunInfo:
    """What the run of a note has come to; a folder that cannot be read counts as gone."""
    try:
        record = read_run(note.work_dir)
    except OSError:
        record = None
    known = RunInfo(
        key=note.key,
        work_dir=note.work_dir,
        output_dir=note.output_dir,
        model=note.model,
        recipe=note.recipe,
        formats=note.formats,
        rotation=note.rotation,
        status="gone",
        started=note.started,
    )
    return known.model_copy(update=_found(record)) if record else known


def _found(record: RunRecord) -> dict[str, object]:
    """What the journal says, which is newer than the note where the folder was used again or copied over."""
    found: dict[str, object] = {
        "model": record.model,
        "recipe": record.recipe,
        "status": record.status,
        "message": f"{record.message} {record.remedy}".strip() if record.status != "finished" else "",
        "can_resume": bool(record.resume),
        "started": record.started,
        "seconds": record.seconds,
        "perplexity": record.numbers.get("perplexity"),
        "perplexity_original": record.originals.get("perplexity"),
        "kl_divergence": record.numbers.get("kl_divergence"),
        "bytes": _bytes(record.outputs),
    }
    try:
        recipe = Recipe.load(record.work_dir / "recipe.toml")
    except DFRotError:
        return found
    return found | {"formats": recipe.formats, "rotation": recipe.rotation.r1.kind}


def _bytes(outputs: tuple[str, ...]) -> int | None:
    try:
        return sum(weight_bytes(Path(folder)) for folder in outputs) or None
    except OSError:
        return None
