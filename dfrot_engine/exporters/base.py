"""What every exporter shares: the files beside the weights, and the names of the outer tensors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.job import Job
from dfrot_engine.marker import MARKER
from dfrot_engine.outer import folded_norm_parts
from dfrot_engine.rotations.fold import fold_writer
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir

#: Writes a whole checkpoint into an empty folder; yields after each block, so that the caller can report.
Exporter = Callable[[Job, WorkDir, Path], Iterator[int]]

_COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "LICENSE",
    "LICENSE.txt",
)


def copy_side_files(job: Job, folder: Path) -> None:
    """Tokenizer, chat template, generation config and licence, as they are. Never code."""
    for name in _COPIED:
        source = job.model_dir / name
        if source.is_file():
            shutil.copyfile(source, folder / name)


def write_config(job: Job, folder: Path, **changes: Any) -> None:
    """The model's own config.json, its head untied and its dtype the checkpoint's."""
    dtype = str(job.checkpoint_dtype).removeprefix("torch.")
    config = {key: value for key, value in job.config.items() if key not in ("torch_dtype", "auto_map")}
    own = {"tie_word_embeddings": False, "dtype": dtype}
    if job.architecture.tower and isinstance(config.get("text_config"), dict):
        config["text_config"] = {key: one for key, one in config["text_config"].items() if key != "torch_dtype"} | own
    config |= own | changes
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_marker(job: Job, folder: Path) -> None:
    """Says which recipe made the folder, so that the same run may write it again."""
    marker = {"recipe_fingerprint": job.recipe.fingerprint(), "model": job.model_id}
    (folder / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
    job.recipe.save(folder / "recipe.toml")


def outer_tensors(job: Job, outer: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Embedding, final norm and, unless it is quantized, the head under the model's own names."""
    names = job.architecture
    yield f"{names.embedding}.weight", outer["embedding"]
    for part, tensor in folded_norm_parts(outer).items():
        yield f"{names.final_norm.name}.{part}", tensor
    if "head" in outer:
        yield f"{names.head_tensor}.weight", outer["head"]


def tensors_beside(job: Job, reader: CheckpointReader, rotations: RotationSet) -> Iterator[tuple[str, Tensor]]:
    """What a larger model has beside the text model: as it is, but for what R1 reaches."""
    names = job.architecture
    if not names.tower:
        return
    rotated = names.writers if rotations.r1_DD is not None else ()
    for name in reader.headers:
        if not names.is_own(name) and name.rpartition(".")[0] not in rotated:
            yield name, reader.tensor(name)
    for writer in rotated:
        parts = {part: tensor.to(job.device) for part, tensor in reader.block(f"{writer}.").items()}
        for part, tensor in fold_writer(parts, rotations).items():
            yield f"{writer}.{part}", as_checkpoint(tensor, job.checkpoint_dtype)


def as_checkpoint(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A floating tensor in the checkpoint's dtype; integers stay."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
