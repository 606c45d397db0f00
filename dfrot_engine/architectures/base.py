"""What each tensor of a model means: which space every linear reads and writes, and which norm feeds it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import accumulate


class Space(StrEnum):
    """A vector space inside the model. A rotation belongs to a space."""

    RESIDUAL = "residual"  # R1
    QUERY = "query"  # R3, after RoPE
    KEY = "key"  # R3, after RoPE
    VALUE = "value"  # R2, per KV head
    MLP_HIDDEN = "mlp_hidden"  # R4, after the gate
    MLP_GATE = "mlp_gate"  # before the gate's nonlinearity; nothing may rotate it
    ROUTING = "routing"  # which experts a token goes to; nothing may rotate it
    VOCABULARY = "vocabulary"


@dataclass(frozen=True)
class Linear:
    """One matrix of a block; the name is relative to the block.

    A fused one writes several spaces: the rows of its weight lie in this order.

    Args:
        width: of an MLP's hidden space that is not the model's `intermediate_size`, or of a routing space.
        expert: number of the expert it belongs to, which sees only the tokens that are routed there.
    """

    name: str
    reads: Space
    writes: Space | tuple[Space, ...]
    width: int | None = None
    expert: int | None = None

    @property
    def label(self) -> str:
        return self.name.rpartition(".")[2] if self.expert is None else f"expert {self.expert}"

    @property
    def kind(self) -> str:
        """Its name; one pattern for the same linear of all experts of a block."""
        return self.name if self.expert is None else self.name.replace(f".{self.expert}.", ".*.")


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
        routers: linears that choose and weight experts; rotations and norms fold into them, nothing rounds them.
    """

    linears: tuple[Linear, ...]
    norms: tuple[Norm, ...]
    bare: tuple[tuple[str, ...], ...] = ()
    routers: tuple[Linear, ...] = ()

    def shared_inputs(self) -> tuple[tuple[str, ...], ...]:
        """Linears that read the same tokens of the same tensor, in the order the block runs them."""
        groups: dict[tuple[str, int | None], list[str]] = {}
        for linear in self.linears:
            norm = self.norm_before(linear.name)
            source = self._first_of_bare(linear.name) if norm is None else norm.name
            groups.setdefault((source, linear.expert), []).append(linear.name)
        return tuple(map(tuple, groups.values()))

    def sites(self) -> tuple[str, ...]:
        """Modules whose input is the residual stream, one for each tensor that linears read from there."""
        return (*(norm.name for norm in self.norms), *(linears[0] for linears in self.bare))

    def norm_before(self, linear: str) -> Norm | None:
        return self._norms_by_linear.get(linear)

    def named(self, linear: str) -> Linear:
        return self._linears_by_name[linear]

    @cached_property
    def _norms_by_linear(self) -> dict[str, Norm]:
        return {linear: norm for norm in self.norms for linear in norm.feeds}

    @cached_property
    def _linears_by_name(self) -> dict[str, Linear]:
        return {linear.name: linear for linear in self.linears}

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
        own_blocks: all blocks in order, where they differ; empty where each is `block`.
        experts_per_token: how many of a block's experts a token passes.
        stored_as: parts of a tensor's dotted name here → as the model's publisher writes them.
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
    own_blocks: tuple[Block, ...] = ()
    experts_per_token: int = 0
    stored_as: tuple[tuple[str, str], ...] = ()

    def block_at(self, index: int) -> Block:
        return self.own_blocks[index] if self.own_blocks else self.block

    @cached_property
    def blocks_of_kind(self) -> tuple[tuple[Block, tuple[int, ...]], ...]:
        """Blocks that differ, each once, in the order in which they first come, with their numbers."""
        numbers: dict[Block, list[int]] = {}
        for index in range(self.num_blocks):
            numbers.setdefault(self.block_at(index), []).append(index)
        return tuple((block, tuple(own)) for block, own in numbers.items())

    @cached_property
    def mlp_widths(self) -> tuple[int, ...]:
        """Every width of an MLP's hidden space, each once: what R4 turns."""
        return tuple(
            dict.fromkeys(
                self.linear_shape(linear)[1]
                for block, _ in self.blocks_of_kind
                for linear in block.linears
                if linear.reads is Space.MLP_HIDDEN
            )
        )

    def stored_name(self, name: str) -> str:
        """A tensor's name as the publisher writes it."""
        return _renamed(name, dict(self.stored_as))

    def own_name(self, stored: str) -> str:
        """The inverse of `stored_name`; leaves names alone that are not the publisher's."""
        return _renamed(stored, {theirs: ours for ours, theirs in self.stored_as})

    layouts: tuple[Layout, ...] = ()
    tower: str = ""
    writers: tuple[str, ...] = ()

    def named_as(self, names: Collection[str]) -> Architecture:
        """The table with the names that a checkpoint's tensors have; of no checkpoint, the first layout's."""
        if not self.layouts:
            return self
        found = next((one for one in self.layouts if f"{one.text}.embed_tokens.weight" in names), self.layouts[0])
        linears = sorted(name.removesuffix(".weight") for name in names if name.endswith(".weight"))
        numbered = [name for name in linears for one in found.writers if "*" in one and fnmatchcase(name, one)]
        return replace(
            self,
            embedding=f"{found.text}.embed_tokens",
            final_norm=replace(self.final_norm, name=f"{found.text}.norm"),
            blocks_prefix=f"{found.text}.layers",
            head_tensor=found.head,
            # A config's default may tie what the files keep apart; transformers believes the files.
            tied=self.tied and f"{found.head}.weight" not in names,
            tower=self.layouts[0].text.rpartition(".")[2],
            writers=(*(one for one in found.writers if "*" not in one), *numbered),
        )

    def is_own(self, name: str) -> bool:
        """Whether a tensor of the files belongs to the language model, not to what a larger one has beside it."""
        outer = (self.embedding, self.final_norm.name, self.head_tensor)
        return name.startswith(f"{self.blocks_prefix}.") or name.rpartition(".")[0] in outer

    @property
    def scales_mlp(self) -> bool:
        """Whether factors of the MLP's channels can be searched: they pass it, and all tokens reach one MLP."""
        return self.passes_mlp and not self.experts_per_token

    @property
    def passes_mlp(self) -> bool:
        """Whether a factor passes from up_proj to down_proj unchanged: no nonlinearity stands between them."""
        return any(space is Space.MLP_HIDDEN for one in self.block.linears for space, _ in self.row_ranges(one))

    def block_prefix(self, index: int) -> str:
        return f"{self.blocks_prefix}.{index}."

    def linear_names(self) -> tuple[str, ...]:
        """Full names of every linear inside the blocks, in order."""
        return tuple(
            self.block_prefix(index) + linear.name
            for index in range(self.num_blocks)
            for linear in self.block_at(index).linears
        )

    def linear_shape(self, linear: Linear) -> tuple[int, int]:
        """(out features, in features) as the config implies them."""
        # What attention hands to o_proj lies in the value space, one copy for each query head.
        reads = self._width(Space.QUERY if linear.reads is Space.VALUE else linear.reads, linear)
        return self.row_ranges(linear)[-1][1].stop, reads

    def row_ranges(self, linear: Linear) -> tuple[tuple[Space, slice], ...]:
        """Which rows of a linear's weight, columns of its output, write which space; all of them, in order."""
        spaces = linear.writes if isinstance(linear.writes, tuple) else (linear.writes,)
        widths = [self._width(space, linear) for space in spaces]
        ends = accumulate(widths)
        return tuple((space, slice(end - width, end)) for space, width, end in zip(spaces, widths, ends, strict=True))

    def _width(self, space: Space, linear: Linear) -> int:
        inner = linear.width or self.intermediate_size
        return {
            Space.RESIDUAL: self.hidden_size,
            Space.QUERY: self.num_heads * self.head_size,
            Space.KEY: self.num_kv_heads * self.head_size,
            Space.VALUE: self.num_kv_heads * self.head_size,
            Space.MLP_GATE: inner,
            Space.MLP_HIDDEN: inner,
            Space.ROUTING: inner,
        }[space]


def _renamed(name: str, parts: dict[str, str]) -> str:
    return ".".join(parts.get(part, part) for part in name.split(".")) if parts else name
