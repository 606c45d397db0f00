"""A block while it is being rounded: what is finished runs as in the quantized model, the rest as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from dfrot_engine.architectures.base import Space
from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear
from dfrot_engine.forward.quantized_block import (
    block_schemes,
    fill_exact_block,
    fill_quantized_block,
    kv_quantizer,
)
from dfrot_engine.forward.stored_clips import (
    INPUT_CLIP,
    KEY_CLIP,
    VALUE_CLIP,
    searches,
    stored_quantizer,
    unsearched_clips,
)
from dfrot_engine.forward.stream import Streams, input_of
from dfrot_engine.job import Job
from dfrot_engine.quantizers.static_clipping import search_head_clip, search_input_clip
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import ActivationScheme, Qronos
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

    def finish(self, name: str, weight: QuantizedWeight) -> None:
        """From here on the linear computes with its rounded weight."""
        _linear(self._block, name).weight.copy_(weight.dequantize())

    def moments(self, name: str) -> InputMoments:
        """Of all calibration tokens where this linear reads them."""
        with_exact = isinstance(self._job.recipe.solver, Qronos)
        linear = _linear(self._block, name)
        moments = InputMoments(linear.weight.shape[1], self._factory.device, with_exact=with_exact)
        quantized, exact = self._streams.quantized, self._streams.exact

        def read(part: slice) -> tuple[Tensor, Tensor | None]:
            seen = linear.read(self._input(quantized[part], name)).flatten(0, 1)
            return seen, self._exact_input(exact[part], name) if with_exact else None

        for seen, wanted in self._factory.batch.in_batches(range(len(quantized)), quantized.shape[1], read):
            self._say(f"inputs of {name.rpartition('.')[2]}")
            moments.add(seen, wanted)
        return moments

    def search_clips(self, names: tuple[str, ...]) -> dict[str, Tensor]:
        """The clip ratios that are to be searched in front of these linears, by their stored names.

        Args:
            names: linears that read the same tensor; those in front of them are finished.
        """
        found: dict[str, Tensor] = {}
        if self._reads_attention(names[0]) and searches(self._job.recipe.kv_cache):
            found |= self._search_kv_clips(names[0])
            self._clips |= found
        for scheme in {self._schemes[name].activations: None for name in names}:
            if scheme is not None and searches(scheme):
                alike = [name for name in names if self._schemes[name].activations == scheme]
                found |= self._search_input_clip(alike, scheme)
        self._clips |= found
        return found

    def _search_kv_clips(self, reader: str) -> dict[str, Tensor]:
        scheme = self._job.recipe.kv_cache
        assert scheme is not None
        self._say("clip of keys and values")
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[[Tensor], Tensor]:
            def quantize(heads: Tensor) -> Tensor:
                seen[name] = heads
                return heads

            return quantize

        kv = KVQuantizer(self._rotations.r3, keep(KEY_CLIP), keep(VALUE_CLIP))
        parts: dict[str, list[Tensor]] = {KEY_CLIP: [], VALUE_CLIP: []}
        for _ in self._searched_inputs(reader, kv):
            for name, heads in seen.items():
                parts[name].append(_spread(heads, 2))
        rows = {name: torch.cat(heads) for name, heads in parts.items()}
        return {name: torch.tensor(search_head_clip(heads_NS, scheme)) for name, heads_NS in rows.items()}

    def _search_input_clip(self, names: list[str], scheme: ActivationScheme) -> dict[str, Tensor]:
        self._say(f"clip of {', '.join(name.rpartition('.')[2] for name in names)}")
        first = _linear(self._block, names[0])
        seen = self._searched_inputs(names[0])
        rows_NI = torch.cat([first.rotate(_spread(inputs, 1)) for inputs in seen])
        weight_OI = torch.cat([self._folded[f"{name}.weight"].to(rows_NI) for name in names])
        ratio = torch.tensor(search_input_clip(rows_NI, weight_OI, scheme))
        found = {name + INPUT_CLIP: ratio.clone() for name in names}
        for name in names:
            _linear(self._block, name).quantize_input = stored_quantizer(scheme, found, name + INPUT_CLIP)
        return found

    def _searched_inputs(self, name: str, kv: KVQuantizer | None = None) -> Iterator[Tensor]:
        """Of the first sequences: of what is measured, too, solvers that need no data hold no more than these."""
        hidden = self._streams.quantized
        count = min(len(hidden), max(1, _SEARCHED_TOKENS // hidden.shape[1]))
        yield from self._factory.batch.in_batches(
            range(count), hidden.shape[1], lambda part: self._input(hidden[part], name, kv)
        )

    def _input(self, hidden_BTD: Tensor, name: str, kv: KVQuantizer | None = None) -> Tensor:
        kv = kv or kv_quantizer(self._job, self._rotations, self._clips)
        return input_of(self._factory, self._block, self._index, hidden_BTD, name, kv)

    def _exact_input(self, hidden_BTD: Tensor, name: str) -> Tensor:
        """[N, I] as the exact model's weight is multiplied with them."""
        if self._exact_block is None:
            self._exact_block = fill_exact_block(self._factory, self._job, self._index, self._folded, self._rotations)
        linear, kv = _linear(self._exact_block, name), rotate_only_of(self._rotations)
        seen = input_of(self._factory, self._exact_block, self._index, hidden_BTD, name, kv)
        return linear.read(seen).flatten(0, 1)

    def _reads_attention(self, name: str) -> bool:
        return any(one.name == name and one.reads is Space.VALUE for one in self._job.architecture.block.linears)


def rotate_only_of(rotations: RotationSet) -> KVQuantizer | None:
    """What attention does in the exact model: R3, and no rounding."""
    return None if rotations.r3 is None else KVQuantizer(rotations.r3)


def _spread(values: Tensor, token_dim: int) -> Tensor:
    """[N, last dimension]; of one sequence that alone is longer than what is searched on, evenly spread tokens."""
    step = -(-values.shape[token_dim] // _SEARCHED_TOKENS)
    return values.movedim(token_dim, 0)[::step].flatten(0, -2)


def _linear(block: nn.Module, name: str) -> QuantizedLinear:
    module = block.get_submodule(name)
    assert isinstance(module, QuantizedLinear)
    return module
