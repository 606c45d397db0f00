"""GGUF → safetensors, once per file, by transformers. Imports torch, so `source` imports it only when it is needed."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from dfrot_engine.checkpoint.facts import Progress
from dfrot_engine.checkpoint.headers import TensorHeader, read_headers, total_bytes
from dfrot_engine.checkpoint.json_files import MODEL_FIELD
from dfrot_engine.errors import DiskError, ModelError
from dfrot_engine.whole_file import DRAFT, sync_folder, sync_tree, unwritten

_WAIT_S = 0.5


def convert_gguf(path: Path, folder: Path, expected: Mapping[str, TensorHeader], progress: Progress) -> None:
    """Write the file's weights in float32, its config and its tokenizer into `folder`, whole or not at all.

    Args:
        expected: the tensors the folder must hold in the end.
        progress: called with (done bytes, total bytes, label); may raise to stop.
    Raises:
        ModelError: transformers cannot read the file, or made other tensors of it.
        DiskError: the folder cannot be written.
    """
    draft = folder.with_name(folder.name + DRAFT)
    size = total_bytes(expected.values())
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder, lambda: progress(0, size, f"Waiting for another run that converts {path.name}")):
            if folder.is_dir():  # the other one was faster
                return
            shutil.rmtree(draft, ignore_errors=True)  # of one that was killed
            try:
                draft.mkdir()
                _convert(path, draft, size, progress)
                _check_tensors(path, draft, expected)
                sync_tree(draft)
                draft.replace(folder)
                sync_folder(folder.parent)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        message = unwritten(folder, error, size).message
        remedy = "Free some space there, or set XDG_CACHE_HOME to another disk."
        raise DiskError(message, remedy, MODEL_FIELD) from error
    finally:
        gc.collect()


@contextmanager
def _alone(folder: Path, say_waiting: Callable[[], None]) -> Iterator[None]:
    """Only one process converts a file; what `say_waiting` raises ends the waiting of the others."""
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    while True:
        try:
            lock.acquire(timeout=_WAIT_S)
            break
        except Timeout:
            say_waiting()
    try:
        yield
    finally:
        lock.release()


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
