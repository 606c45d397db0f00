"""Checks of the model, the recipe, its texts and the device; each returns problems and raises nothing."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

from dfrot_engine.architectures import Architecture
from dfrot_engine.architectures.base import Space
from dfrot_engine.calibration.datasets import HUB_DATASETS, Purpose, dataset_file
from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.errors import DataError, RecipeError
from dfrot_engine.nvidia import has_nvidia_gpu
from dfrot_engine.options import RunOptions
from dfrot_engine.plan_formats import format_problems
from dfrot_engine.plan_linears import PlannedLinear
from dfrot_engine.plan_recovery import recovery_problems
from dfrot_engine.plan_solver import solver_problems
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import REFINED, BlockDescent, BlockHadamard, HeadDescent, NoRotation, Recipe, ScaleSearch
from dfrot_engine.rotation_file import START_FIELD, check_inner, find_rotation, named_rotation, named_rotations

MODEL_FIELD = "model.id_or_path"
FLOAT_DTYPES = ("F64", "F32", "F16", "BF16")
# Compressed text says nothing about the number of tokens.
PLAIN_SUFFIXES = (".txt", ".jsonl")


def model_problems(facts: ModelFacts, architecture: Architecture) -> list[Problem]:
    """The tensors the table needs: there, in the shape the config implies, and not quantized yet."""
    if facts.config.get("quantization_config"):
        message = f"{facts.id} is already quantized."
        return [Problem.error(MODEL_FIELD, message, "Choose the original it was made from.")]
    wrong = list(_wrong_tensors(facts, architecture))
    if not wrong:
        return []
    more = f" ({len(wrong) - 1} more like this)" if len(wrong) > 1 else ""
    return [
        Problem.error(MODEL_FIELD, f"{wrong[0]}{more}.", "The files do not belong together; download the model again.")
    ]


def recipe_problems(recipe: Recipe, architecture: Architecture, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """What the recipe asks of this model."""
    problems = [
        *format_problems(recipe, linears),
        *_length_problems(recipe, architecture),
        *_window_problems(recipe, architecture),
        *_r1_problems(recipe, architecture),
        *_r4_problems(recipe, architecture),
        *_scaling_problems(recipe, architecture, linears),
        *_saved_inner_problems(recipe, architecture),
        *_unused_refinements(recipe, linears),
        *recovery_problems(recipe, architecture, linears),
        *solver_problems(recipe, architecture, linears),
    ]
    names = [linear.name for linear in linears]
    patterns = [(f"skip.{number}", pattern) for number, pattern in enumerate(recipe.skip)]
    patterns += [(f"overrides.{number}.linears", one.linears) for number, one in enumerate(recipe.overrides)]
    for field, pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            message = f"'{pattern}' matches no linear of this model."
            problems.append(Problem.warning(field, message, f"Names look like '{names[0]}'."))
    problems += _hidden_overrides(recipe, names)
    if not recipe.exports and recipe.evaluation is None:
        message = "The run writes no files and measures nothing."
        problems.append(Problem.warning("exports", message, "Add an export or an evaluation."))
    return problems


def data_problems(recipe: Recipe) -> list[Problem]:
    """The calibration and evaluation texts: known, there, and long enough as far as their size tells."""
    calibration, evaluation = recipe.calibration, recipe.evaluation
    needed = calibration.num_samples * calibration.seq_len
    problems = _text_problems(calibration.dataset, "calibration", needed, "calibration.num_samples")
    if evaluation is None:
        return problems
    # The model's own window is not known here; recipe_problems looks at it.
    window = 1 if evaluation.seq_len == "model" else evaluation.seq_len
    problems += _text_problems(evaluation.dataset, "evaluation", window, "evaluation.seq_len")
    if _is_same_file(calibration.dataset, evaluation.dataset):
        problems.append(
            Problem.warning(
                "evaluation.dataset",
                "The model is measured on the text it was calibrated on, which flatters it.",
                "Choose another text, for example 'builtin'.",
            )
        )
    return problems


def device_problems(options: RunOptions) -> list[Problem]:
    """CUDA where it was asked for."""
    if options.device != "cuda":
        return []
    if not has_nvidia_gpu():
        message = "No NVIDIA driver or GPU was found."
        return [Problem.error("options.device", message, "Choose 'auto' or 'cpu', or install the NVIDIA driver.")]
    if importlib.metadata.version("torch").endswith("+cpu"):
        message = "The installed torch is built for CPUs only."
        return [Problem.error("options.device", message, "Install a CUDA build of torch, or choose 'cpu'.")]
    return []


def _wrong_tensors(facts: ModelFacts, architecture: Architecture) -> Iterator[str]:
    expected: dict[str, tuple[int, ...]] = {}
    for block, numbers in architecture.blocks_of_kind:
        own = {one.name: architecture.linear_shape(one) for one in (*block.linears, *block.routers)}
        prefixes = map(architecture.block_prefix, numbers)
        expected |= {f"{prefix}{name}.weight": shape for prefix in prefixes for name, shape in own.items()}
    expected[f"{architecture.embedding}.weight"] = (architecture.vocab_size, architecture.hidden_size)
    norms = [architecture.final_norm.name] + [
        architecture.block_prefix(index) + norm.name
        for index in range(architecture.num_blocks)
        for norm in architecture.block_at(index).norms
    ]
    shapes = expected | {f"{name}.weight": (architecture.hidden_size,) for name in norms}
    # Their inputs are as wide as the vision tower makes them.
    for name in architecture.writers:
        header = facts.headers.get(f"{name}.weight")
        shapes[f"{name}.weight"] = (architecture.hidden_size, *(header.shape[1:] if header else ()))
    for name, shape in shapes.items():
        header = facts.headers.get(name)
        if header is None:
            yield f"The checkpoint lacks '{name}'"
        elif header.shape != shape:
            yield f"'{name}' has the shape {_times(header.shape)}, but config.json implies {_times(shape)}"
        elif header.dtype not in FLOAT_DTYPES:
            yield f"'{name}' is stored as {header.dtype}, which is no 16- or 32-bit float"


def _r1_problems(recipe: Recipe, architecture: Architecture) -> list[Problem]:
    r1 = recipe.rotation.r1
    if architecture.r1_refused and not isinstance(r1, NoRotation):
        return [Problem.error("rotation.r1.kind", architecture.r1_refused, "Set R1 to none; R2 and R4 still help.")]
    if architecture.norms_subtract_mean and "householder" in (r1.kind, getattr(r1, "start", "")):
        field = "rotation.r1.kind" if r1.kind == "householder" else "rotation.r1.start"
        message = "Householder makes a constant of what tokens have in common; this model's norms subtract constants."
        return [Problem.error(field, message, "Set it to hadamard.")]
    named = named_rotation(r1)
    if named is not None:
        path, field = named
        try:
            find_rotation(path, architecture.hidden_size, field)
        except RecipeError as error:
            return [Problem.error(error.field, error.message, error.remedy)]
    elif isinstance(r1, REFINED) and r1.start_path:
        message = f"The saved rotation {r1.start_path} is not used, since the start is {r1.start}."
        return [Problem.warning(START_FIELD, message, "Set rotation.r1.start = 'from-file', or leave the path empty.")]
    return []


def _r4_problems(recipe: Recipe, architecture: Architecture) -> list[Problem]:
    r4, widths = recipe.rotation.r4, architecture.mlp_widths
    learns = isinstance(r4, BlockDescent) or (isinstance(r4, BlockHadamard) and r4.permute)
    if architecture.experts_per_token and learns:
        message = "R4 cannot learn here: each expert's down_proj has inputs of its own, from a part of the tokens."
        remedy = "Set R4 to hadamard, or to block-hadamard with permute off."
        return [Problem.error("rotation.r4.kind", message, remedy)]
    if not isinstance(r4, BlockHadamard | BlockDescent) or all(width % r4.block_size == 0 for width in widths):
        return []
    sizes = get_args(type(r4).model_fields["block_size"].annotation)
    fitting = [size for size in sizes if all(width % size == 0 for width in widths)]
    width = next(width for width in widths if width % r4.block_size)
    message = f"A block size of {r4.block_size} does not divide the {width:,} channels of down_proj's input."
    remedy = f"Choose {' or '.join(map(str, fitting))}." if fitting else "Set R4 to hadamard."
    return [Problem.error("rotation.r4.block_size", message, remedy)]


def _scaling_problems(recipe: Recipe, architecture: Architecture, linears: Sequence[PlannedLinear]) -> list[Problem]:
    field = "rotation.mlp_scaling.kind"
    if not isinstance(recipe.rotation.mlp_scaling, ScaleSearch):
        return []
    if not architecture.passes_mlp:
        message = f"{architecture.model_type} has a nonlinearity between up_proj and down_proj, which no scale passes."
        return [Problem.warning(field, f"{message} The channels stay as they are.", "Set the scaling to none.")]
    if not architecture.scales_mlp:
        message = "No scales are searched for experts: each sees only the tokens that are routed to it."
        return [Problem.warning(field, f"{message} The channels stay as they are.", "Set the scaling to none.")]
    if not any(one.weights or one.activations for one in linears if one.reads is Space.MLP_HIDDEN):
        message = "The scaling has nothing to serve: down_proj is not rounded."
        return [Problem.warning(field, message, "Set the scaling to none.")]
    return []


def _saved_inner_problems(recipe: Recipe, architecture: Architecture) -> list[Problem]:
    """R2 and R4 that come from a file."""
    problems: list[Problem] = []
    for field, path in named_rotations(recipe.rotation).items():
        if not field.startswith("rotation.r1"):
            try:
                check_inner(path, architecture, field)
            except RecipeError as error:
                problems.append(Problem.error(error.field, error.message, error.remedy))
    return problems


def _unused_refinements(recipe: Recipe, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """Refined rotations that have no rounding error to lower."""
    rotation = recipe.rotation
    reads = {linear.reads: linear.short_name for linear in linears if linear.activations is not None}
    problems: list[Problem] = []
    if isinstance(rotation.r2, HeadDescent) and Space.VALUE not in reads and recipe.kv_cache is None:
        message = "R2 has nothing to lower: neither o_proj's inputs nor the KV cache are rounded."
        problems.append(Problem.warning("rotation.r2.kind", message, "Set R2 to hadamard; it serves the weights."))
    if isinstance(rotation.r4, BlockDescent) and Space.MLP_HIDDEN not in reads:
        message = "R4 has nothing to lower: down_proj's inputs are not rounded."
        problems.append(Problem.warning("rotation.r4.kind", message, "Set R4 to none."))
    return problems


def _hidden_overrides(recipe: Recipe, names: Sequence[str]) -> list[Problem]:
    """Exceptions for linears that are all left alone, which wins."""
    problems: list[Problem] = []
    for number, override in enumerate(recipe.overrides):
        matched = [name for name in names if fnmatchcase(name, override.linears)]
        if matched and all(any(fnmatchcase(name, pattern) for pattern in recipe.skip) for name in matched):
            message = f"'{override.linears}' changes nothing: what it matches is left alone."
            remedy = f"Take {matched[0]} out of skip, or this exception out of overrides."
            problems.append(Problem.warning(f"overrides.{number}.linears", message, remedy))
    return problems


def _length_problems(recipe: Recipe, architecture: Architecture) -> list[Problem]:
    lengths = {"calibration.seq_len": recipe.calibration.seq_len}
    if recipe.evaluation is not None:
        lengths["evaluation.seq_len"] = recipe.evaluation.window(architecture.max_length)
    longest = architecture.max_length
    return [
        Problem.error(
            field, f"{length:,} tokens are more than the model's {longest:,}.", f"Choose {longest:,} or less."
        )
        for field, length in lengths.items()
        if length > longest
    ]


def _window_problems(recipe: Recipe, architecture: Architecture) -> list[Problem]:
    evaluation = recipe.evaluation
    if evaluation is None or evaluation.seq_len != "model":
        return []
    window = evaluation.window(architecture.max_length)
    found = _text_problems(evaluation.dataset, "evaluation", window, "evaluation.seq_len")
    return [problem for problem in found if problem.field == "evaluation.seq_len"]


def _text_problems(dataset: str, purpose: Purpose, num_tokens: int, short_field: str) -> list[Problem]:
    try:
        path = dataset_file(dataset, purpose)
    except DataError as error:
        return [Problem.error(error.field, error.message, error.remedy)]
    if path is None or path.suffix.lower() not in PLAIN_SUFFIXES:
        return []
    size = path.stat().st_size
    if size >= num_tokens:
        return []
    message = f"{path.name} has {size:,} bytes, which cannot hold the {num_tokens:,} tokens the {purpose} needs."
    return [
        Problem.error(short_field, message, "Lower the number or the length of the sequences, or choose a longer text.")
    ]


def _is_same_file(first: str, second: str) -> bool:
    if first in HUB_DATASETS or second in HUB_DATASETS or "builtin" in (first, second):
        return False  # each has a text of its own for either purpose
    return Path(first).expanduser().resolve() == Path(second).expanduser().resolve()


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
