"""Checking an output folder again, long after its run: its files, and its tensors while the work folder is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dfrot_engine.errors import ModelError
from dfrot_engine.job import Job
from dfrot_engine.marker import has_failed, read_marker
from dfrot_engine.options import RunOptions
from dfrot_engine.plan_outputs import HOLD_CODES
from dfrot_engine.proof.files import prove_hashes, prove_model, prove_tensors
from dfrot_engine.proof.types import ProofRow, Written
from dfrot_engine.recipe import Recipe
from dfrot_engine.work_dir import WorkDir


def verify_folder(folder: Path, work_dir: Path | None = None) -> Iterator[ProofRow]:
    """Rows of the links that can still be checked.

    Args:
        work_dir: of the run; the one beside the output by default.
    Raises:
        ModelError: the folder is no output of a run.
    """
    marker = read_marker(folder)
    if not marker.get("files"):
        raise ModelError(
            f"{folder} has no dfrot.json with the hashes of its files.", "Give the output folder of a run."
        )
    export = marker.get("export", {})
    kind = str(export.get("kind", ""))
    if has_failed(folder):
        reasons = "; ".join(map(str, marker["proof"].get("reasons", ())))
        yield ProofRow(
            check="files", output=kind, what="The run's own proof", passed=False, note=f"it failed: {reasons}"
        )
    yield prove_hashes(kind, folder)
    work_dir = work_dir or _work_folder(folder, str(export.get("subfolder", "")))
    reason = _why_not(folder, work_dir, kind)
    if reason:
        yield ProofRow(check="tensors", output=kind, what="Every tensor", note=f"not done: {reason}")
        return
    job, work = _job(folder, work_dir), WorkDir(work_dir)
    if kind in HOLD_CODES:
        yield prove_tensors(job, work, Written(kind, kind, folder), _unheard)
    else:
        yield from prove_model(job, work, [Written(kind, kind, folder)], None, _unheard)


def _unheard(_block: int) -> None:
    """Takes a minute at most; nothing to tell in between."""


def _work_folder(folder: Path, subfolder: str) -> Path:
    """Beside the run's output folder."""
    output = folder.absolute()
    for _ in Path(subfolder).parts:
        output = output.parent
    return output.with_name(f"{output.name}.dfrot")


def _why_not(folder: Path, work_dir: Path, kind: str) -> str:
    """What keeps the tensors from being checked; "" if nothing does."""
    if not (work_dir / "source.json").is_file():
        return f"there is no work folder {work_dir}"
    if Recipe.load(folder / "recipe.toml") != Recipe.load(work_dir / "recipe.toml"):
        return f"the work folder {work_dir} belongs to another recipe"
    if kind in HOLD_CODES and not WorkDir(work_dir).block_path("quantize", "outer").is_file():
        return "the run has removed its intermediate files (--keep-work keeps them)"
    if not Path((WorkDir(work_dir).read_json("source.json") or {}).get("folder", "")).is_dir():
        return "the original is no longer where it was"
    return ""


def _job(folder: Path, work_dir: Path) -> Job:
    work = WorkDir(work_dir)
    options = RunOptions.model_validate(work.read_json("options.json") or {"output_dir": folder})
    model_dir = Path(work.read_json("source.json")["folder"])
    return Job.prepare(Recipe.load(folder / "recipe.toml"), options, str(read_marker(folder).get("model")), model_dir)
