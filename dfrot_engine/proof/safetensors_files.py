"""Safetensors outputs read back: codes unpacked by compressed-tensors itself, everything else as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme
from compressed_tensors.utils.match import match_targets
from torch import Tensor

from dfrot_engine.adapter_folder import ADAPTER, has_adapter
from dfrot_engine.checkpoint.blocks import parts_of
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.exporters.adapter import factors_of
from dfrot_engine.exporters.base import as_checkpoint, outer_tensors, tensors_beside
from dfrot_engine.exporters.compressed_tensors import rotated_target
from dfrot_engine.exporters.kv_scales import kv_scale_tensors
from dfrot_engine.exporters.online_rotation import matrix_tensor, wrong_rotation
from dfrot_engine.exporters.rotated_modeling import GUARD
from dfrot_engine.forward.quantized_block import OWN_PARTS, block_schemes, stored_weight
from dfrot_engine.forward.quantized_head import stored_head
from dfrot_engine.forward.stored_clips import INPUT_GLOBAL_SCALE
from dfrot_engine.job import Job
from dfrot_engine.proof.comparison import Comparison
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir

#: How names end that compressed-tensors gives to the parts of a linear, its plain weight aside.
_PACKED_PARTS = ("weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_global_scale")
_BFLOAT16_STEPS = 2**-7


def compare_codes(job: Job, work: WorkDir, folder: Path, found: Comparison, say: Callable[[int], None]) -> None:
    """Every tensor of a compressed-tensors folder against the quantize stage's blocks, one tensor in memory at a time.

    Raises:
        ModelError: the folder holds no sound checkpoint.
    """
    names = job.architecture
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    found.wrong += wrong_rotation(job, folder, config, rotated_target(job))
    unpack = _Unpacker(config, names.tower)
    outer, _ = work.load_block("quantize", "outer")
    factors = CheckpointReader(folder / ADAPTER) if has_adapter(folder) else None
    with CheckpointReader(folder) as reader, CheckpointReader(job.model_dir) as original:
        left = set(reader.headers)
        for name, expected in _outer_parts(job, outer):
            left -= unpack.compare(reader, name, expected, found)
        head_scale = outer.get(f"head{INPUT_GLOBAL_SCALE}")
        left -= _compare_input(reader, names.head_tensor, head_scale, found)
        for index in range(names.num_blocks):
            stored, _ = work.load_block("quantize", f"{index:05}")
            left -= _compare_block(job, index, stored, reader, unpack, found)
            if factors is not None:
                for name, expected in factors_of(stored, names.block_prefix(index)).items():
                    _compare_plain(factors, name, expected, found)
            say(index + 1)
        for name, expected in tensors_beside(job, original, RotationSet.load(work.rotations).to(job.device)):
            left -= unpack.compare(reader, name, expected, found)
        for name, expected in matrix_tensor(job).items():
            left -= unpack.compare(reader, name, expected, found)
    found.wrong += [f"'{name}' is in the files, but belongs to nothing" for name in sorted(left)]


class FoldedFolder:
    """A folder of the rotated model without rounding, compared part by part with the model folded again.

    Raises:
        ModelError: the folder holds no sound checkpoint.
    """

    def __init__(self, job: Job, folder: Path, found: Comparison) -> None:
        self._job, self._found = replace(job, checkpoint_dtype=torch.bfloat16), found
        self._reader = CheckpointReader(folder)
        self._left = set(self._reader.headers)

    def watch(self, part: dict[str, Tensor]) -> None:
        for name, tensor in part.items():
            self._compare(name, as_checkpoint(tensor, self._job.checkpoint_dtype))

    def finish(self, rotations: RotationSet) -> None:
        """What lies beside the text model, and whether anything is left."""
        with CheckpointReader(self._job.model_dir) as original:
            for name, tensor in tensors_beside(self._job, original, rotations):
                self._compare(name, tensor)
        self._found.wrong += [f"'{name}' is in the files, but belongs to nothing" for name in sorted(self._left)]

    def _compare(self, name: str, expected: Tensor) -> None:
        _compare_plain(self._reader, name, expected, self._found)
        self._left.discard(name)


class _Unpacker:
    """Unpacks linears as the folder's config.json says."""

    def __init__(self, config: dict[str, Any], tower: str) -> None:
        self._tower = tower
        quantization = config["quantization_config"]
        quantization.pop("transform_config", None)
        for group in quantization["config_groups"].values():
            group.pop(GUARD, None)  # as the code that comes with such a checkpoint does
        self._config = QuantizationConfig.model_validate(quantization)

    def compare(
        self, reader: CheckpointReader, name: str, expected: QuantizedWeight | Tensor, found: Comparison
    ) -> set[str]:
        """Compare one linear, by its name without a part, or one plain tensor; returns the names that were read."""
        if isinstance(expected, Tensor):
            _compare_plain(reader, name, expected, found)
            return {name}
        endings = (*_PACKED_PARTS, "weight")
        own = {part: f"{name}.{part}" for part in endings if f"{name}.{part}" in reader.headers}
        found.attempt(f"{name}.weight", lambda: self._compare_codes(reader, name, own, expected, found))
        return set(own.values())

    def _compare_codes(
        self, reader: CheckpointReader, name: str, own: dict[str, str], expected: QuantizedWeight, found: Comparison
    ) -> None:
        unpacked, computed = self._unpacked(reader, name, own), dense(expected)
        # The package unpacks 4-bit floats to bfloat16 whatever their scales are; two roundings at most.
        tolerance = 0.0 if unpacked.dtype is torch.float32 else computed.abs() * _BFLOAT16_STEPS
        found.check(f"{name}.weight", unpacked.float(), computed, tolerance)

    def _unpacked(self, reader: CheckpointReader, name: str, own: dict[str, str]) -> Tensor:
        """[O, I] float32, or bfloat16 where the package knows no other way."""
        scheme = self._scheme(name)
        parts: dict[str, Tensor | None] = {
            part: _floats_as_float32(part, reader.tensor(full)) for part, full in own.items()
        }
        kind = scheme.format or self._config.format
        compressor = BaseCompressor.get_value_from_registry(getattr(kind, "value", kind))
        weight = compressor.decompress(parts, scheme)["weight"]
        assert weight is not None
        return weight

    def _scheme(self, name: str) -> QuantizationScheme:
        module = torch.nn.Linear(1, 1, device="meta")
        # Modules of larger models lie below the text model's, which files need not say.
        called = (name, f"{self._tower}.{name}") if self._tower else (name,)
        for scheme in self._config.config_groups.values():
            assert isinstance(scheme, QuantizationScheme)  # presets' names are no schemes, and we write none
            if any(match_targets(one, module, scheme.targets) for one in called):
                return scheme
        raise ValueError("config.json names no scheme for it")


def dense(weight: QuantizedWeight) -> Tensor:
    """What the engine computes with, float32."""
    return weight.dequantize(torch.float32)


def _floats_as_float32(part: str, tensor: Tensor) -> Tensor:
    # In 16 bits the product with the codes would be rounded once more, which is the runtime's business.
    return tensor.float() if part != "weight" and tensor.is_floating_point() else tensor


def _outer_parts(job: Job, outer: dict[str, Tensor]) -> Iterator[tuple[str, QuantizedWeight | Tensor]]:
    yield from outer_tensors(job, outer)
    head = stored_head(job, outer)
    if isinstance(head, QuantizedWeight):
        yield job.architecture.head_tensor, head


def _compare_block(
    job: Job, index: int, stored: dict[str, Tensor], reader: CheckpointReader, unpack: _Unpacker, found: Comparison
) -> set[str]:
    """Names of the files' tensors that were read."""
    names, schemes = job.architecture, block_schemes(job, index)
    prefix = names.block_prefix(index)
    seen: set[str] = set()
    for linear in names.block_at(index).linears:
        weight = stored_weight(stored, linear.name, schemes[linear.name])
        if isinstance(weight, QuantizedWeight):
            name = names.stored_name(prefix + linear.name)
            seen |= unpack.compare(reader, name, weight, found)
            seen |= _compare_input(reader, name, stored.get(f"{linear.name}{INPUT_GLOBAL_SCALE}"), found)
    for name, expected in kv_scale_tensors(job, index, stored).items():
        seen |= unpack.compare(reader, name, expected, found)
    plain = {name: tensor for name, tensor in stored.items() if not name.endswith(OWN_PARTS)}
    for written in sorted(name for name in reader.headers if name.startswith(prefix) and name not in seen):
        shape = reader.headers[written].shape
        parts = [part for part in parts_of(names.own_name(written.removeprefix(prefix)), shape) if part.name in plain]
        if not parts:
            continue
        tensor = reader.tensor(written)
        for part in parts:
            own = tensor if part.expert is None else tensor[part.expert, part.rows]
            found.check(prefix + part.name, own, plain.pop(part.name))
        seen.add(written)
    found.wrong += [f"'{prefix}{name}' is in no file" for name in plain]
    return seen


def _compare_input(reader: CheckpointReader, name: str, scale: Tensor | None, found: Comparison) -> set[str]:
    """What the files hold of a linear's input, where there is something to hold."""
    if scale is None:
        return set()
    _compare_plain(reader, f"{name}{INPUT_GLOBAL_SCALE}", scale.reshape(1), found)
    return {f"{name}{INPUT_GLOBAL_SCALE}"}


def _compare_plain(reader: CheckpointReader, name: str, expected: Tensor, found: Comparison) -> None:
    if name in reader.headers:
        found.attempt(name, lambda: found.check(name, reader.tensor(name), expected))
    else:
        found.wrong.append(f"'{name}' is in no file")
