"""What each tensor of a model means: which space every linear reads and writes, and which norm feeds it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from dfrot_engine.errors import ModelError


class Space(StrEnum):
    """A vector space inside the model. A rotation belongs to a space."""

    RESIDUAL = "residual"  # R1
    QUERY = "query"  # R3, after RoPE
    KEY = "key"  # R3, after RoPE
    VALUE = "value"  # R2, per KV head
    MLP_HIDDEN = "mlp_hidden"  # R4, after the gate
    MLP_GATE = "mlp_gate"  # before the gate's nonlinearity; nothing may rotate it
    VOCABULARY = "vocabulary"


@dataclass(frozen=True)
class Linear:
    """One matrix of a block; the name is relative to the block.

    A fused one writes several spaces: the rows of its weight lie in this order.
    """

    name: str
    reads: Space
    writes: Space | tuple[Space, ...]


@dataclass(frozen=True)
class Norm:
    """A norm in front of linears. Its gain folds into them: W · diag(weight + offset), its bias into theirs."""

    name: str
    feeds: tuple[str, ...]
    offset: float = 0.0


@dataclass(frozen=True)
class Block:
    """One decoder layer.

    Args:
        bare: linears that read the residual stream through no norm, those of one tensor together.
    """

    linears: tuple[Linear, ...]
    norms: tuple[Norm, ...]
    bare: tuple[tuple[str, ...], ...] = ()

    def shared_inputs(self) -> tuple[tuple[str, ...], ...]:
        """Linears that read the same tensor, in the order the block runs them."""
        groups: dict[str, tuple[str, ...]] = {}
        for linear in self.linears:
            norm = self.norm_before(linear.name)
            source = self._first_of_bare(linear.name) if norm is None else norm.name
            groups[source] = (*groups.get(source, ()), linear.name)
        return tuple(groups.values())

    def sites(self) -> tuple[str, ...]:
        """Modules whose input is the residual stream, one for each tensor that linears read from there."""
        return (*(norm.name for norm in self.norms), *(linears[0] for linears in self.bare))

    def norm_before(self, linear: str) -> Norm | None:
        return next((norm for norm in self.norms if linear in norm.feeds), None)

    def _first_of_bare(self, linear: str) -> str:
        return next((linears[0] for linears in self.bare if linear in linears), linear)


@dataclass(frozen=True)
class Layout:
    """How the files of a larger model name the tensors of the text model inside it.

    Args:
        text: prefix of embedding, blocks and final norm.
        head: the head's name.
        writers: linears outside the text model whose output joins its residual stream; "*" stands for a number.
    """

    text: str
    head: str
    writers: tuple[str, ...]


@dataclass(frozen=True)
class Architecture:
    """Sizes and tensor names of a whole model, from its config alone.

    Args:
        embedding_scale: what the model multiplies its embeddings with.
        logits_scale: what the model multiplies its head's output with.
        logits_softcap: c in c · tanh(logits / c), behind the scale; None if there is none.
        norms_subtract_mean: LayerNorm instead of RMSNorm; R1 has to leave the mean where it is.
        r1_refused: why R1 cannot be folded; "" if it can.
        head: its name in recipes; head_tensor is its name in the files.
        layouts: of a text model inside a larger one, whose other tensors stay as they are; empty for others.
        tower: the name by which every program that runs the larger model knows the text model's modules.
        writers: linears outside the blocks that write the residual stream beside the embedding.
    """

    model_type: str
    num_blocks: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    intermediate_size: int
    vocab_size: int
    max_length: int
    tied: bool
    block: Block
    embedding: str = "model.embed_tokens"
    final_norm: Norm = field(default_factory=lambda: Norm("model.norm", ("lm_head",)))
    head: str = "lm_head"
    head_tensor: str = "lm_head"
    blocks_prefix: str = "model.layers"
    embedding_scale: float = 1.0
    logits_scale: float = 1.0
    logits_softcap: float | None = None
    norms_subtract_mean: bool = False
    r1_refused: str = ""
    layouts: tuple[Layout, ...] = ()
    tower: str = ""
    writers: tuple[str, ...] = ()

    def named_as(self, names: Collection[str]) -> Architecture:
        """The table with the names that a checkpoint's tensors have; of no checkpoint, the first layout's."""
        if not self.layouts:
            return self
        found = next((one for one in self.layouts if f"{one.text}.embed_tokens.weight" in names), self.layouts[0])
        linears = sorted(name.removesuffix(".weight") for name in names if name.endswith(".weight"))
        return replace(
            self,
            embedding=f"{found.text}.embed_tokens",
            final_norm=replace(self.final_norm, name=f"{found.text}.norm"),
            blocks_prefix=f"{found.text}.layers",
            head_tensor=found.head,
            # A config's default may tie what the files keep apart; transformers believes the files.
            tied=self.tied and f"{found.head}.weight" not in names,
            tower=self.layouts[0].text.rpartition(".")[2],
            writers=tuple(name for name in linears if any(fnmatchcase(name, one) for one in found.writers)),
        )

    @property
    def scales_mlp(self) -> bool:
        """Whether a factor passes from up_proj to down_proj unchanged: no nonlinearity stands between them."""
        return any(space is Space.MLP_HIDDEN for one in self.block.linears for space, _ in self.row_ranges(one))

    def block_prefix(self, index: int) -> str:
        return f"{self.blocks_prefix}.{index}."

    def linear_names(self) -> tuple[str, ...]:
        """Full names of every linear inside the blocks, in order."""
        return tuple(
            self.block_prefix(index) + linear.name for index in range(self.num_blocks) for linear in self.block.linears
        )

    def linear_shape(self, linear: Linear) -> tuple[int, int]:
        """(out features, in features) as the config implies them."""
        # What attention hands to o_proj lies in the value space, one copy for each query head.
        reads = self._width(Space.QUERY if linear.reads is Space.VALUE else linear.reads)
        return self.row_ranges(linear)[-1][1].stop, reads

    def row_ranges(self, linear: Linear) -> tuple[tuple[Space, slice], ...]:
        """Which rows of a linear's weight, columns of its output, write which space; all of them, in order."""
        spaces = linear.writes if isinstance(linear.writes, tuple) else (linear.writes,)
        ends = accumulate(map(self._width, spaces))
        return tuple((space, slice(end - self._width(space), end)) for space, end in zip(spaces, ends, strict=True))

    def _width(self, space: Space) -> int:
        return {
            Space.RESIDUAL: self.hidden_size,
            Space.QUERY: self.num_heads * self.head_size,
            Space.KEY: self.num_kv_heads * self.head_size,
            Space.VALUE: self.num_kv_heads * self.head_size,
            Space.MLP_GATE: self.intermediate_size,
            Space.MLP_HIDDEN: self.intermediate_size,
        }[space]


def config_int(config: dict[str, Any], key: str, default: int | None = None, largest: int = 10_000_000) -> int:
    """A positive integer of a config.json, distrusting it.

    Raises:
        ModelError: missing, not an integer, or out of range.
    """
    value = config.get(key)
    if value is None:
        value = default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= largest:
        raise ModelError(
            f"config.json: '{key}' is {value!r}, not a number from 1 to {largest}.",
            "The file is damaged or not a language model's; download it again.",
            "model.id_or_path",
        )
    return value


def config_factor(config: dict[str, Any], key: str) -> float:
    """A positive factor of a config.json, 1 if it is left out.

    Raises:
        ModelError: not a number, or not positive and finite.
    """
    value = config.get(key, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ModelError(
            f"config.json: '{key}' is {value!r}, not a positive number.",
            "The file is damaged; download it again.",
            "model.id_or_path",
        )
    return float(value)
