"""Perplexity of a model whose activations alone are rounded, on text that nothing was learned from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dfrot_engine.calibration.datasets import evaluation_windows, load_text
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.quantized_block import block_schemes, fill_quantized_block
from dfrot_engine.forward.stored_clips import CLIP_PARTS, unsearched_clips
from dfrot_engine.forward.stream import embed, run_block
from dfrot_engine.job import Job
from dfrot_engine.outer import final_norm_parts, head_weight
from dfrot_engine.rotations.fold import fold_block, fold_embedding, fold_head
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.stages import quantize
from dfrot_engine.work_dir import WorkDir

_SHARED = Path(__file__).parents[3] / "shared" / "data" / "wikitext-2"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Text(NamedTuple):
    """What is measured on and what is learned from; names for the table, datasets as in a recipe."""

    name: str
    dataset: str
    calibration_name: str
    calibration: str


def evaluation_text(scratch: Path) -> Text:
    """WikiText-2 where DFROT_WIKITEXT2 names its folder or it lies beside the checkout, else the built-in texts.

    Args:
        scratch: where a copy of a text is put whose name a recipe would refuse.
    """
    folder = Path(os.environ.get("DFROT_WIKITEXT2", _SHARED))
    test, validation = folder / "wiki.test.raw", folder / "wiki.valid.tokens"
    if test.is_file() and validation.is_file():
        copies = [scratch / f"{path.stem}.txt" for path in (test, validation)]
        for path, copy in zip((test, validation), copies, strict=True):
            shutil.copyfile(path, copy)
        return Text("WikiText-2 test", str(copies[0]), "WikiText-2 validation", str(copies[1]))
    return Text("built-in evaluation text", "builtin", "built-in calibration text", "builtin")


class HeldOut:
    """The windows, and the two ways through the model."""

    def __init__(self, job: Job, dataset: str, num_windows: int, seq_len: int, skip_windows: int, dtype: str) -> None:
        tokens = Tokenizer.load(job.model_dir).encode(load_text(dataset, "evaluation"))
        windows = evaluation_windows(tokens, seq_len, skip_windows + num_windows)[skip_windows:]
        self._tokens_BT = torch.from_numpy(windows)
        self._factory = BlockFactory(job.model_dir, job.device, _DTYPES[dtype])
        self._job = job

    def original(self) -> float:
        """Perplexity of the model as it is."""
        names = self._job.architecture
        with CheckpointReader(self._job.model_dir) as reader:
            hidden = embed(reader, names, self._tokens_BT)
            for index in range(names.num_blocks):
                block = self._factory.fill(index, read_block(reader, names, index))
                hidden = run_block(self._factory, block, index, hidden)
            return self._finish(hidden, final_norm_parts(names, reader), head_weight(self._job, reader))

    def perplexity(self, job: Job, work: WorkDir) -> float:
        """Perplexity under the recipe's activation schemes, the work folder's rotations and the clip ratios it holds if
        they are searched; weights keep 16 bits."""
        names, rotations = job.architecture, RotationSet.load(work.rotations).to(job.device)
        with CheckpointReader(job.model_dir) as reader:
            embedding = reader.tensor(f"{names.embedding}.weight").to(job.device)
            hidden = fold_embedding(embedding, rotations)[self._tokens_BT].float().cpu()
            for index in range(names.num_blocks):
                tensors = {key: one.to(job.device) for key, one in read_block(reader, names, index).items()}
                folded = fold_block(tensors, names, rotations, index)
                clips = unsearched_clips(block_schemes(job, index), job.recipe.kv_cache)
                if clips:
                    clips, _ = work.load_block(quantize.NAME, f"{index:05}", CLIP_PARTS)
                block = fill_quantized_block(self._factory, job, index, folded | clips, rotations)
                hidden = run_block(self._factory, block, index, hidden)
            parts = {part: one.to(job.device) for part, one in final_norm_parts(names, reader).items()}
            head, neutral = fold_head(head_weight(job, reader).to(job.device), parts, names.final_norm, rotations)
        return self._finish(hidden, neutral, head)

    @torch.no_grad()
    def _finish(self, hidden_BTD: Tensor, norm: dict[str, Tensor], head_VD: Tensor) -> float:
        final_norm = self._factory.fill_final_norm(norm)
        head = head_VD.to(self._factory.device, self._factory.dtype)
        metrics = Metrics()
        for hidden, tokens in zip(hidden_BTD, self._tokens_BT, strict=True):
            metrics.add(final_norm(hidden.to(head)) @ head.T, tokens)
        return metrics.perplexity
