"""What a GGUF file cannot carry, said before the run. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dfrot_engine.architectures import architecture_of
from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.checkpoint.source import gguf_path
from dfrot_engine.errors import ModelError
from dfrot_engine.exporters.gguf_pre_tokenizer import check_tokenizer
from dfrot_engine.exporters.gguf_table import (
    BLOCK_COLUMNS,
    CODE_TYPES,
    GGUF_ARCHITECTURES,
    code_type,
    rope_of,
    tensor_namer,
    window_of,
)
from dfrot_engine.plan_linears import PlannedLinear, problems_by_field
from dfrot_engine.plan_types import Problem
from dfrot_engine.recipe import Recipe

_CACHE_FLAG = "--cache-type-k q4_0 --cache-type-v q4_0"


def code_problems(recipe: Recipe, linears: Sequence[PlannedLinear], facts: ModelFacts) -> list[Problem]:
    """Of a file that holds the recipe's own codes."""
    problems = [*problems_by_field(found for linear in linears for found in _weight_limits(linear))]
    if all(linear.weights is None for linear in linears):
        message = "The recipe rounds no weights, so there are no codes to write."
        problems.append(Problem.error("weights", message, "Choose a weight format, or export gguf-f16 instead."))
    others = [export.kind for export in recipe.exports if export.kind == "compressed-tensors"]
    embedding = facts.headers.get(f"{architecture_of(facts.config, facts.headers).embedding}.weight")
    if others and (embedding is None or embedding.dtype != "F16"):
        problems.append(
            Problem.error(
                "exports",
                f"GGUF holds float16 scales and {others[0]} those of the model's own precision, but codes are computed "
                "for one of them.",
                "Write them in two runs, each into a folder of its own.",
            )
        )
    return problems + folded_problems(recipe, facts) + _serving_problems(recipe, linears)


def folded_problems(recipe: Recipe, facts: ModelFacts) -> list[Problem]:
    """Of every GGUF file: models that it cannot describe."""
    found = next(_model_limits(facts), None)
    if found is not None:
        return [Problem.error("exports", found, "Leave GGUF out of the exports; rotated-bf16 takes every model.")]
    return [] if facts.folder is None else tokenizer_problems(recipe, facts.folder)


def tokenizer_problems(recipe: Recipe, folder: Path) -> list[Problem]:
    """Of a model that is on this computer; one that came as GGUF brings its tokenizer along.

    Args:
        folder: the model's, with tokenizer.json.
    """
    if gguf_path(recipe.model) is not None:
        return []
    try:
        check_tokenizer(folder)
    except ModelError as error:
        return [Problem.error("exports", error.message, error.remedy)]
    return []


def _model_limits(facts: ModelFacts) -> Iterator[str]:
    config = facts.config
    model_type = config["model_type"]
    row = GGUF_ARCHITECTURES.get(model_type)
    if row is None:
        known = ", ".join(GGUF_ARCHITECTURES)
        yield f"GGUF files are not written for {model_type}, only for {known}."
        return
    rope = rope_of(config)["rope_type"]
    if rope not in row.rope_types:
        yield f"GGUF files are not written for {model_type} with a RoPE that is scaled as '{rope}'."
    window = window_of(config)
    if window is not None:
        yield f"This model looks back {window:,} tokens, which llama.cpp would not know of {model_type}."
    if config.get("hidden_act", "silu") != "silu":
        yield f"llama.cpp computes SiLU in {model_type}, where this model has {config['hidden_act']}."
    name_of = tensor_namer(model_type, architecture_of(config, facts.headers).num_blocks)
    unnamed = [name for name in facts.headers if not name.endswith("rotary_emb.inv_freq") and name_of(name) is None]
    if unnamed:
        yield f"GGUF has no name for '{unnamed[0]}'."


def _weight_limits(linear: PlannedLinear) -> Iterator[tuple[str, str, str]]:
    scheme, field = linear.weights, linear.weights_field
    if scheme is None:
        return
    if (scheme.format, True) not in CODE_TYPES:
        yield (
            f"{field}.format",
            f"GGUF has no type for {scheme.format} weights that is written here ({linear.short_name}).",
            "Choose int4 or int8, or export gguf-q8_0 or gguf-f16, which do not hold these codes.",
        )
    elif (scheme.format, scheme.symmetric) not in CODE_TYPES:
        yield (
            f"{field}.symmetric",
            f"GGUF has no asymmetric type for {scheme.format} weights ({linear.short_name}).",
            "Make the weights symmetric, or choose int4.",
        )
    elif code_type(scheme) is None:
        is_grouped = scheme.granularity == "per-group"
        yield (
            f"{field}.group_size" if is_grouped else f"{field}.granularity",
            f"A scale of GGUF serves {BLOCK_COLUMNS} columns ({linear.short_name}).",
            f"Set it to {BLOCK_COLUMNS}." if is_grouped else f"Set it to per-group, with groups of {BLOCK_COLUMNS}.",
        )


def _serving_problems(recipe: Recipe, linears: Sequence[PlannedLinear]) -> list[Problem]:
    """What the runtime does by itself."""
    problems: list[Problem] = []
    rounded = next((linear for linear in linears if linear.activations is not None), None)
    if rounded is not None:
        problems.append(
            Problem.warning(
                rounded.activations_field,
                "GGUF does not carry the activations' format: llama.cpp rounds them itself, to 8 bits in groups of 32.",
                "What is measured is the file's weights alone; leave exports empty to measure the activations too.",
            )
        )
    if recipe.kv_cache is not None:
        problems.append(
            Problem.warning(
                "kv_cache",
                "The KV cache's format does not travel in a GGUF file.",
                f"When serving, choose it there: `llama-server {_CACHE_FLAG}`.",
            )
        )
    return problems
