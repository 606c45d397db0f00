"""The tokens a benchmark runs on: a model's own, or synthetic ones with planted massive tokens."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dfrot_engine.calibration.samplers import RowSample
from dfrot_engine.checkpoint.source import fetch
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.recipe import ModelSource, Recipe
from dfrot_engine.stages import calibrate
from dfrot_engine.work_dir import WorkDir

_SEED = 0
_MASSIVE_SHARE = 0.01
_LOUDEST = 100.0  # times the quietest direction of ordinary synthetic tokens


@dataclass(frozen=True)
class Activations:
    """Args:
    name: for the report.
    rows_ND: float32, on the device of the benchmark.
    is_massive_N: bool.
    """

    name: str
    rows_ND: Tensor
    is_massive_N: Tensor

    def thinned(self, num_rows: int) -> Activations:
        """At most so many rows, drawn evenly from both kinds alike."""
        order = torch.randperm(len(self.rows_ND), generator=torch.Generator().manual_seed(_SEED))
        kept = order[:num_rows].sort().values.to(self.rows_ND.device)
        return Activations(self.name, self.rows_ND[kept], self.is_massive_N[kept])


def of_model(model: str, *, text: str, num_samples: int, seq_len: int, device: torch.device) -> Activations:
    """Outputs of both norms of every block, gains left out, for every token: no row is dropped.

    Raises:
        DFRotError: the model or the text cannot be used.
    """
    folder = fetch(ModelSource(id_or_path=model), lambda *_: None)
    recipe = Recipe.preset("w4a4").with_field("calibration.dataset", text)
    recipe = recipe.with_field("calibration.num_samples", num_samples).with_field("calibration.seq_len", seq_len)
    with tempfile.TemporaryDirectory(prefix="dfrot-benchmark-") as scratch:
        output = Path(scratch) / "out"
        job = Job.prepare(recipe, RunOptions(output_dir=output), model, folder)
        every_row = num_samples * seq_len * job.architecture.num_blocks * len(job.architecture.block.norms)
        job = Job.prepare(recipe.with_field("rotation.r1.sample_rows", every_row), job.options, model, folder)
        with WorkDir.open(output.with_name("out.dfrot")) as work:
            calibrate.run(job, work, "benchmark", lambda _event: None)
            sample = RowSample.load(work.block_path(calibrate.NAME, calibrate.ROWS))
            # Copies, because the loaded tensors are a file's pages, which would count as memory of whoever reads first.
            rows, is_massive = sample.rows_ND.clone(), sample.is_massive_N.clone()
    assert len(rows) == every_row, "a row was dropped"
    return Activations(model, rows.to(device), is_massive.to(device))


def synthetic(width: int, num_rows: int, *, device: torch.device) -> Activations:
    """Gaussian tokens, louder in some directions, brought to RMS one as behind a norm; one in a hundred is massive.

    A massive token has almost all of its energy in two coordinates, the same for each of three kinds.
    """
    generator = torch.Generator().manual_seed(_SEED)
    rows = torch.randn(num_rows, width, generator=generator)
    rows *= torch.logspace(0, -2, width)[torch.randperm(width, generator=generator)] * _LOUDEST
    num_massive = max(1, int(num_rows * _MASSIVE_SHARE))
    peaks = torch.randint(0, width, (3, 2), generator=generator)[torch.arange(num_massive) % 3]
    rows[:num_massive] *= 0.02
    rows[:num_massive].scatter_add_(1, peaks, torch.tensor([[1000.0, -400.0]]).expand(num_massive, 2).contiguous())
    rows /= rows.square().mean(1, keepdim=True).sqrt()
    return Activations(f"synthetic {width}", rows.to(device), torch.arange(num_rows, device=device) < num_massive)
