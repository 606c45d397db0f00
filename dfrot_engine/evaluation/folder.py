"""Measure any checkpoint folder that transformers loads, alone or against its original."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import torch
from platformdirs import user_cache_path

from dfrot_engine.adapter_folder import has_adapter
from dfrot_engine.architectures.config_values import config_int
from dfrot_engine.calibration.datasets import evaluation_windows, load_text
from dfrot_engine.checkpoint import source
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.errors import ModelError
from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.evaluation.models import original_logits, reloaded_logits
from dfrot_engine.forward.room import Room
from dfrot_engine.job import Job, choose_device
from dfrot_engine.options import RunOptions
from dfrot_engine.recipe import Evaluation, ModelSource, Recipe
from dfrot_engine.recipe_sections import USUAL_WINDOW


def evaluate_folder(
    folder: Path, *, original: str | None, dataset: str, seq_len: int | Literal["model"], num_windows: int, device: str
) -> dict[str, Any]:
    """Perplexity of a folder, and KL divergence and agreement when the original is given.

    Raises:
        ModelError: no such folder, or the two do not share a tokenizer.
        DataError: the text cannot be used.
    """
    check_checkpoint(folder)
    wanted = Evaluation(dataset=dataset, seq_len=seq_len, num_windows=num_windows)
    length = wanted.window(_max_length(folder))
    tokens = Tokenizer.load(folder).encode(load_text(dataset, "evaluation"))
    tokens_BT = torch.from_numpy(evaluation_windows(tokens, length, num_windows))
    before, after = Metrics(), Metrics()
    with tempfile.TemporaryDirectory(prefix="evaluate-", dir=user_cache_path("dfrot", ensure_exists=True)) as spill:
        reference = None
        if original is not None:
            job = _job_of(original, folder, device)
            room = Room.of(job, Path(spill), lambda event: print(event.message, file=sys.stderr))
            reference = original_logits(job, tokens_BT, lambda _index: None, room)
        measured = reloaded_logits(folder, tokens_BT, choose_device(device))
        for window, tokens_T in enumerate(tokens_BT):
            exact = reference(window) if reference else None
            if exact is not None:
                before.add(exact, tokens_T)
            after.add(measured(window), tokens_T, exact)
        has_original = reference is not None
        del reference  # its hidden states lie in the folder
    numbers: dict[str, Any] = {"perplexity_quantized": after.perplexity}
    if has_original:
        numbers["perplexity_original"] = before.perplexity
        numbers["kl_divergence"] = after.kl_divergence
        numbers["top1_agreement"] = after.top1_agreement
    numbers["protocol"] = {
        "dataset": dataset,
        "seq_len": length,
        "num_windows": len(tokens_BT),
        "tokens": after.tokens,
        "measured": f"{folder}, loaded by transformers" + (" with its adapter" if has_adapter(folder) else ""),
    }
    return numbers


def _max_length(folder: Path) -> int:
    """As config.json says it; any model that transformers loads may be measured, known to our tables or not."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config_int(config, "max_position_embeddings", USUAL_WINDOW, largest=1_000_000_000)


def _job_of(original: str, folder: Path, device: str) -> Job:
    model = ModelSource(id_or_path=original)
    model_dir = source.fetch(model, lambda _done, _total, _label: None)
    options = RunOptions.model_validate({"output_dir": folder, "device": device})
    job = Job.prepare(Recipe(model=model), options, original, model_dir)
    check_same_tokenizer(folder, model_dir, original)
    return job


def check_checkpoint(folder: Path) -> None:
    """Raises:
    ModelError: there is nothing in the folder that could be loaded.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no checkpoint (no config.json).", "Give the output folder of a run.")


def check_same_tokenizer(folder: Path, model_dir: Path, original: str) -> None:
    """Raises:
    ModelError: a folder and the original, which lies in `model_dir`, cut text differently.
    """
    if (model_dir / "tokenizer.json").read_bytes() != (folder / "tokenizer.json").read_bytes():
        raise ModelError(
            f"{folder} and {original} have different tokenizers.", "Compare a checkpoint with its own original."
        )
