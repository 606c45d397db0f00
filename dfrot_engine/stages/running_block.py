"""A block while it is being rounded: what is finished runs as in the quantized model, the rest as it was."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dfrot_engine.calibration.statistics import InputMoments
from dfrot_engine.forward.attended import AttendedStreams
from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.quantized_block import block_schemes
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
)
from dfrot_engine.quantizers.activations import static_scale_of
from dfrot_engine.quantizers.static_clipping import search_head_clip, search_input_clip
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import ActivationScheme, KVCacheScheme
from dfrot_engine.stages.block_inputs import BlockInputs, spread


class RunningBlock:
    """What is found out from what the linears of a block read at this point of its rounding."""

    def __init__(self, inputs: BlockInputs) -> None:
        self._inputs, self._job, self._say = inputs, inputs.job, inputs.say
        self._device = inputs.job.device
        self._schemes = block_schemes(inputs.job, inputs.index)
        self._table = inputs.job.architecture.block_at(inputs.index)

    @property
    def attended(self) -> AttendedStreams:
        """What attention gives, once o_proj's inputs were read of all tokens."""
        return self._inputs.attended

    def finish(self, name: str, weight: QuantizedWeight) -> None:
        """From here on the linear computes with its rounded weight."""
        self._inputs.linear(name).weight.copy_(weight.dequantize())

    def moments(self, name: str, onto: int | None = None) -> InputMoments:
        """Of all calibration tokens where this linear reads them, an expert's of those that are routed to it.

        Args:
            onto: the one rank that solves this linear, where it is one; all have the number of tokens.
        """
        linear = self._inputs.linear(name)
        moments = InputMoments(linear.weight.shape[1], self._device, with_exact=self._inputs.has_exact)
        for seen, wanted in self._inputs.of_both(name):
            self._say(f"inputs of {self._table.named(name).label}")
            exact = None if wanted is None else self._inputs.exact_linear(name).read(wanted).flatten(0, -2)
            moments.add(linear.read(seen).flatten(0, -2), exact)
        self._job.ranks.combine(moments, onto)
        return moments

    def measure_inputs(self, names: tuple[str, ...]) -> dict[str, Tensor]:
        """The clip ratios and scales that are to be found in front of these linears, by their stored names.

        Args:
            names: linears that read the same tensor; those in front of them are finished.
        """
        found: dict[str, Tensor] = {}
        kv_cache = self._job.recipe.kv_cache
        if kv_cache is not None and measures_kv(kv_cache) and self._inputs.reads_attention(names[0]):
            measure = self._measure_kv_scales if kv_cache.is_static else self._search_kv_clips
            found |= measure(names[0], kv_cache)
            self._inputs.clips |= found
        for scheme in {self._schemes[name].activations: None for name in names}:
            if scheme is None:
                continue
            alike = [name for name in names if self._schemes[name].activations == scheme]
            found |= self._search_input_clip(alike, scheme) if searches(scheme) else {}
            found |= self._measure_global_scale(alike, scheme) if has_global_scale(scheme) else {}
            for name in alike:
                self._inputs.linear(name).quantize_input = stored_quantizer(scheme, found, name + INPUT_CLIP)
        self._inputs.clips |= found
        return found

    def _measure_kv_scales(self, reader: str, scheme: KVCacheScheme) -> dict[str, Tensor]:
        """Of all tokens of the stream: what is larger than any of them is cut off at run time."""
        self._say("range of keys and values")
        seen: dict[str, Tensor] = {}
        largest = {name: torch.zeros((), device=self._device) for name in KV_SCALES}
        for _ in self._inputs.of(reader, self._keeping(seen)):
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

        return KVQuantizer(self._inputs.rotations.r3, keep(KEY_CLIP), keep(VALUE_CLIP))

    def _search_kv_clips(self, reader: str, scheme: KVCacheScheme) -> dict[str, Tensor]:
        self._say("clip of keys and values")
        seen: dict[str, Tensor] = {}
        parts: dict[str, list[Tensor]] = {KEY_CLIP: [], VALUE_CLIP: []}
        for _ in self._inputs.searched(reader, self._keeping(seen)):
            for name, heads in seen.items():
                parts[name].append(spread(heads))
        ranks, empty = self._job.ranks, torch.empty(0, self._job.architecture.head_size, device=self._device)
        rows = {name: ranks.gather_rows(torch.cat(heads or [empty])) for name, heads in parts.items()}
        ratios = ranks.told({name: search_head_clip(heads_NS, scheme) for name, heads_NS in rows.items()})
        return {name: torch.tensor(ratio) for name, ratio in ratios.items()}

    def _search_input_clip(self, names: list[str], scheme: ActivationScheme) -> dict[str, Tensor]:
        self._say(f"clip of {', '.join(dict.fromkeys(self._table.named(name).label for name in names))}")
        rows_NI = self._inputs.linear(names[0]).rotate(self._inputs.searched_rows(names[0]))
        weight_OI = torch.cat([self._inputs.folded[f"{name}.weight"].to(rows_NI) for name in names])
        ratio = torch.tensor(self._job.ranks.told(search_input_clip(rows_NI, weight_OI, scheme)))
        return {name + INPUT_CLIP: ratio.clone() for name in names}

    def _measure_global_scale(self, names: list[str], scheme: ActivationScheme) -> dict[str, Tensor]:
        """Of all tokens of the stream: what is larger than any of them is cut off at run time."""
        self._say(f"range of {', '.join(dict.fromkeys(self._table.named(name).label for name in names))}")
        linear, largest = self._inputs.linear(names[0]), torch.zeros((), device=self._device)
        for seen in self._inputs.of(names[0]):
            largest = torch.maximum(largest, linear.rotate(seen).abs().amax().float()) if seen.numel() else largest
        largest = self._job.ranks.largest(largest)
        return {name + INPUT_GLOBAL_SCALE: input_global_scale(largest, scheme) for name in names}
