"""What the table of its architecture found in a model's headers, for people and programs. Imports no torch."""

from __future__ import annotations

from pydantic import BaseModel

from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.architectures.base import Space
from dfrot_engine.checkpoint.facts import ModelFacts
from dfrot_engine.checkpoint.source import inspect
from dfrot_engine.hadamard_orders import hadamard_order
from dfrot_engine.plan import model_summary
from dfrot_engine.plan_checks import model_problems
from dfrot_engine.plan_types import ModelSummary, Problem
from dfrot_engine.recipe import ModelSource


class WrittenRows(BaseModel, frozen=True):
    """Rows of a weight that write one space."""

    space: str
    rows: int


class LinearFacts(BaseModel, frozen=True):
    """A linear of every block by its name there, or the head; shape is (out features, in features)."""

    name: str
    reads: str
    writes: tuple[WrittenRows, ...]
    shape: tuple[int, int]
    has_bias: bool


class NormFacts(BaseModel, frozen=True):
    """A norm whose gain, weight + offset, folds into the linears it feeds."""

    name: str
    feeds: tuple[str, ...]
    offset: float


class RotationFacts(BaseModel, frozen=True):
    """What a rotation turns, the Hadamard matrix of that width, and why the model refuses it; "" if it does not."""

    name: str
    turns: str
    hadamard_order: str
    refused: str = ""


class ModelTable(BaseModel, frozen=True):
    """
    Args:
        kept: tensors of a block that no rotation reaches, which stay as they are.
        problems: why the model cannot be used as it is.
    """

    summary: ModelSummary
    model_type: str
    license: str
    linears: tuple[LinearFacts, ...]
    norms: tuple[NormFacts, ...]
    kept: tuple[str, ...]
    rotations: tuple[RotationFacts, ...]
    problems: tuple[Problem, ...]


def model_table(source: ModelSource) -> ModelTable:
    """Read a model's config and headers; no weight is read.

    Raises:
        ModelError, HubError: there is no such model, its files are broken, or its architecture is not known.
    """
    facts = inspect(source)
    sizes = architecture_of(facts.config, facts.headers)
    return ModelTable(
        summary=model_summary(facts, sizes),
        model_type=sizes.model_type,
        license=facts.license,
        linears=_linears(facts, sizes),
        norms=tuple(
            NormFacts(name=norm.name, feeds=norm.feeds, offset=norm.offset)
            for norm in (*sizes.block.norms, sizes.final_norm)
        ),
        kept=_kept(facts, sizes),
        rotations=_rotations(sizes),
        problems=tuple(model_problems(facts, sizes)),
    )


def _linears(facts: ModelFacts, sizes: Architecture) -> tuple[LinearFacts, ...]:
    head = LinearFacts(
        name=sizes.head,
        reads=Space.RESIDUAL,
        writes=(WrittenRows(space=Space.VOCABULARY, rows=sizes.vocab_size),),
        shape=(sizes.vocab_size, sizes.hidden_size),
        has_bias=f"{sizes.head_tensor}.bias" in facts.headers,
    )
    blocks = [sizes.block_prefix(index) for index in range(sizes.num_blocks)]
    inner = (
        LinearFacts(
            name=linear.name,
            reads=linear.reads,
            writes=tuple(
                WrittenRows(space=space, rows=rows.stop - rows.start) for space, rows in sizes.row_ranges(linear)
            ),
            shape=sizes.linear_shape(linear),
            has_bias=any(f"{block}{linear.name}.bias" in facts.headers for block in blocks),
        )
        for linear in sizes.block.linears
    )
    return (*inner, head)


def _kept(facts: ModelFacts, sizes: Architecture) -> tuple[str, ...]:
    """Names of the first block's tensors that the table does not know; biases belong to their linears."""
    prefix = sizes.block_prefix(0)
    known = {f"{linear.name}.{part}" for linear in sizes.block.linears for part in ("weight", "bias")}
    known |= {f"{norm.name}.{part}" for norm in sizes.block.norms for part in ("weight", "bias")}
    inside = (name.removeprefix(prefix) for name in facts.headers if name.startswith(prefix))
    return tuple(sorted(name for name in inside if name not in known))


def _rotations(sizes: Architecture) -> tuple[RotationFacts, ...]:
    rows = (
        ("R1", "residual stream" + ", its mean kept" * sizes.norms_subtract_mean, sizes.hidden_size, sizes.r1_refused),
        ("R2", f"values, each of {sizes.num_kv_heads} KV heads", sizes.head_size, ""),
        ("R3", "queries and keys, each head", sizes.head_size, ""),
        ("R4", "MLP's hidden channels", sizes.intermediate_size, ""),
    )
    return tuple(
        RotationFacts(name=name, turns=turns, hadamard_order=str(hadamard_order(width)), refused=refused)
        for name, turns, width, refused in rows
    )
