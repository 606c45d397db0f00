"""Hand finished blocks to each exporter; a checkpoint appears in its folder whole or not at all."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from dfrot_engine.checkpoint.local import CONFIG
from dfrot_engine.events import StageAdvanced, StageStarted
from dfrot_engine.exporters import exporter_of
from dfrot_engine.job import Job
from dfrot_engine.marker import MARKER, change_marker, seal
from dfrot_engine.progress import Report
from dfrot_engine.recipe import Export
from dfrot_engine.stages.base import Stage
from dfrot_engine.whole_file import sync_folder, sync_tree, unwritten, whole_file
from dfrot_engine.work_dir import WorkDir
from dfrot_engine.work_names import WRITTEN

NAME = "export"
_NO_RENAME = (errno.EXDEV, errno.EBUSY)


def run(job: Job, work: WorkDir, _fingerprint: str, report: Report) -> None:
    """Leaves the output folders."""
    num_blocks = job.architecture.num_blocks
    steps = num_blocks * len(job.recipe.exports)
    report(StageStarted(stage=NAME, steps=steps))
    # The output folder itself first: moving it into place replaces what is there, subfolders included.
    for number, export in enumerate(sorted(job.recipe.exports, key=lambda one: len(Path(one.subfolder).parts))):
        draft, label = work.draft_output(export.kind), job.recipe.label(export)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for done in exporter_of(export.kind)(job, work, draft):
            report(
                StageAdvanced(stage=NAME, step=number * num_blocks + done, steps=steps, label=f"{label}: block {done}")
            )
        change_marker(draft, {"export": export.model_dump(mode="json")})
        seal(draft)
        folder = output_folder(job, export)
        names = sorted(path.relative_to(draft).as_posix() for path in draft.rglob("*") if path.is_file())
        # Whoever deletes the run must be able to leave what users have put beside its files.
        work.write_json(WRITTEN, (work.read_json(WRITTEN) or {}) | {str(folder.absolute()): names})
        _move_into_place(draft, folder)


def output_folder(job: Job, export: Export) -> Path:
    return job.options.output_dir / export.subfolder


def _move_into_place(draft: Path, folder: Path) -> None:
    """Replace the folder by the draft, as late and as briefly as can be.

    Raises:
        DiskError: the folder cannot be written.
    """
    size = sum(path.stat().st_size for path in draft.rglob("*"))
    try:
        sync_tree(draft)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            _rename(draft, folder)
        except OSError as error:
            if error.errno not in _NO_RENAME:
                raise
            _fill(draft, folder)
    except OSError as error:
        raise unwritten(folder, error, size) from error


def _rename(draft: Path, folder: Path) -> None:
    if folder.exists():
        # The plan has made sure that this is ours or that the user wants it replaced.
        old = draft.with_name(draft.name + ".replaced")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        draft.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(folder)
    sync_folder(folder.parent)


def _fill(draft: Path, folder: Path) -> None:
    """Copy into a folder on another disk, or one that a disk is mounted at.

    The marker comes first, so that the same run may go on after a kill. The config goes first and comes last, since
    nothing loads a folder without one.
    """
    _copy(draft / MARKER, folder)
    for old in sorted(folder.iterdir(), key=lambda path: path.name != CONFIG):
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        elif old.name != MARKER:
            old.unlink()
    for path in sorted(draft.rglob("*"), key=lambda path: path == draft / CONFIG):
        if path.is_file():
            _copy(path, folder / path.relative_to(draft).parent)
    shutil.rmtree(draft, ignore_errors=True)


def _copy(path: Path, folder: Path) -> None:
    with whole_file(folder / path.name, path.stat().st_size) as draft:
        shutil.copyfile(path, draft)


STAGE = Stage(NAME, lambda recipe: recipe.exports, lambda job: bool(job.recipe.exports), run)
