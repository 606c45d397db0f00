"""GGUF files: llama.cpp, OpenVINO and transformers load them. One head, then tensor after tensor."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePath
from typing import NamedTuple

import gguf
import numpy as np
from torch import Tensor

from dfrot_engine.architectures.base import Space
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.exporters.base import copy_side_files, outer_tensors, write_config, write_marker
from dfrot_engine.exporters.folded import folded_parts
from dfrot_engine.exporters.gguf_blocks import as_type, interleaved_rows, pack_codes, take_rows
from dfrot_engine.exporters.gguf_keys import add_keys, rope_factors
from dfrot_engine.exporters.gguf_table import (
    BLOCK_COLUMNS,
    FOLDED_TYPES,
    GGUF_ARCHITECTURES,
    code_type,
    tensor_namer,
)
from dfrot_engine.forward.quantized_block import OWN_PARTS, block_schemes, stored_weight
from dfrot_engine.forward.quantized_head import head_schemes, stored_head
from dfrot_engine.job import Job
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir

#: The tensors of one part of the model, by the model's own full names.
Part = Mapping[str, Tensor | QuantizedWeight]


class _Planned(NamedTuple):
    """A tensor of the file, whose head lists them all before the first one is written."""

    source: str
    name: str
    shape: tuple[int, ...]
    type: gguf.GGMLQuantizationType
    rows: Tensor | None


def write_codes(job: Job, work: WorkDir, folder: Path) -> Iterator[int]:
    """The recipe's own codes, everything else in float16; yields the number of blocks written so far."""
    schemes = {job.architecture.head_tensor: head_schemes(job)}
    for index in range(job.architecture.num_blocks):
        prefix = job.architecture.block_prefix(index)
        schemes |= {prefix + name: scheme for name, scheme in block_schemes(job, index).items()}
    types = {f"{name}.weight": code_type(one.weights) or "" for name, one in schemes.items() if one.weights}
    yield from _write(job, stored_parts(job, work), types, folder)


def write_folded(job: Job, work: WorkDir, folder: Path, *, kind: str) -> Iterator[int]:
    """The rotated model without the recipe's codes, its matrices all of one type; yields as `write_codes`."""
    sizes, rotations = job.architecture, RotationSet.load(work.rotations).to(job.device)
    with CheckpointReader(job.model_dir) as reader:
        shapes = {name: header.shape for name, header in reader.headers.items()}
        shapes[f"{sizes.head_tensor}.weight"] = (sizes.vocab_size, sizes.hidden_size)
        fits = {name for name, shape in shapes.items() if len(shape) == 2 and shape[1] % BLOCK_COLUMNS == 0}
        yield from _write(job, folded_parts(job, reader, rotations), dict.fromkeys(fits, kind), folder)


WRITERS = {"gguf": write_codes} | {name: partial(write_folded, kind=kind) for name, kind in FOLDED_TYPES.items()}


def _write(job: Job, parts: Iterator[Part], types: Mapping[str, str], folder: Path) -> Iterator[int]:
    """
    Args:
        types: of matrices, by full name; those not there are float16.
    """
    most = Counter(types.values()).most_common(1)
    kind = most[0][0] if most else "F16"
    layout = _layout(job, types)
    writer = gguf.GGUFWriter(folder / _file_name(job, kind), GGUF_ARCHITECTURES[job.architecture.model_type].name)
    try:
        add_keys(writer, job, kind)
        factors = rope_factors(job)
        if factors is not None:
            writer.add_tensor_info("rope_freqs.weight", factors.shape, np.dtype(np.float32), factors.nbytes)
        for one in (one for group in layout for one in group):
            _add_info(writer, one)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if factors is not None:
            writer.write_tensor_data(factors.numpy())
        for done, (part, group) in enumerate(zip(parts, layout, strict=True)):
            for one in group:
                writer.write_tensor_data(_data(part[one.source], one))
            if done:  # the first part holds no block
                yield done
    finally:
        writer.close()
    copy_side_files(job, folder)
    write_config(job, folder)
    write_marker(job, folder)


def stored_parts(job: Job, work: WorkDir) -> Iterator[Part]:
    """As the quantize stage left them."""
    outer, _ = work.load_block("quantize", "outer")
    yield dict(outer_tensors(job, outer)) | {f"{job.architecture.head_tensor}.weight": stored_head(job, outer)}
    for index in range(job.architecture.num_blocks):
        prefix = job.architecture.block_prefix(index)
        stored, _ = work.load_block("quantize", f"{index:05}")
        part: dict[str, Tensor | QuantizedWeight] = {
            prefix + name: tensor for name, tensor in stored.items() if not name.endswith(OWN_PARTS)
        }
        for name, schemes in block_schemes(job, index).items():
            part[f"{prefix}{name}.weight"] = stored_weight(stored, name, schemes)
        yield part


def _layout(job: Job, types: Mapping[str, str]) -> list[list[_Planned]]:
    """The tensors of each part: the outer ones, then block after block."""
    sizes = job.architecture
    with CheckpointReader(job.model_dir) as reader:
        shapes = {name: header.shape for name, header in reader.headers.items()}
    name_of = tensor_namer(sizes.model_type, sizes.num_blocks)
    matrix = (sizes.vocab_size, sizes.hidden_size)
    outer = {
        f"{sizes.embedding}.weight": matrix,
        f"{sizes.final_norm.name}.weight": (sizes.hidden_size,),
        f"{sizes.head_tensor}.weight": matrix,
    }
    groups = [outer]
    for index in range(sizes.num_blocks):
        prefix = sizes.block_prefix(index)
        groups.append({name: shape for name, shape in shapes.items() if name.startswith(prefix)})
    rows = reordered_rows(job)
    layout: list[list[_Planned]] = []
    for group in groups:
        planned = []
        for source, shape in group.items():
            name = name_of(source)
            if name is not None:  # the plan has refused what matters
                kind = "F32" if len(shape) == 1 else types.get(source, "F16")
                order = rows.get(source.rpartition(".")[0])
                planned.append(_Planned(source, name, shape, gguf.GGMLQuantizationType[kind], order))
        layout.append(planned)
    return layout


def reordered_rows(job: Job) -> dict[str, Tensor]:
    """Full names of the linears whose rows llama.cpp wants in another order."""
    sizes = job.architecture
    if not GGUF_ARCHITECTURES[sizes.model_type].interleaved_rope:
        return {}
    heads = {Space.QUERY: sizes.num_heads, Space.KEY: sizes.num_kv_heads}
    return {
        sizes.block_prefix(index) + linear.name: interleaved_rows(sizes.linear_shape(linear)[0], heads[space])
        for index in range(sizes.num_blocks)
        for linear in sizes.block_at(index).linears
        for space, _ in sizes.row_ranges(linear)
        if space in heads
    }


def _add_info(writer: gguf.GGUFWriter, one: _Planned) -> None:
    block_columns, block_bytes = gguf.GGML_QUANT_SIZES[one.type]
    num_bytes = math.prod(one.shape) // block_columns * block_bytes
    # Not uint8, which would make the writer take the shape for one in bytes.
    writer.add_tensor_info(one.name, one.shape, np.dtype(np.float32), num_bytes, raw_dtype=one.type)


def _data(weight: Tensor | QuantizedWeight, one: _Planned) -> np.ndarray:
    ordered = weight if one.rows is None else take_rows(weight, one.rows)
    if isinstance(ordered, QuantizedWeight):
        return pack_codes(ordered, one.type.name)
    return as_type(ordered, one.type.name, one.source)


def _file_name(job: Job, kind: str) -> str:
    name = PurePath(job.model_id).name.removesuffix(".gguf")
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-')}-{kind}.gguf"
