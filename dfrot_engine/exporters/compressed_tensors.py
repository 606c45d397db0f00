"""The compressed-tensors format: transformers and vLLM load it without any code of ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
from compressed_tensors.compressors.mx_utils import compress_mx_scale
from compressed_tensors.compressors.nvfp4.helpers import pack_fp4_to_uint8
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from compressed_tensors.config import CompressionFormat
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    QuantizationStatus,
    QuantizationStrategy,
    QuantizationType,
    preset_name_to_scheme,
)
from torch import Tensor

from dfrot_engine.architectures.base import Architecture, Linear
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.checkpoint.writer import ShardWriter
from dfrot_engine.exporters.adapter import factors_of, write_adapter
from dfrot_engine.exporters.base import copy_side_files, outer_tensors, tensors_beside, write_config, write_marker
from dfrot_engine.exporters.kv_scales import kv_cache_args, kv_scale_tensors
from dfrot_engine.exporters.online_rotation import matrix_tensor, rotated_config, rotated_linear, write_modeling
from dfrot_engine.exporters.packed_experts import pack_experts
from dfrot_engine.forward.quantized_block import OWN_PARTS, block_schemes, stored_weight
from dfrot_engine.forward.quantized_head import head_schemes, stored_head
from dfrot_engine.forward.stored_clips import INPUT_GLOBAL_SCALE
from dfrot_engine.job import Job
from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import ActivationScheme, LinearSchemes, WeightScheme
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir

_PLAIN = {"int8": CompressionFormat.int_quantized, "fp8": CompressionFormat.float_quantized}
_FP4 = {"nvfp4": CompressionFormat.nvfp4_pack_quantized, "mxfp4": CompressionFormat.mxfp4_pack_quantized}


def write_compressed_tensors(job: Job, work: WorkDir, folder: Path) -> Iterator[int]:
    """Write the checkpoint; yields the number of blocks written so far."""
    writer = ShardWriter(folder)
    outer, _ = work.load_block("quantize", "outer")
    for name, tensor in _packed_outer(job, outer):
        writer.add(name, tensor)
    factors: dict[str, Tensor] = {}
    for index in range(job.architecture.num_blocks):
        stored, _ = work.load_block("quantize", f"{index:05}")
        for name, tensor in _packed_block(job, index, stored):
            writer.add(name, tensor)
        factors |= factors_of(stored, job.architecture.block_prefix(index))
        yield index + 1
    rotations = RotationSet.load(work.rotations).to(job.device)
    with CheckpointReader(job.model_dir) as reader:
        for name, tensor in tensors_beside(job, reader, rotations):
            writer.add(name, tensor)
    for name, tensor in matrix_tensor(job).items():
        writer.add(name, tensor)
    writer.finish({"format": "pt"})
    copy_side_files(job, folder)
    write_modeling(job, folder)
    write_config(job, folder, **rotated_config(job, rotations, quantization_config(job), rotated_target(job)))
    write_adapter(job, factors, folder)
    write_marker(job, folder)


def _packed_outer(job: Job, outer: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    name, schemes = job.architecture.head_tensor, head_schemes(job)
    yield from outer_tensors(job, outer)
    yield from _packed_linear(name, stored_head(job, outer), schemes, _input_parts(outer, "head"))


def _packed_block(job: Job, index: int, stored: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Names as in files."""
    names, schemes = job.architecture, block_schemes(job, index)
    prefix = names.block_prefix(index)
    plain = {name: tensor for name, tensor in stored.items() if not name.endswith(OWN_PARTS)}
    # Beside rounded linears, transformers takes experts one by one only if they are rounded too.
    packed = pack_experts(plain)
    for name, tensor in packed.items():
        yield (names.stored_name(prefix + name) if name in plain else prefix + name), tensor
    for linear in names.block_at(index).linears:
        own, stored_name = schemes[linear.name], names.stored_name(prefix + linear.name)
        weight, of_input = stored_weight(stored, linear.name, own), _input_parts(stored, linear.name)
        yield from _packed_linear(stored_name, weight, carried(linear, own), of_input)
    yield from kv_scale_tensors(job, index, stored).items()


def _packed_linear(
    name: str, weight: QuantizedWeight | Tensor, schemes: LinearSchemes, of_input: dict[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Nothing for a weight left alone."""
    if isinstance(weight, QuantizedWeight):
        for part, tensor in _packed(weight, _storage(schemes)).items():
            yield f"{name}.{part}", tensor
        for part, tensor in of_input.items():
            yield f"{name}{part}", tensor


def _packed(weight: QuantizedWeight, storage: CompressionFormat) -> dict[str, Tensor]:
    """The tensors of one linear as compressed-tensors names and lays them out."""
    if storage in _PLAIN.values():
        parts = {"weight": weight.codes_OI, "weight_scale": weight.scale_OG}
        return parts if weight.zero_point_OG is None else parts | {"weight_zero_point": weight.zero_point_OG}
    if storage in _FP4.values():
        return _packed_fp4(weight)
    bits = FORMATS[weight.format].bits
    parts = {
        "weight_packed": pack_to_int32(weight.codes_OI, bits),
        "weight_scale": weight.scale_OG,
        "weight_shape": torch.tensor(weight.codes_OI.shape),
    }
    if weight.zero_point_OG is not None:
        parts["weight_zero_point"] = pack_to_int32(weight.zero_point_OG, bits, packed_dim=0)
    return parts


def _packed_fp4(weight: QuantizedWeight) -> dict[str, Tensor]:
    """Two codes in a byte; of MXFP4's scales the exponents."""
    packed, scale = pack_fp4_to_uint8(weight.codes_OI.float()), weight.scale_OG
    if weight.global_scale is None:
        return {"weight_packed": packed, "weight_scale": compress_mx_scale(scale.float(), torch.uint8)}
    return {"weight_packed": packed, "weight_scale": scale, "weight_global_scale": weight.global_scale.reshape(1)}


def _input_parts(stored: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """What a checkpoint holds of a linear's input."""
    found = stored.get(f"{name}{INPUT_GLOBAL_SCALE}")
    return {} if found is None else {INPUT_GLOBAL_SCALE: found.reshape(1)}


def _storage(schemes: LinearSchemes) -> CompressionFormat:
    """8-bit codes with 8-bit activations are stored plain, which is what 8-bit kernels load; everything else packed."""
    assert schemes.weights is not None
    if schemes.weights.format in _FP4:
        return _FP4[schemes.weights.format]
    plain = None if schemes.activations is None else _PLAIN.get(schemes.weights.format)
    return plain or CompressionFormat.pack_quantized


def carried(linear: Linear, schemes: LinearSchemes) -> LinearSchemes:
    """What a checkpoint says of a linear: runtimes run experts of packed integers with activations of 16 bits."""
    weights = schemes.weights
    is_packed = linear.expert is not None and weights is not None and not FORMATS[weights.format].is_float
    return LinearSchemes(weights, None) if is_packed else schemes


def rotated_target(job: Job) -> str:
    """compressed-tensors' name for the linears that read what R4 rotates."""
    return f"re:.*{_pattern(job.architecture, rotated_linear(job).kind)}$"


def quantization_config(job: Job) -> dict[str, object]:
    """The `quantization_config` of config.json, made by the compressed-tensors package."""
    targets: dict[LinearSchemes, list[str]] = defaultdict(list)
    names, ignored = job.architecture, _routers(job.architecture)
    # Runtimes name the modules of larger models in other ways than files do.
    inside = f"re:.*{names.tower}[.].*" if names.tower else "re:.*"
    _place(head_schemes(job), "re:.*lm_head$" if names.tower else names.head, targets, ignored)
    by_kind: dict[str, dict[int, LinearSchemes]] = defaultdict(dict)
    for index in range(names.num_blocks):
        own = block_schemes(job, index)
        for linear in names.block_at(index).linears:
            by_kind[linear.kind][index] = carried(linear, own[linear.name])
    for kind, by_block in by_kind.items():
        pattern = f"{_pattern(names, kind)}$"
        if len(set(by_block.values())) == 1:
            _place(next(iter(by_block.values())), inside + pattern, targets, ignored)
            continue
        is_exact = not names.tower and "*" not in kind
        for index, schemes in by_block.items():
            exact = names.block_prefix(index) + kind if is_exact else f"{inside}layers[.]{index}[.]{pattern}"
            _place(schemes, exact, targets, ignored)
    storages = {_storage(schemes) for schemes in targets}
    groups = {f"group_{number}": _scheme(schemes, names) for number, (schemes, names) in enumerate(targets.items())}
    config = QuantizationConfig(
        config_groups=groups,  # type: ignore[arg-type]  # dict is invariant; the values are schemes
        format=(storages.pop() if len(storages) == 1 else CompressionFormat.mixed_precision).value,
        quantization_status=QuantizationStatus.COMPRESSED,
        ignore=ignored,
        kv_cache_scheme=kv_cache_args(job),
    )
    # transformers unpacks zero-points only of a model that it makes dense while loading; vLLM passes over the key.
    dense: dict[str, object] = {"dequantize": True} if any(map(_packs_zero_points, targets)) else {}
    return config.model_dump(mode="json", exclude_none=True) | dense


def _packs_zero_points(schemes: LinearSchemes) -> bool:
    assert schemes.weights is not None
    return not schemes.weights.symmetric and _storage(schemes) == CompressionFormat.pack_quantized


def _routers(names: Architecture) -> list[str]:
    """Runtimes ask about every linear, so those that nothing rounds are named too."""
    found = dict.fromkeys(router.kind for block, _ in names.blocks_of_kind for router in block.routers)
    return [f"re:.*{_pattern(names, kind)}$" for kind in found]


def _pattern(names: Architecture, kind: str) -> str:
    """A regular expression for a linear's name, ours or its publisher's: runtimes use the one or the other."""
    theirs = dict(names.stored_as)

    def of(part: str) -> str:
        return "[0-9]+" if part == "*" else f"({part}|{theirs[part]})" if part in theirs else part

    return "[.]".join(map(of, kind.split(".")))


def _place(schemes: LinearSchemes, target: str, targets: dict[LinearSchemes, list[str]], ignored: list[str]) -> None:
    if schemes.weights is None:
        ignored.append(target)
    else:
        targets[schemes].append(target)


def _scheme(schemes: LinearSchemes, targets: list[str]) -> QuantizationScheme:
    assert schemes.weights is not None
    return QuantizationScheme(
        targets=targets,
        weights=_weight_args(schemes.weights),
        input_activations=_activation_args(schemes.activations) if schemes.activations else None,
        format=_storage(schemes),
    )


def _weight_args(scheme: WeightScheme) -> QuantizationArgs:
    if scheme.format in _FP4:
        found = preset_name_to_scheme(scheme.format.upper(), []).weights
        assert found is not None
        return found
    is_grouped = scheme.granularity == "per-group"
    return QuantizationArgs(
        num_bits=FORMATS[scheme.format].bits,
        type=QuantizationType.FLOAT if FORMATS[scheme.format].is_float else QuantizationType.INT,
        symmetric=scheme.symmetric,
        strategy=QuantizationStrategy.GROUP if is_grouped else QuantizationStrategy.CHANNEL,
        group_size=scheme.group_size if is_grouped else None,
    )


def _activation_args(scheme: ActivationScheme) -> QuantizationArgs:
    if scheme.format in _FP4:
        found = preset_name_to_scheme(scheme.format.upper(), []).input_activations
        assert found is not None
        return found
    return QuantizationArgs(
        num_bits=FORMATS[scheme.format].bits,
        type=QuantizationType.FLOAT if FORMATS[scheme.format].is_float else QuantizationType.INT,
        symmetric=scheme.symmetric,
        strategy=QuantizationStrategy.TOKEN,
        dynamic=True,
    )
