"""What every stage is handed: the recipe, the model's table and files, and where to compute."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.checkpoint.local import inspect_folder
from dfrot_engine.errors import DeviceError
from dfrot_engine.options import RunOptions
from dfrot_engine.recipe import Recipe

_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class Job:
    """One run's inputs.

    Args:
        model_id: name for people.
        model_dir: local folder with config.json, safetensors and tokenizer.
        config: its config.json.
        model_fingerprint: changes when any weight file does.
        checkpoint_dtype: of scales and unquantized tensors that are written: float16 where an export needs it, else the
            model's own if it has 16 bits, else bfloat16.
    """

    recipe: Recipe
    options: RunOptions
    model_id: str
    model_dir: Path
    config: dict[str, Any]
    architecture: Architecture
    model_fingerprint: str
    checkpoint_dtype: torch.dtype
    device: torch.device

    @staticmethod
    def prepare(recipe: Recipe, options: RunOptions, model_id: str, model_dir: Path) -> Job:
        """Raises:
        ModelError: the folder's config or headers cannot be used.
        DeviceError: CUDA was asked for and is not there.
        """
        facts = inspect_folder(model_dir, model_id=model_id)
        architecture = architecture_of(facts.config, facts.headers)
        dtype = facts.headers[f"{architecture.embedding}.weight"].dtype
        return Job(
            recipe=recipe,
            options=options,
            model_id=model_id,
            model_dir=model_dir,
            config=facts.config,
            architecture=architecture,
            model_fingerprint=_fingerprint_of_files(model_dir, {header.shard for header in facts.headers.values()}),
            checkpoint_dtype=torch.float16 if recipe.needs_float16 else _DTYPES.get(dtype, torch.bfloat16),
            device=choose_device(options.device),
        )


def choose_device(name: str) -> torch.device:
    """Raises:
    DeviceError: CUDA was asked for and is not there.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise DeviceError(
            "No CUDA device can be used.", "Choose --device cpu, or install a CUDA build of torch.", "options.device"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def _fingerprint_of_files(folder: Path, shards: set[str]) -> str:
    facts = [(folder / "config.json").read_text(encoding="utf-8")]
    for shard in sorted(shards):
        stat = (folder / shard).stat()
        facts.append(f"{shard} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
