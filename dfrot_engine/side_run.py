"""What commands share that look at a model and write no checkpoint: their plan, their stages, their last event."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.checkpoint.source import inspect
from dfrot_engine.errors import DeviceError, DFRotError, DiskError, RecipeError
from dfrot_engine.events import Event, RunEnded, RunStarted, StageFinished
from dfrot_engine.job import choose_device
from dfrot_engine.memory import PeakMemory, is_out_of_memory
from dfrot_engine.options import RunOptions
from dfrot_engine.plan import Plan, make_plan
from dfrot_engine.plan_estimates import Workload
from dfrot_engine.plan_linears import planned_block_linears
from dfrot_engine.progress import Control, Report, cancellable
from dfrot_engine.recipe import Recipe
from dfrot_engine.run import ended_by


def ending(work: Callable[[Report], Event], emit: Callable[[Event], None], control: Control, *, what: str) -> RunEnded:
    """Do the work, say the event it returns, and say how it ended; errors of the user become the last event.

    Args:
        what: the work in a word, for people: "trial".
    """
    try:
        emit(work(cancellable(emit, control)))
        ended = RunEnded(status="finished", message="Finished.")
    except DFRotError as error:
        ended = _ended_without_result(error)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        remedy = "Close other programs, or choose another device."
        ended = ended_by(DeviceError(f"The memory does not hold this {what}.", remedy, "options.device"))
    except OSError as error:
        ended = ended_by(DiskError(f"A file cannot be used: {error.strerror or error}.", "Check the model's folder."))
    emit(ended)
    return ended


def say_started(plan: Plan, recipe: Recipe, options: RunOptions, stages: tuple[str, ...], report: Report) -> None:
    """The first event; there is no output folder."""
    assert plan.model is not None
    report(
        RunStarted(
            run_id=uuid.uuid4().hex[:12],
            recipe_name=recipe.name,
            model=plan.model.id,
            stages=stages,
            num_blocks=plan.model.num_blocks,
            device=choose_device(options.device).type,
            output_dir="",
        )
    )


@contextmanager
def finishing(stage: str, report: Report) -> Iterator[None]:
    """Says that a stage is done, with its time and peak memory."""
    started = time.monotonic()
    with PeakMemory() as memory:
        yield
    report(StageFinished(stage=stage, seconds=time.monotonic() - started, peak_bytes=memory.peak_bytes))


def plan_without_output(recipe: Recipe, options: RunOptions, nothing_that: str) -> tuple[Plan, Workload]:
    """The plan of a recipe that writes nothing, so that folders and disks are no matter.

    Args:
        nothing_that: ends the sentence "This recipe rounds nothing, so there is nothing …".
    Raises:
        RecipeError: the recipe does not fit the model, or rounds nothing.
    """
    plan = make_plan(recipe, options)
    folders = {"options.output_dir", "options.work_dir", "options.overwrite"}
    plan = plan.model_copy(update={"problems": tuple(one for one in plan.problems if one.field not in folders)})
    plan.raise_problems()
    facts = inspect(recipe.model)
    architecture = architecture_of(facts.config, facts.headers)
    _refuse_no_rounding(recipe, architecture, nothing_that)
    return plan, Workload(recipe, options, facts, architecture, planned_block_linears(recipe, architecture))


def _refuse_no_rounding(recipe: Recipe, architecture: Architecture, nothing_that: str) -> None:
    linears = planned_block_linears(recipe, architecture)
    if recipe.kv_cache is None and all(one.weights is None and one.activations is None for one in linears):
        raise RecipeError(
            f"This recipe rounds nothing, so there is nothing {nothing_that}.",
            "Choose a format for weights or activations.",
            "weights",
        )


def _ended_without_result(error: DFRotError) -> RunEnded:
    """As of a run, but nothing is kept that could be resumed."""
    ended = ended_by(error)
    return ended.model_copy(update={"remedy": ""}) if ended.status == "cancelled" else ended
