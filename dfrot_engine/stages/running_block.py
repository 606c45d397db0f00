"""A block while it is being rounded: what is finished runs as in the quantized model, the rest as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from dfrot_engine.architectures.base import Space
from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.experts import Expert
from dfrot_engine.forward.fake_quant import QuantizedLinear
from dfrot_engine.forward.quantized_block import (
    block_schemes,
    fill_exact_block,
    fill_quantized_block,
    kv_quantizer,
)
from dfrot_engine.forward.routed_tokens import RoutedTokens, route_tokens
from dfrot_engine.forward.stored_clips import (
    INPUT_CLIP,
    INPUT_GLOBAL_SCALE,
    KEY_CLIP,
    KV_SCALES,
    VALUE_CLIP,
    has_global_scale,
    input_global_scale,
    measures_kv,
    searches,
    stored_quantizer,
    unsearched_clips,
)
from dfrot_engine.forward.stream import Streams, input_of
from dfrot_engine.job import Job
from dfrot_engine.quantizers.activations import static_scale_of
from dfrot_engine.quantizers.static_clipping import search_head_clip, search_input_clip
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme, Qronos
from dfrot_engine.rotations.rotation_set import RotationSet

_SEARCHED_TOKENS = 2_048


class RunningBlock:
    """What the linears of a block read at this point of its rounding, and what is found out from that.

    Args:
        folded: norms and rotations already folded in.
        streams: in front of the block.
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
        say: Callable[[str], None],
    ) -> None:
        self._job, self._factory, self._index, self._rotations = job, factory, index, rotations
        self._folded, self._streams, self._say = folded, streams, say
        self._schemes = block_schemes(job, index)
        self._clips = unsearched_clips(self._schemes, job.recipe.kv_cache)
        self._block = fill_quantized_block(factory, job, index, folded | self._clips, rotations)
        self._exact_block: nn.Module | None = None
        self._table = job.architecture.block_at(index)
        self._routed: RoutedTokens | None = None

    def finish(self, name: str, weight: QuantizedWeight) -> None:
        """From here on the linear computes with its rounded weight."""
        _linear(self._block, name).weight.copy_(weight.dequantize())

    def moments(self, name: str, onto: int | None = None) -> InputMoments:
        """Of all calibration tokens where this linear reads them, an expert's of those that are routed to it.

        Args:
            onto: the one rank that solves this linear, where it is one; all have the number of tokens.
        """
        linear = _linear(self._block, name)
        moments = InputMoments(linear.weight.shape[1], self._factory.device, with_exact=self._with_exact)
        for seen, wanted in self._inputs_of_both(name):
            self._say(f"inputs of {self._table.named(name).label}")
            exact = None if wanted is None else _linear(self._exact(), name).read(wanted).flatten(0, -2)
            moments.add(linear.read(seen).flatten(0, -2), exact)
        self._job.ranks.combine(moments, onto)
        return moments

    @property
    def _with_exact(self) -> bool:
        return isinstance(self._job.recipe.solver, Qronos)

    def _inputs_of_both(self, name: str) -> Iterator[tuple[Tensor, Tensor | None]]:
        """What a linear reads in the quantized and, where it is needed, in the exact stream."""
        table = self._table.named(name)
        if table.expert is None:
            quantized, exact = self._streams.quantized, self._streams.exact

            def read(part: slice) -> tuple[Tensor, Tensor | None]:
                return self._input(quantized[part], name), self._exact_input(
                    exact[part], name
                ) if self._with_exact else None

            yield from self._factory.batch.in_batches(range(len(quantized)), quantized.shape[1], read)
            return
        expert = name.rpartition(".")[0]
        for seen, wanted in self._routed_tokens(expert.rpartition(".")[0]).of(table.expert, self._factory.device):
            if table.reads is Space.RESIDUAL:
                yield seen, wanted
                continue
            hidden = None if wanted is None else _expert(self._exact(), expert).hidden(wanted)
            yield _expert(self._block, expert).hidden(seen), hidden

    def _routed_tokens(self, experts: str) -> RoutedTokens:
        """In front of the block's experts, whose inputs depend on nothing of each other."""
        if self._routed is None:
            self._say("routing")
            kv = kv_quantizer(self._job, self._rotations, self._clips)
            where = self._factory, self._block, self._index
            seen, chosen = route_tokens(*where, self._streams.quantized, experts, kv)
            exact = None
            if self._with_exact:
                where, kv = (self._factory, self._exact(), self._index), rotate_only_of(self._rotations)
                exact, _ = route_tokens(*where, self._streams.exact, experts, kv)
            self._routed = RoutedTokens(seen, chosen, exact)
        return self._routed

    def measure_inputs(self, names: tuple[str, ...]) -> dict[str, Tensor]:
        """The clip ratios and scales that are to be found in front of these linears, by their stored names.

        Args:
            names: linears that read the same tensor; those in front of them are finished.
        """
        found: dict[str, Tensor] = {}
        kv_cache = self._job.recipe.kv_cache
        if kv_cache is not None and measures_kv(kv_cache) and self._reads_attention(names[0]):
            measure = self._measure_kv_scales if kv_cache.is_static else self._search_kv_clips
            found |= measure(names[0], kv_cache)
            self._clips |= found
        for scheme in {self._schemes[name].activations: None for name in names}:
            if scheme is None:
                continue
            alike = [name for name in names if self._schemes[name].activations == scheme]
            found |= self._search_input_clip(alike, scheme) if searches(scheme) else {}
            found |= self._measure_global_scale(alike, scheme) if has_global_scale(scheme) else {}
            for name in alike:
                _linear(self._block, name).quantize_input = stored_quantizer(scheme, found, name + INPUT_CLIP)
        self._clips |= found
        return found

    def _measure_kv_scales(self, reader: str, scheme: KVCacheScheme) -> dict[str, Tensor]:
        """Of all tokens of the stream: what is larger than any of them is cut off at run time."""
        self._say("range of keys and values")
        seen: dict[str, Tensor] = {}
        largest = {name: torch.zeros((), device=self._factory.device) for name in KV_SCALES}
        for _ in self._inputs(reader, self._keeping(seen)):
            largest = {name: torch.maximum(one, seen[name].abs().amax().float()) for name, one in largest.items()}
        dtype = self._job.checkpoint_dtype
        return {
            KV_SCALES[name]: static_scale_of(self._job.ranks.largest(one), scheme, dtype).cpu()
            for name, one in largest.items()
        }

    def _keeping(self, seen: dict[str, Tensor]) -> KVQuantizer:
        """Leaves keys and values of the last tokens in `seen`, as they are."""

        def keep(name: str) -> Callable[[Tensor], Tensor]:
            def quantize(heads: Tensor) -> Tensor:
                seen[name] = heads
                return heads

            return quantize

        return KVQuantizer(self._rotations.r3, keep(KEY_CLIP), keep(VALUE_CLIP))

    def _search_kv_clips(self, reader: str, scheme: KVCacheScheme) -> dict[str, Tensor]:
        self._say("clip of keys and values")
        seen: dict[str, Tensor] = {}
        parts: dict[str, list[Tensor]] = {KEY_CLIP: [], VALUE_CLIP: []}
        for _ in self._searched_inputs(reader, self._keeping(seen)):
            for name, heads in seen.items():
                parts[name].append(_spread(heads))
        ranks, empty = self._job.ranks, torch.empty(0, self._job.architecture.head_size, device=self._factory.device)
        rows = {name: ranks.gather_rows(torch.cat(heads or [empty])) for name, heads in parts.items()}
        ratios = ranks.told({name: search_head_clip(heads_NS, scheme) for name, heads_NS in rows.items()})
        return {name: torch.tensor(ratio) for name, ratio in ratios.items()}

    def _search_input_clip(self, names: list[str], scheme: ActivationScheme) -> dict[str, Tensor]:
        self._say(f"clip of {', '.join(dict.fromkeys(self._table.named(name).label for name in names))}")
        rows_NI = _linear(self._block, names[0]).rotate(self._searched_rows(names[0]))
        weight_OI = torch.cat([self._folded[f"{name}.weight"].to(rows_NI) for name in names])
        ratio = torch.tensor(self._job.ranks.told(search_input_clip(rows_NI, weight_OI, scheme)))
        return {name + INPUT_CLIP: ratio.clone() for name in names}

    def _measure_global_scale(self, names: list[str], scheme: ActivationScheme) -> dict[str, Tensor]:
        """Of all tokens of the stream: what is larger than any of them is cut off at run time."""
        self._say(f"range of {', '.join(dict.fromkeys(self._table.named(name).label for name in names))}")
        linear, largest = _linear(self._block, names[0]), torch.zeros((), device=self._factory.device)
        for seen in self._inputs(names[0]):
            largest = torch.maximum(largest, linear.rotate(seen).abs().amax().float()) if seen.numel() else largest
        largest = self._job.ranks.largest(largest)
        return {name + INPUT_GLOBAL_SCALE: input_global_scale(largest, scheme) for name in names}

    def _inputs(self, name: str, kv: KVQuantizer | None = None) -> Iterator[Tensor]:
        """What a linear reads in the quantized stream."""
        if self._table.named(name).expert is not None:
            yield from (seen for seen, _ in self._inputs_of_both(name))
            return
        hidden = self._streams.quantized
        yield from self._factory.batch.in_batches(
            range(len(hidden)), hidden.shape[1], lambda part: self._input(hidden[part], name, kv)
        )

    def _searched_inputs(self, name: str, kv: KVQuantizer | None = None) -> Iterator[Tensor]:
        """Of the first sequences: of what is measured, too, solvers that need no data hold no more than these."""
        hidden = self._streams.quantized
        count = self._streams.among_first(max(1, _SEARCHED_TOKENS // hidden.shape[1]))
        yield from self._factory.batch.in_batches(
            range(count), hidden.shape[1], lambda part: self._input(hidden[part], name, kv)
        )

    def _searched_rows(self, name: str) -> Tensor:
        """[N, I]; an expert's are spread over all its tokens, since few of the first ones may go there."""
        width = _linear(self._block, name).weight.shape[1]
        none = torch.empty(0, width, device=self._factory.device)
        if self._table.named(name).expert is None:
            rows_NI = torch.cat([_spread(inputs) for inputs in self._searched_inputs(name)] or [none])
        else:
            rows_NI = torch.cat([seen for seen, _ in self._inputs_of_both(name)] or [none])
            # As if the rows of all ranks lay one after another.
            counts = self._job.ranks.all_facts(len(rows_NI))
            before, step = sum(counts[: self._job.ranks.rank]), _step(sum(counts))
            rows_NI = rows_NI[-before % step :: step]
        return self._job.ranks.gather_rows(rows_NI)

    def _input(self, hidden_BTD: Tensor, name: str, kv: KVQuantizer | None = None) -> Tensor:
        kv = kv or kv_quantizer(self._job, self._rotations, self._clips)
        return input_of(self._factory, self._block, self._index, hidden_BTD, name, kv)

    def _exact_input(self, hidden_BTD: Tensor, name: str) -> Tensor:
        """What the exact model's linear reads."""
        return input_of(self._factory, self._exact(), self._index, hidden_BTD, name, rotate_only_of(self._rotations))

    def _exact(self) -> nn.Module:
        if self._exact_block is None:
            self._exact_block = fill_exact_block(self._factory, self._job, self._index, self._folded, self._rotations)
        return self._exact_block

    def _reads_attention(self, name: str) -> bool:
        return self._table.named(name).reads is Space.VALUE


def rotate_only_of(rotations: RotationSet) -> KVQuantizer | None:
    """What attention does in the exact model: R3, and no rounding."""
    return None if rotations.r3 is None else KVQuantizer(rotations.r3)


def _spread(values: Tensor) -> Tensor:
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
