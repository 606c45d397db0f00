"""What every stage is handed: the recipe, the model's table and files, and where to compute."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.checkpoint.local import inspect_folder
from dfrot_engine.distributed import Ranks
from dfrot_engine.errors import DeviceError, ModelError
from dfrot_engine.fitted_recipe import fitted_recipe
from dfrot_engine.options import RunOptions
from dfrot_engine.ranks import place
from dfrot_engine.recipe import Recipe

_SMALL_FILES = ("config.json", "tokenizer.json")
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class Job:
    """One run's inputs.

    Args:
        recipe: as far as the architecture can follow it.
        model_id: name for people.
        model_dir: local folder with config.json, safetensors and tokenizer.
        config: its config.json.
        model_files: the files everything is calculated from, and what shows that one was changed.
        model_fingerprint: changes when any of them does.
        checkpoint_dtype: of scales and unquantized tensors that are written: what an export needs, else the
            model's own if it has 16 bits, else bfloat16.
        ranks: the processes that share the run.
    """

    recipe: Recipe
    options: RunOptions
    model_id: str
    model_dir: Path
    config: dict[str, Any]
    architecture: Architecture
    model_files: Mapping[str, str]
    model_fingerprint: str
    checkpoint_dtype: torch.dtype
    device: torch.device
    ranks: Ranks = field(default_factory=Ranks)

    @staticmethod
    def prepare(recipe: Recipe, options: RunOptions, model_id: str, model_dir: Path, ranks: Ranks | None = None) -> Job:
        """Raises:
        ModelError: the folder's config or headers cannot be used.
        DeviceError: CUDA was asked for and is not there.
        """
        facts = inspect_folder(model_dir, model_id=model_id)
        architecture = architecture_of(facts.config, facts.headers)
        dtype = facts.headers[f"{architecture.embedding}.weight"].dtype
        files = _stamps(model_dir, {header.shard for header in facts.headers.values()})
        return Job(
            recipe=fitted_recipe(recipe, architecture),
            options=options,
            model_id=model_id,
            model_dir=model_dir,
            config=facts.config,
            architecture=architecture,
            model_files=files,
            model_fingerprint=hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16],
            checkpoint_dtype=_checkpoint_dtype(recipe, dtype),
            device=choose_device(options.device),
            ranks=ranks or Ranks(),
        )

    def check_model_files(self) -> None:
        """Raises:
        ModelError: a file was changed since the run read it, so that what was calculated belongs to two models.
        """
        changed = changed_files(self.model_files, _stamps(self.model_dir, self.model_files))
        if changed:
            raise ModelError(
                f"{', '.join(changed)} in {self.model_dir} changed while the run was reading the model.",
                "Let the copy or download finish, then run the same again; what was read from the old files is "
                "calculated anew.",
                "model.id_or_path",
            )


def _checkpoint_dtype(recipe: Recipe, own: str) -> torch.dtype:
    if recipe.needs_float16:
        return torch.float16
    return torch.bfloat16 if recipe.needs_bfloat16 else _DTYPES.get(own, torch.bfloat16)


def changed_files(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names of files that are other files, new or gone."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def choose_device(name: str) -> torch.device:
    """Raises:
    DeviceError: CUDA was asked for and is not there.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise DeviceError(
            "No CUDA device can be used.", "Choose --device cpu, or install a CUDA build of torch.", "options.device"
        )
    if not available or name == "cpu":
        return torch.device("cpu")
    here = place()
    return torch.device("cuda") if here.world_size == 1 else torch.device("cuda", here.local_rank)


def _stamps(folder: Path, shards: Iterable[str]) -> dict[str, str]:
    """File → size and time; of small files, which tools rewrite as they were, the content's hash; "" if it is gone."""
    return {name: _stamp(folder / name) for name in sorted({*shards, *_SMALL_FILES})}


def _stamp(path: Path) -> str:
    try:
        if path.name in _SMALL_FILES:
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"
