"""GGUF outputs read back and unpacked by the gguf package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import gguf
import torch
from gguf import quants
from torch import Tensor

from dfrot_engine.exporters.gguf import reordered_rows, stored_parts
from dfrot_engine.exporters.gguf_blocks import take_rows
from dfrot_engine.exporters.gguf_table import BLOCK_COLUMNS, tensor_namer
from dfrot_engine.job import Job
from dfrot_engine.proof.comparison import Comparison
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.work_dir import WorkDir

# Q4_1 rounds a group's minimum to float16, which shifts it by at most a 136th of a step.
_MINIMUM_STEPS = 1 / 128
# Q8_0 rounds to the nearest of 127 steps, and the step to float16.
_NEAREST_STEPS = 0.6


class GgufFile:
    """A written file, compared part by part.

    Raises:
        OSError, ValueError: it is missing, or no GGUF file.
    """

    def __init__(self, job: Job, folder: Path, found: Comparison) -> None:
        path = next(folder.glob("*.gguf"), folder / "model.gguf")
        self._tensors = {one.name: one for one in gguf.GGUFReader(path).tensors}
        self._name_of = tensor_namer(job.architecture.model_type, job.architecture.num_blocks)
        self._rows, self._found = reordered_rows(job), found

    def watch(self, part: Mapping[str, Tensor | QuantizedWeight]) -> None:
        for source, weight in part.items():
            name = self._name_of(source)
            if name is None:
                continue
            if name not in self._tensors:
                self._found.wrong.append(f"'{name}' is not in the file")
                continue
            rows = self._rows.get(source.rpartition(".")[0])
            ordered = weight if rows is None else take_rows(weight, rows)
            self._found.attempt(name, lambda name=name, ordered=ordered: self._compare(name, ordered))

    def _compare(self, name: str, expected: Tensor | QuantizedWeight) -> None:
        one = self._tensors[name]
        kind = one.tensor_type.name
        written = torch.from_numpy(quants.dequantize(one.data, one.tensor_type).copy())
        if isinstance(expected, QuantizedWeight):
            scale_OG = expected.scale_OG.float()
            steps = scale_OG[..., None].expand(-1, -1, BLOCK_COLUMNS).flatten(1) * _MINIMUM_STEPS
            self._found.check(name, written, expected.dequantize(torch.float32), steps if kind == "Q4_1" else 0.0)
        elif kind == "Q8_0":
            groups = expected.float().cpu().unflatten(-1, (-1, BLOCK_COLUMNS))
            steps = (groups.abs().amax(-1, keepdim=True) / 127 * _NEAREST_STEPS).expand_as(groups).flatten(-2)
            self._found.check(name, written, expected.float().cpu(), steps)
        else:
            held = expected.float() if kind == "F32" else expected.half().float()
            self._found.check(name, written.reshape(expected.shape), held)


def compare_codes(job: Job, work: WorkDir, folder: Path, found: Comparison, say: Callable[[int], None]) -> None:
    """Every tensor of the recipe's own codes in a GGUF file.

    Raises:
        OSError, ValueError: as `GgufFile`.
    """
    file = GgufFile(job, folder, found)
    for done, part in enumerate(stored_parts(job, work)):
        file.watch(part)
        if done:  # the first part holds no block
            say(done)
