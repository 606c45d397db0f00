"""The gate: every check that needs no weights, and what the run will take. Reads headers only; imports no torch."""

from __future__ import annotations

from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.checkpoint.blocks import in_table_names
from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.checkpoint.headers import total_bytes
from dfrot_engine.checkpoint.source import inspect
from dfrot_engine.errors import DFRotError
from dfrot_engine.evaluation.harness import task_problems
from dfrot_engine.exporters.limits import export_problems, unwritten_exports
from dfrot_engine.fitted_recipe import fitted_recipe
from dfrot_engine.hadamard_orders import hadamard_order
from dfrot_engine.nvidia import gpu_capabilities
from dfrot_engine.options import RunOptions
from dfrot_engine.plan_checks import data_problems, device_problems, model_problems, recipe_problems
from dfrot_engine.plan_estimates import Workload, stage_estimates
from dfrot_engine.plan_linears import planned_linears
from dfrot_engine.plan_network import network_problems
from dfrot_engine.plan_outputs import outputs_of
from dfrot_engine.plan_places import folder_problems, space_problems
from dfrot_engine.plan_ranks import rank_problems
from dfrot_engine.plan_types import ModelSummary, Output, Plan, Problem, StageEstimate
from dfrot_engine.recipe import Recipe
from dfrot_engine.verdicts.judge import verdicts

__all__ = ["ModelSummary", "Output", "Plan", "Problem", "StageEstimate", "make_plan", "model_summary"]

_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def make_plan(recipe: Recipe, options: RunOptions) -> Plan:
    """Check a recipe against its model, its exporters and this computer; mistakes become problems, never exceptions.

    Cheap enough for every edit: local models are read once, the Hub is asked once in five minutes.
    """
    problems = [*data_problems(recipe), *device_problems(options), *rank_problems(recipe, options)]
    try:
        facts = inspect(recipe.model)
        architecture = architecture_of(facts.config, facts.headers)
        facts = in_table_names(facts, architecture)
    except DFRotError as error:
        problems = [_problem(error, "model.id_or_path"), *problems, *folder_problems(recipe, options, None)]
        return Plan(model=None, stages=(), outputs=(), problems=tuple(problems))
    linears, fitted = planned_linears(recipe, architecture), fitted_recipe(recipe, architecture)
    problems = [
        *model_problems(facts, architecture),
        *recipe_problems(recipe, architecture, linears),
        *export_problems(recipe, linears, facts),
        *task_problems(recipe, architecture),
        *problems,
        *folder_problems(fitted, options, facts.folder),
    ]
    work = Workload(fitted, options, facts, architecture, linears)
    stages, outputs = stage_estimates(work), outputs_of(work)
    problems += [*network_problems(work, stages), *space_problems(recipe, options, facts, stages)]
    # Errors first: the window shows the first ones, and a run stops at the first.
    problems.sort(key=lambda problem: problem.severity != "error")
    unwritten = unwritten_exports(recipe, linears, facts)
    return Plan(
        model=model_summary(facts, architecture),
        stages=stages,
        outputs=outputs,
        problems=tuple(dict.fromkeys(problems)),
        verdicts=verdicts(recipe, linears, outputs, unwritten=unwritten, here=gpu_capabilities()),
    )


def _problem(error: DFRotError, field: str) -> Problem:
    return Problem(field=error.field or field, severity="error", message=error.message, remedy=error.remedy)


def model_summary(facts: ModelFacts, architecture: Architecture) -> ModelSummary:
    """Sizes and names for people."""
    classes = facts.config.get("architectures")
    embedding = facts.headers.get(f"{architecture.embedding}.weight")
    dtype = embedding.dtype if embedding else ""
    return ModelSummary(
        id=facts.id,
        architecture=str(classes[0]) if isinstance(classes, list) and classes else architecture.model_type,
        num_blocks=architecture.num_blocks,
        hidden_size=architecture.hidden_size,
        num_heads=architecture.num_heads,
        num_kv_heads=architecture.num_kv_heads,
        head_size=architecture.head_size,
        intermediate_size=architecture.intermediate_size,
        vocab_size=architecture.vocab_size,
        num_parameters=sum(header.num_elements for header in facts.headers.values()),
        bytes=total_bytes(facts.headers.values()),
        dtype=_DTYPE_NAMES.get(dtype, dtype.lower()),
        tied=architecture.tied,
        hadamard_order=str(hadamard_order(architecture.hidden_size)),
    )
