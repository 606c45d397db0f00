"""GGUF → safetensors, once per file, by transformers. Imports torch, so `source` imports it only when it is needed."""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from dfrot_engine.checkpoint.facts import Progress
from dfrot_engine.checkpoint.headers import TensorHeader, read_headers, total_bytes
from dfrot_engine.checkpoint.json_files import MODEL_FIELD
from dfrot_engine.errors import DiskError, ModelError


def convert_gguf(path: Path, folder: Path, expected: Mapping[str, TensorHeader], progress: Progress) -> None:
    """Write the file's weights in float32, its config and its tokenizer into `folder`, whole or not at all.

    Args:
        expected: the tensors the folder must hold in the end.
        progress: called with (done bytes, total bytes, label); may raise to stop.
    Raises:
        ModelError: transformers cannot read the file, or made other tensors of it.
        DiskError: the folder cannot be written.
    """
    draft = folder.with_name(f"{folder.name}.draft-{os.getpid()}")
    for stale in folder.parent.glob(f"{folder.name}.draft-*"):
        shutil.rmtree(stale, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        _convert(path, draft, total_bytes(expected.values()), progress)
        _check_tensors(path, draft, expected)
        if not folder.is_dir():  # another process may have been faster
            draft.replace(folder)
    except OSError as error:
        raise DiskError(
            f"Cannot write the converted model to {folder.parent}: {error.strerror or error}.",
            "Free some space there, or set XDG_CACHE_HOME to another disk.",
            MODEL_FIELD,
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        gc.collect()


def _convert(path: Path, draft: Path, size: int, progress: Progress) -> None:
    progress(0, size, f"Reading {path.name}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        progress(0, size, f"Converting {path.name} to safetensors")
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
        )
    except (ValueError, KeyError, RuntimeError, NotImplementedError, OSError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise ModelError(
            f"{path.name} cannot be converted: {reason}.", "Choose the model's safetensors instead.", MODEL_FIELD
        ) from error
    progress(size // 2, size, f"Writing {path.name} as safetensors")
    model.save_pretrained(draft, max_shard_size="5GB")
    tokenizer.save_pretrained(draft)
    _forget_quantization(draft / "config.json")
    progress(size, size, f"Converted {path.name}")


def _check_tensors(path: Path, draft: Path, expected: Mapping[str, TensorHeader]) -> None:
    made = {name: header.shape for name, header in read_headers(draft).items()}
    wanted = {name: header.shape for name, header in expected.items()}
    # transformers fills what it does not find with random numbers.
    different = [name for name in sorted(made.keys() | wanted.keys()) if made.get(name) != wanted.get(name)]
    if different:
        raise ModelError(
            f"{path.name} is converted wrongly: '{different[0]}' is {made.get(different[0])}, "
            f"the file has {wanted.get(different[0])}.",
            "Choose the model's safetensors instead.",
            MODEL_FIELD,
        )


def _forget_quantization(config_path: Path) -> None:
    config = json.loads(config_path.read_text(encoding="utf-8"))
    # The weights are plain float32 now; the entry would make every reader look for GGUF blocks.
    if config.pop("quantization_config", None) is not None:
        config_path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
