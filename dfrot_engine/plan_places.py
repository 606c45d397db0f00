"""Folders and disks: may the run write there, does it overwrite anything, and is there room?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_cache_path

from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.marker import MARKER, has_failed, read_marker
from dfrot_engine.options import RunOptions
from dfrot_engine.plan_types import Problem, StageEstimate
from dfrot_engine.recipe import Recipe
from dfrot_engine.whole_file import DRAFT

OUTPUT_FIELD = "options.output_dir"
WORK_FIELD = "options.work_dir"
# A full disk makes the whole computer fail; this much is left free.
RESERVE_BYTES = 200_000_000


def folder_problems(recipe: Recipe, options: RunOptions, model_folder: Path | None) -> list[Problem]:
    """Whether outputs and the work folder can be written without destroying anything unasked."""
    problems = _writable_problems(options.work_path, WORK_FIELD if options.work_dir else OUTPUT_FIELD)
    if not recipe.exports:
        return problems
    problems = _writable_problems(options.output_dir, OUTPUT_FIELD) or problems
    for folder in dict.fromkeys(options.output_dir / export.subfolder for export in recipe.exports):
        problems += _occupied_problems(folder, recipe, options, model_folder)
    return problems


def space_problems(
    recipe: Recipe, options: RunOptions, facts: ModelFacts, stages: Sequence[StageEstimate]
) -> list[Problem]:
    """Whether the disks hold what the run will write: downloads, work files and outputs, disk by disk."""
    output_bytes = sum(stage.disk_bytes for stage in stages if stage.stage == "export")
    load_bytes = sum(stage.disk_bytes for stage in stages if stage.stage == "load")
    work_bytes = sum(stage.disk_bytes for stage in stages) - output_bytes - load_bytes
    wanted = [
        (_cache_folder(facts), load_bytes, "model.id_or_path"),
        (options.work_path, work_bytes, WORK_FIELD if options.work_dir else OUTPUT_FIELD),
        # An output is built in the work folder and moved; on another disk it is copied, and takes room on both.
        (options.output_dir, output_bytes, OUTPUT_FIELD),
    ]
    needed: dict[int, int] = {}
    place: dict[int, tuple[Path, str]] = {}
    for path, num_bytes, field in wanted:
        existing = _existing(path)
        disk = existing.stat().st_dev
        needed[disk] = needed.get(disk, 0) + num_bytes
        place[disk] = existing, field
    problems: list[Problem] = []
    for disk, num_bytes in needed.items():
        path, field = place[disk]
        free = shutil.disk_usage(path).free
        if num_bytes and num_bytes + RESERVE_BYTES > free:
            message = f"The run writes about {gigabytes(num_bytes)}, but only {gigabytes(free)} are free at {path}."
            problems.append(Problem.error(field, message, "Free some space, or choose a folder on another disk."))
    return problems


def gigabytes(num_bytes: int) -> str:
    """A size for people, in decimal units."""
    if num_bytes < 999_500:
        return f"{num_bytes / 1e3:,.0f} kB"
    if num_bytes < 999_500_000:
        return f"{num_bytes / 1e6:,.0f} MB"
    return f"{num_bytes / 1e9:,.1f} GB"


def _writable_problems(folder: Path, field: str) -> list[Problem]:
    # A finished folder replaces the old one, so it is the parent that must be writable.
    parent = _existing(folder.absolute().parent)
    if folder.exists() and not folder.is_dir():
        return [Problem.error(field, f"{folder} is a file.", "Choose a folder.")]
    if not parent.is_dir():
        return [Problem.error(field, f"{parent} is a file, so {folder} cannot be made.", "Choose another folder.")]
    for path in {parent, _existing(folder.absolute())}:
        if not os.access(path, os.W_OK | os.X_OK):
            return [Problem.error(field, f"You may not write to {path}.", "Choose a folder of your own.")]
    return []


def _occupied_problems(folder: Path, recipe: Recipe, options: RunOptions, model_folder: Path | None) -> list[Problem]:
    if not folder.is_dir() or not _has_entries(folder) or is_own_output(folder, recipe):
        return []
    if _has_failed_whole(folder):
        return []
    if not options.overwrite:
        return [
            Problem.error(
                OUTPUT_FIELD,
                f"{folder} is not empty.",
                "Choose another folder, or allow that what is in it is replaced.",
            )
        ]
    precious = {"your home folder": Path.home(), "the work folder": options.work_path, "the current folder": Path.cwd()}
    if model_folder is not None:
        precious["the model itself"] = model_folder
    for name, path in precious.items():
        if path.absolute().resolve().is_relative_to(folder.absolute().resolve()):
            return [
                Problem.error(OUTPUT_FIELD, f"{folder} holds {name}; it is not replaced.", "Choose another folder.")
            ]
    message = f"Everything in {folder} will be deleted when the new files are ready."
    return [Problem.warning("options.overwrite", message, "Choose another folder to keep it.")]


def is_own_output(folder: Path, recipe: Recipe) -> bool:
    """Whether the folder was written by this very recipe, so that writing it again loses nothing."""
    return read_marker(folder).get("recipe_fingerprint") == recipe.fingerprint()


def _has_failed_whole(folder: Path) -> bool:
    """Whether the proofs of everything that was written there have failed."""
    return has_failed(folder) and all(has_failed(marker.parent) for marker in folder.rglob(MARKER))


def _has_entries(folder: Path) -> bool:
    try:
        # A run that was killed as it began to fill the folder has left no more than that.
        return any(path.name != MARKER + DRAFT for path in folder.iterdir())
    except OSError:  # not readable: said by the check for writing
        return True


def _existing(path: Path) -> Path:
    """The path itself or its nearest ancestor that exists."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())


def _cache_folder(facts: ModelFacts) -> Path:
    if facts.revision:
        from dfrot_engine.checkpoint.hub_cache import cache_folder

        return cache_folder()
    return user_cache_path("dfrot")
