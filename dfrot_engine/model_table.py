"""What the table of its architecture found in a model's headers, for people and programs. Imports no torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pydantic import BaseModel

from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.architectures.base import Norm, Space
from dfrot_engine.checkpoint.blocks import in_table_names
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
    """A linear of a block by its name there, or the head; shape is (out features, in features).

    Args:
        count: how many of its kind a block has: its experts, or 1.
        num_blocks: how many blocks have it; 0 for the head.
        is_rounded: False for routers, which rotations and norms fold into and nothing rounds.
    """

    name: str
    reads: str
    writes: tuple[WrittenRows, ...]
    shape: tuple[int, int]
    has_bias: bool
    count: int = 1
    num_blocks: int = 0
    is_rounded: bool = True


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
        writers: linears outside the text model that write the residual stream, so that R1 turns them too.
        num_beside: how many tensors there are outside the text model.
        problems: why the model cannot be used as it is.
    """

    summary: ModelSummary
    model_type: str
    license: str
    linears: tuple[LinearFacts, ...]
    norms: tuple[NormFacts, ...]
    kept: tuple[str, ...]
    writers: tuple[str, ...]
    num_beside: int
    rotations: tuple[RotationFacts, ...]
    problems: tuple[Problem, ...]


def model_table(source: ModelSource) -> ModelTable:
    """Read a model's config and headers; no weight is read.

    Raises:
        ModelError, HubError: there is no such model, its files are broken, or its architecture is not known.
    """
    facts = inspect(source)
    sizes = architecture_of(facts.config, facts.headers)
    facts = in_table_names(facts, sizes)
    return ModelTable(
        summary=model_summary(facts, sizes),
        model_type=sizes.model_type,
        license=facts.license,
        linears=_linears(facts, sizes),
        norms=tuple(
            NormFacts(name=norm.name, feeds=norm.feeds, offset=norm.offset)
            for norm in (*_short_norms(sizes), sizes.final_norm)
        ),
        kept=_kept(facts, sizes),
        writers=sizes.writers,
        num_beside=sum(not sizes.is_own(name) for name in facts.headers) if sizes.tower else 0,
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
    biased = {name.removesuffix(".bias") for name in facts.headers if name.endswith(".bias")}
    found: dict[str, LinearFacts] = {}
    for table, blocks in sizes.blocks_of_kind:
        own = [(linear, linear in table.linears) for linear in (*table.linears, *table.routers)]
        counts = Counter(linear.kind for linear, _ in own)
        for linear, is_rounded in own:
            num_blocks = len(blocks) + (found[linear.kind].num_blocks if linear.kind in found else 0)
            if linear.expert:  # the first one stands for all
                continue
            found[linear.kind] = LinearFacts(
                name=linear.kind,
                reads=linear.reads,
                writes=tuple(
                    WrittenRows(space=space, rows=rows.stop - rows.start) for space, rows in sizes.row_ranges(linear)
                ),
                shape=sizes.linear_shape(linear),
                has_bias=any(sizes.block_prefix(index) + linear.name in biased for index in blocks),
                count=counts[linear.kind],
                num_blocks=num_blocks,
                is_rounded=is_rounded,
            )
    return (*found.values(), head)


def _short_norms(sizes: Architecture) -> tuple[Norm, ...]:
    """Each norm once, with the kinds of linears that it feeds in any block."""
    feeds: dict[str, dict[str, None]] = {}
    norms: dict[str, Norm] = {}
    for table, _ in sizes.blocks_of_kind:
        kinds = {linear.name: linear.kind for linear in (*table.linears, *table.routers)}
        for norm in table.norms:
            norms.setdefault(norm.name, norm)
            feeds.setdefault(norm.name, {}).update(dict.fromkeys(kinds[linear] for linear in norm.feeds))
    return tuple(replace(norm, feeds=tuple(feeds[name])) for name, norm in norms.items())


def _kept(facts: ModelFacts, sizes: Architecture) -> tuple[str, ...]:
    """Names of tensors of blocks that the table does not know; biases belong to their linears."""
    kept: set[str] = set()
    for table, (first, *_) in sizes.blocks_of_kind:
        prefix = sizes.block_prefix(first)
        named = (*table.linears, *table.routers, *table.norms)
        known = {f"{one.name}.{part}" for one in named for part in ("weight", "bias")}
        kept |= {name.removeprefix(prefix) for name in facts.headers if name.startswith(prefix)} - known
    return tuple(sorted(kept))


def _rotations(sizes: Architecture) -> tuple[RotationFacts, ...]:
    rows = (
        ("R1", "residual stream" + ", its mean kept" * sizes.norms_subtract_mean, sizes.hidden_size, sizes.r1_refused),
        ("R2", f"values, each of {sizes.num_kv_heads} KV heads", sizes.head_size, ""),
        ("R3", "queries and keys, each head", sizes.head_size, ""),
        *(("R4", "MLP's hidden channels", width, "") for width in sizes.mlp_widths),
    )
    return tuple(
        RotationFacts(name=name, turns=turns, hadamard_order=str(hadamard_order(width)), refused=refused)
        for name, turns, width, refused in rows
    )
