"""Hand finished blocks to each exporter; a checkpoint appears in its folder whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from dfrot_engine.errors import DiskError
from dfrot_engine.events import StageAdvanced, StageStarted
from dfrot_engine.exporters import exporter_of
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.recipe import Export
from dfrot_engine.stages.base import Stage
from dfrot_engine.work_dir import WorkDir

NAME = "export"


def run(job: Job, work: WorkDir, _fingerprint: str, report: Report) -> None:
    """Leaves the output folders."""
    num_blocks = job.architecture.num_blocks
    steps = num_blocks * len(job.recipe.exports)
    report(StageStarted(stage=NAME, steps=steps))
    # The output folder itself first: moving it into place replaces what is there, subfolders included.
    for number, export in enumerate(sorted(job.recipe.exports, key=lambda one: len(Path(one.subfolder).parts))):
        draft = work.draft_output(export.kind)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for done in exporter_of(export.kind)(job, work, draft):
            report(
                StageAdvanced(
                    stage=NAME, step=number * num_blocks + done, steps=steps, label=f"{export.kind}: block {done}"
                )
            )
        _move_into_place(draft, output_folder(job, export))


def output_folder(job: Job, export: Export) -> Path:
    return job.options.output_dir / export.subfolder


def _move_into_place(draft: Path, folder: Path) -> None:
    """Replace the folder by the draft, as late and as briefly as can be.

    Raises:
        DiskError: the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            # The plan has made sure that this is ours or that the user wants it replaced.
            old = draft.with_name(draft.name + ".replaced")
            shutil.rmtree(old, ignore_errors=True)
            shutil.move(folder, old)
            shutil.move(draft, folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            shutil.move(draft, folder)
    except OSError as error:
        raise DiskError(
            f"The output folder {folder} cannot be written: {error.strerror}.",
            "Choose another output folder; finished blocks are kept.",
            "options.output_dir",
        ) from None


STAGE = Stage(NAME, lambda recipe: recipe.exports, lambda job: bool(job.recipe.exports), run)
