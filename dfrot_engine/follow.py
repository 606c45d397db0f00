"""How several processes go through one run: the first leads as if it were alone, the others follow stage by stage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from dfrot_engine.checkpoint import source
from dfrot_engine.distributed import Ranks
from dfrot_engine.errors import ModelError
from dfrot_engine.events import Event
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.progress import Report
from dfrot_engine.rank_signals import RunIsOver, named
from dfrot_engine.recipe import Recipe
from dfrot_engine.run_errors import explained, is_own_mistake
from dfrot_engine.stages import calibrate, evaluate, quantize
from dfrot_engine.stages.base import Stage
from dfrot_engine.work_dir import WorkDir

#: Stages that all ranks go through; the first does the others alone.
_SHARED = {stage.name: stage for stage in (calibrate.STAGE, quantize.STAGE, evaluate.STAGE)}


def lead(stage: Stage, fingerprint: str, ranks: Ranks) -> None:
    """Tell the others that the first begins this stage."""
    if stage.name in _SHARED:
        ranks.told({"stage": stage.name, "fingerprint": fingerprint})


def dismiss(ranks: Ranks) -> None:
    """Tell the others that no stage is left."""
    ranks.told(None)


def joined_job(
    recipe: Recipe, options: RunOptions, model_id: str, fetch: Callable[[Recipe], Path], ranks: Ranks
) -> Job:
    """One rank's job: the model is fetched by one rank of each computer at a time, and is the same on all of them.

    Args:
        recipe, model_id: of the first rank; the others may give any.
        fetch: makes the model's files local.
    Raises:
        ModelError: this rank has other files than the first.
    """
    facts = ranks.told({"recipe": recipe.model_dump(mode="json"), "model_id": model_id})
    recipe = recipe if ranks.is_first else Recipe.parse(facts["recipe"])
    folder = Path()
    for turn in range(3):
        if turn == ranks.turn:
            folder = fetch(recipe)
        ranks.all_facts(None)  # for them to have finished
    job = Job.prepare(recipe, options, facts["model_id"], folder, ranks)
    # Of stamps with a time the size: copies of a file have times of their own.
    files = {name: stamp.split(" ")[0] for name, stamp in job.model_files.items()}
    if ranks.told(files) != files:
        raise ModelError(
            f"The model in {folder} is not the first process's.",
            "Name a folder that holds the same files on every computer, or one on a shared disk.",
            "model.id_or_path",
        )
    return job


def follow(recipe: Recipe, options: RunOptions, ranks: Ranks) -> bool:
    """What every rank but the first does, from beginning to end; whether the run has finished.

    Args:
        recipe: as the command line has it; the first rank's counts.
    """
    assert ranks.signals is not None
    folder = rank_folder(options, ranks.rank)

    def nobody(_event: Event) -> None: ...

    report = ranks.interrupting(nobody)
    try:
        job = joined_job(recipe, options, "", lambda one: source.fetch(one.model, lambda *_: None), ranks)
        _follow_stages(job, WorkDir(folder), report)
    except RunIsOver:
        return False
    except Exception as error:
        ranks.signals.fail(named(ranks.rank, explained(error, options)))
        if is_own_mistake(error):
            raise
        return False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _follow_stages(job: Job, work: WorkDir, report: Report) -> None:
    while (order := job.ranks.told()) is not None:
        _SHARED[order["stage"]].run(job, work, order["fingerprint"], report)


def rank_folder(options: RunOptions, rank: int) -> Path:
    """Of a rank that is not the first: hidden states that do not fit into its memory."""
    return options.work_path / "ranks" / str(rank)
