"""What the linears of a block read while it is being rounded, in the quantized stream and in the exact one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from dfrot_engine.architectures.base import Space
from dfrot_engine.forward.attended import Attended, AttendedStreams, without_attention
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.experts import Expert
from dfrot_engine.forward.fake_quant import QuantizedLinear
from dfrot_engine.forward.hidden_states import Hidden, HiddenStore
from dfrot_engine.forward.quantized_block import (
    as_stored,
    block_schemes,
    fill_exact_block,
    fill_quantized_block,
    kv_quantizer,
    rotate_only_of,
)
from dfrot_engine.forward.routed_tokens import RoutedTokens, route_tokens
from dfrot_engine.forward.stored_clips import unsearched_clips
from dfrot_engine.forward.stream import Streams, input_of
from dfrot_engine.job import Job
from dfrot_engine.recipe import Qronos
from dfrot_engine.rotations.rotation_set import RotationSet

_SEARCHED_TOKENS = 2_048


class BlockInputs:
    """The block at this point of its rounding, and what its linears read there.

    Args:
        folded: norms and rotations already folded in; an attribute, as job, index, rotations and say are.
        streams: in front of the block.
        states: where there may be room to keep what attention gives.
        say: called with what is being done; what it raises ends the work.
    """

    def __init__(
        self,
        job: Job,
        factory: BlockFactory,
        index: int,
        folded: dict[str, Tensor],
        streams: Streams,
        rotations: RotationSet,
        states: HiddenStore,
        say: Callable[[str], None],
    ) -> None:
        self.job, self.index, self.folded, self.rotations, self.say = job, index, folded, rotations, say
        self._factory, self._streams, self._states = factory, streams, states
        schemes = block_schemes(job, index)
        #: Clip ratios and scales by their stored names, as far as they are known.
        self.clips = unsearched_clips(schemes, job.recipe.kv_cache)
        #: Filled when o_proj's inputs are read of all tokens: what is in front of it is finished then.
        self.attended = AttendedStreams()
        self.has_exact = isinstance(job.recipe.solver, Qronos)
        open_ = {f"{name}.weight" for name, one in schemes.items() if one.weights is not None}
        # What is not rounded computes in the checkpoint's precision, as it will where it is deployed.
        deployed = {name: one if name in open_ else as_stored(job, name, one) for name, one in folded.items()}
        self._block = fill_quantized_block(factory, job, index, deployed | self.clips, rotations)
        self._exact_block: nn.Module | None = None
        self._table = job.architecture.block_at(index)
        self._routed: RoutedTokens | None = None

    def linear(self, name: str) -> QuantizedLinear:
        return _linear(self._block, name)

    def exact_linear(self, name: str) -> QuantizedLinear:
        return _linear(self._exact(), name)

    def reads_attention(self, name: str) -> bool:
        return self._table.named(name).reads is Space.VALUE

    def of_both(self, name: str) -> Iterator[tuple[Tensor, Tensor | None]]:
        """What a linear reads of all tokens in the quantized and, where it is needed, in the exact stream."""
        table = self._table.named(name)
        if table.expert is None:
            yield from self._of_all(name)
            return
        expert = name.rpartition(".")[0]
        for seen, wanted in self._routed_tokens(expert.rpartition(".")[0]).of(table.expert, self._factory.device):
            if table.reads is Space.RESIDUAL:
                yield seen, wanted
                continue
            hidden = None if wanted is None else _expert(self._exact(), expert).hidden(wanted)
            yield _expert(self._block, expert).hidden(seen), hidden

    def _of_all(self, name: str) -> Iterator[tuple[Tensor, Tensor | None]]:
        quantized = self._streams.quantized

        def read(part: slice) -> tuple[Tensor, Tensor | None]:
            return self._input(part, name), self._exact_input(part, name) if self.has_exact else None

        attended = self._nothing_attended(name) if self.reads_attention(name) else AttendedStreams()
        for seen, wanted in self._factory.batch.in_batches(range(len(quantized)), quantized.shape[1], read):
            attended.add(seen, wanted)
            yield seen, wanted
        self.attended = attended if self.reads_attention(name) else self.attended

    def of(self, name: str, kv: KVQuantizer | None = None) -> Iterator[Tensor]:
        """What a linear reads in the quantized stream."""
        if self._table.named(name).expert is not None:
            yield from (seen for seen, _ in self.of_both(name))
            return
        hidden = self._streams.quantized
        yield from self._factory.batch.in_batches(
            range(len(hidden)), hidden.shape[1], lambda part: self._input(part, name, kv)
        )

    def searched(self, name: str, kv: KVQuantizer | None = None) -> Iterator[Tensor]:
        """Of the first sequences: of what is measured, too, solvers that need no data hold no more than these."""
        hidden = self._streams.quantized
        count = self._streams.among_first(max(1, _SEARCHED_TOKENS // hidden.shape[1]))
        yield from self._factory.batch.in_batches(
            range(count), hidden.shape[1], lambda part: self._input(part, name, kv)
        )

    def searched_rows(self, name: str) -> Tensor:
        """[N, I]; an expert's are spread over all its tokens, since few of the first ones may go there."""
        width = _linear(self._block, name).weight.shape[1]
        none = torch.empty(0, width, device=self._factory.device)
        if self._table.named(name).expert is None:
            rows_NI = torch.cat([spread(inputs) for inputs in self.searched(name)] or [none])
        else:
            rows_NI = torch.cat([seen for seen, _ in self.of_both(name)] or [none])
            # As if the rows of all ranks lay one after another.
            counts = self.job.ranks.all_facts(len(rows_NI))
            before, step = sum(counts[: self.job.ranks.rank]), _step(sum(counts))
            rows_NI = rows_NI[-before % step :: step]
        return self.job.ranks.gather_rows(rows_NI)

    def _routed_tokens(self, experts: str) -> RoutedTokens:
        """In front of the block's experts, whose inputs depend on nothing of each other."""
        if self._routed is None:
            self.say("routing")
            kv = kv_quantizer(self.job, self.rotations, self.clips)
            where = self._factory, self._block, self.index
            seen, chosen = route_tokens(*where, self._streams.quantized, experts, kv, self.attended.quantized)
            exact = None
            if self.has_exact:
                where, kv = (self._factory, self._exact(), self.index), rotate_only_of(self.rotations)
                exact, _ = route_tokens(*where, self._streams.exact, experts, kv, self.attended.exact)
            self._routed = RoutedTokens(seen, chosen, exact)
        return self._routed

    def _nothing_attended(self, name: str) -> AttendedStreams:
        """To be filled; beside it the streams behind the block are to find room."""
        width, streams = _linear(self._block, name).weight.shape[1], self._streams
        behind = sum(4 * math.prod(hidden.shape) for hidden in (streams.quantized, streams.exact))

        def empty(hidden: Hidden) -> Attended:
            return Attended(name, self._states.new_if_room((*hidden.shape[:2], width), beside=behind))

        return AttendedStreams(empty(streams.quantized), empty(streams.exact) if self.has_exact else None)

    def _input(self, part: slice, name: str, kv: KVQuantizer | None = None) -> Tensor:
        """What the linear reads of these sequences."""
        kv = kv or kv_quantizer(self.job, self.rotations, self.clips)
        hidden_BTD = self._streams.quantized[part]
        with without_attention(self._attended_before(name).quantized, self._block, part):
            return input_of(self._factory, self._block, self.index, hidden_BTD, name, kv)

    def _exact_input(self, part: slice, name: str) -> Tensor:
        """What the exact model's linear reads."""
        hidden_BTD, kv = self._streams.exact[part], rotate_only_of(self.rotations)
        with without_attention(self._attended_before(name).exact, self._exact(), part):
            return input_of(self._factory, self._exact(), self.index, hidden_BTD, name, kv)

    def _attended_before(self, name: str) -> AttendedStreams:
        """Nothing for what is inside attention."""
        return AttendedStreams() if self.reads_attention(name) else self.attended

    def _exact(self) -> nn.Module:
        if self._exact_block is None:
            self._exact_block = fill_exact_block(self._factory, self.job, self.index, self.folded, self.rotations)
        return self._exact_block


def spread(values: Tensor) -> Tensor:
    """[N, last dimension]; of one sequence that alone is longer than what is searched on, evenly spread tokens.

    Args:
        values: tokens in the last but one dimension.
    """
    return values.movedim(-2, 0)[:: _step(values.shape[-2])].flatten(0, -2)


def _step(tokens: int) -> int:
    """Every so many of them are searched on."""
    return max(1, -(-tokens // _SEARCHED_TOKENS))


def _expert(block: nn.Module, name: str) -> Expert:
    module = block.get_submodule(name)
    assert isinstance(module, Expert)
    return module


def _linear(block: nn.Module, name: str) -> QuantizedLinear:
    module = block.get_submodule(name)
    assert isinstance(module, QuantizedLinear)
    return module
