"""R4 in a checkpoint: the transform as data for vLLM, and code that applies it in transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from compressed_tensors.transform import TransformArgs, TransformConfig, TransformLocation, TransformScheme
from torch import Tensor
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from dfrot_engine.architectures.base import Linear, Space
from dfrot_engine.exporters import rotated_modeling
from dfrot_engine.exporters.rotated_modeling import GUARD, MATRIX
from dfrot_engine.hadamard_orders import HadamardOrder
from dfrot_engine.job import Job
from dfrot_engine.recipe import BlockHadamard
from dfrot_engine.rotations.hadamard import hadamard_matrix
from dfrot_engine.rotations.rotation_set import RotationSet

_MODULE = "modeling_rotated"
_FILE = f"{_MODULE}.py"
_IMPORT = "from torch import Tensor, nn\n"
_REFUSAL = "R4 rotates down_proj's inputs at run time, which only the code in this folder does: trust_remote_code=True"
_SCHEME = MATRIX.partition("_")[0]


def carried_block_size(job: Job) -> int | None:
    """Channels that the Hadamard matrix of a carried R4 mixes; None where there is no R4."""
    r4 = job.recipe.rotation.r4
    return r4.block_size if isinstance(r4, BlockHadamard) else None


def rotated_config(job: Job, rotations: RotationSet, quantization: dict[str, Any], target: str) -> dict[str, Any]:
    """What config.json says of R4, beside and inside its `quantization_config`.

    Args:
        quantization: not modified.
        target: compressed-tensors' name for the linears that read what R4 rotates.
    """
    size = carried_block_size(job)
    if size is None:
        return {"quantization_config": quantization}
    # What runtimes apply is a plain Sylvester matrix for each block; signs and order are in the weights.
    assert rotations.r4 is not None
    assert rotations.r4.order == HadamardOrder(1, size, len(rotations.r4.signs) // size)
    assert bool((rotations.r4.signs == 1).all())
    transform = _transform(target, size)
    first, *others = quantization["config_groups"].items()
    guarded = {first[0]: first[1] | {GUARD: _REFUSAL}} | dict(others)
    return {
        "quantization_config": quantization | {"config_groups": guarded, "transform_config": transform},
        "rotation_config": transform,
        "auto_map": _auto_map(job),
    }


def matrix_tensor(job: Job) -> dict[str, Tensor]:
    """The matrix as vLLM stores it: ±1, once, at the first linear that R4 stands in front of."""
    size = carried_block_size(job)
    if size is None:
        return {}
    names = job.architecture
    linear = rotated_linear(job)
    matrix_SS = hadamard_matrix(HadamardOrder(1, size, 1)) * size**0.5
    name = names.stored_name(f"{names.block_prefix(0)}{linear.name}.{MATRIX}")
    return {name: matrix_SS.round().to(job.checkpoint_dtype)}


def rotated_linear(job: Job) -> Linear:
    """The linear of a block that reads what R4 rotates."""
    return next(linear for linear in job.architecture.block_at(0).linears if linear.reads is Space.MLP_HIDDEN)


def write_modeling(job: Job, folder: Path) -> None:
    """The code that applies R4, for this architecture; none where there is no R4."""
    if carried_block_size(job) is not None:
        (folder / _FILE).write_text(_code(job), encoding="utf-8")


def wrong_rotation(job: Job, folder: Path, config: dict[str, Any], target: str) -> list[str]:
    """What a folder says of R4 otherwise than it should, a sentence each.

    Args:
        config: the folder's config.json.
        target: as of `rotated_config`.
    """
    size = carried_block_size(job)
    if size is None:
        return []
    sentences: list[str] = []
    code = folder / _FILE
    if not code.is_file() or code.read_text(encoding="utf-8") != _code(job):
        sentences.append(f"{_FILE} is not the code that applies R4")
    wanted, quantization = _transform(target, size), config["quantization_config"]
    places = {"quantization_config.transform_config": quantization.get("transform_config")}
    for name, found in (places | {"rotation_config": config.get("rotation_config")}).items():
        if found != wanted:
            sentences.append(f"config.json describes another R4 in {name}")
    if config.get("auto_map") != _auto_map(job):
        sentences.append("config.json does not name the code that applies R4")
    if not any(GUARD in group for group in quantization["config_groups"].values()):
        sentences.append("config.json would let a loader leave R4 out")
    return sentences


def _code(job: Job) -> str:
    base = _base_name(job)
    code = Path(rotated_modeling.__file__).read_text(encoding="utf-8")
    assert _IMPORT in code
    code = code.replace(_IMPORT, f"{_IMPORT}from transformers import {base}\n")
    return code + f'\n\nclass {_class_name(job)}(RotatesInputs, {base}):\n    """{base} with R4."""\n'


def _auto_map(job: Job) -> dict[str, str]:
    return {"AutoModelForCausalLM": f"{_MODULE}.{_class_name(job)}"}


def _transform(target: str, size: int) -> dict[str, Any]:
    places = ((TransformLocation.INPUT, False), (TransformLocation.WEIGHT_INPUT, True))
    apply = [TransformArgs(targets=[target], location=place, inverse=inverse) for place, inverse in places]
    scheme = TransformScheme(type="hadamard", head_dim=size, apply=apply, precision=torch.float32)
    return TransformConfig(config_groups={_SCHEME: scheme}).model_dump(mode="json")


def _base_name(job: Job) -> str:
    """The class of transformers that the checkpoint's architecture has."""
    return MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[job.architecture.model_type]


def _class_name(job: Job) -> str:
    return f"Rotated{_base_name(job)}"
