"""Run the original model once and keep what rotations and charts need: sampled activations, massive tokens, a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from dfrot_engine.calibration.block_rows import picked_rows
from dfrot_engine.calibration.datasets import load_text, sample_batches
from dfrot_engine.calibration.massive import find_massive
from dfrot_engine.calibration.samplers import RowSample, sample_rows
from dfrot_engine.charts import ACTIVATION_MAP, ActivationMap
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.errors import RunError
from dfrot_engine.events import ChartSaved, MassiveToken, MassiveTokensFound, StageAdvanced, StageStarted
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.stream import embed, run_block
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.recipe import Recipe
from dfrot_engine.stages.base import Stage
from dfrot_engine.work_dir import WorkDir

NAME = "calibrate"
ROWS = "rows"
MASSIVE = f"{NAME}/massive.json"  # the rotate stage completes it in a file of its own
_HIDDEN = "hidden"
_SHOWN_TOKENS = 64


def is_needed(job: Job) -> bool:
    return job.recipe.rotation.needs_activations


def run(job: Job, work: WorkDir, fingerprint: str, report: Report) -> None:
    """Leaves `calibrate/rows.safetensors`, what is kept of each block, the activation map, `calibrate/massive.json`."""
    architecture = job.architecture
    report(StageStarted(stage=NAME, steps=architecture.num_blocks))
    tokenizer = Tokenizer.load(job.model_dir)
    tokens_BT = calibration_tokens(job, tokenizer)
    factory = BlockFactory(job.model_dir, job.device)

    def advance(step: int, index: int) -> None:
        steps = architecture.num_blocks
        report(StageAdvanced(stage=NAME, step=step, steps=steps, label=f"Block {index + 1} of {steps}"))

    with CheckpointReader(job.model_dir) as reader:
        start, hidden = _resume(work, fingerprint)
        if hidden is None:
            hidden = embed(reader, architecture, tokens_BT)
        chart = _LiveMap(job, work, [tokenizer.token_text(token) for token in tokens_BT[0].tolist()])
        for index in range(start):
            chart.add(index, work.load_block(NAME, f"{index:05}")[0])
        if start:  # a kill may have come between a block and its chart
            chart.save(report)
        for index in range(start, architecture.num_blocks):
            block = factory.fill(index, reader.block(architecture.block_prefix(index)))
            hidden, parts = run_and_sample(job, factory, block, index, hidden, partial(advance, index, index))
            work.save_block(NAME, f"{index:05}", parts, fingerprint)
            work.save_block(NAME, _HIDDEN, {"hidden": hidden}, fingerprint, {"next_block": str(index + 1)})
            chart.add(index, parts)
            chart.save(report)
            advance(index + 1, index)
    _collect(job, work, tokens_BT, tokenizer, report)


def calibration_tokens(job: Job, tokenizer: Tokenizer) -> Tensor:
    """[B, T] int64 of the recipe's calibration text; the same for the same recipe and tokenizer.

    Raises:
        DataError: the text cannot be read or is too short.
    """
    wanted = job.recipe.calibration
    tokens = tokenizer.encode(load_text(wanted.dataset, "calibration"))
    return torch.from_numpy(sample_batches(tokens, wanted.num_samples, wanted.seq_len, wanted.seed))


def _resume(work: WorkDir, fingerprint: str) -> tuple[int, Tensor | None]:
    if not work.has_block(NAME, _HIDDEN, fingerprint):
        return 0, None
    tensors, facts = work.load_block(NAME, _HIDDEN)
    next_block = int(facts["next_block"])
    return (next_block, tensors["hidden"]) if work.has_blocks(NAME, next_block, fingerprint) else (0, None)


def run_and_sample(
    job: Job, factory: BlockFactory, block: nn.Module, index: int, hidden: Tensor, between: Callable[[], None]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The block's output, and what is kept of its sites."""
    table, rotation = job.architecture.block, job.recipe.rotation
    # Generators of the site's own, so that a resumed run draws the same rows.
    seed = job.recipe.calibration.seed * 1_000_003 + index * 10
    inner = picked_rows(
        block,
        job.architecture,
        num_tokens=hidden.shape[0] * hidden.shape[1],
        value_rows=rotation.value_rows,
        hidden_rows=rotation.hidden_rows,
        generator=torch.Generator().manual_seed(seed + 9),
    )
    with inner as block_rows, _captured([block.get_submodule(site) for site in table.sites()]) as inputs:
        output = run_block(factory, block, index, hidden, between=between)
    kept = {**block_rows, **_site_samples(job, block, index, inputs)}
    kept["first_peak"] = hidden[0].abs().amax(1)
    return output, kept


def _site_samples(job: Job, block: nn.Module, index: int, inputs: list[list[Tensor]]) -> dict[str, Tensor]:
    """What R1 learns from, for each place where the block reads the residual stream."""
    sites = job.architecture.block.sites()
    num_sites = job.architecture.num_blocks * len(sites)
    quota = max(1, job.recipe.rotation.sample_rows // num_sites)
    kept: dict[str, Tensor] = {}
    for site, name in enumerate(sites):
        residual_BTD = torch.cat(inputs[site])
        if not bool(torch.isfinite(residual_BTD).all()):
            raise RunError(
                f"Block {index}, {name}: the activations contain NaN or infinity.",
                "The weights are damaged, or the model needs another precision; download it again.",
            )
        eps = _epsilon(block.get_submodule(name))
        is_centred = job.architecture.norms_subtract_mean
        rows_BTD = residual_BTD - residual_BTD.mean(-1, keepdim=True) if is_centred else residual_BTD
        rows_BTD = rows_BTD * torch.rsqrt(rows_BTD.square().mean(-1, keepdim=True) + eps)
        flat = residual_BTD.flatten(0, 1)
        peak_N = flat.abs().amax(1)
        is_massive_N = find_massive(rows_BTD.flatten(0, 1), flat.norm(dim=1))
        generator = torch.Generator().manual_seed(job.recipe.calibration.seed * 1_000_003 + index * 10 + site)
        sample = sample_rows(rows_BTD, is_massive_N, peak_N, block=index, site=site, quota=quota, generator=generator)
        kept |= {f"{site}.{part}": tensor for part, tensor in vars(sample).items()}
        kept[f"{site}.count"] = is_massive_N.sum()
        kept[f"{site}.first_massive"] = is_massive_N[: residual_BTD.shape[1]]
    return kept


def _epsilon(reader: nn.Module) -> float:
    """A norm's own; a linear that no norm feeds has none."""
    return float(next((getattr(reader, name) for name in ("variance_epsilon", "eps") if hasattr(reader, name)), 1e-6))


def site_rows(parts: dict[str, Tensor], site: int) -> RowSample:
    """The sampled rows of one site, out of what `run_and_sample` kept of its block."""
    return RowSample(**{name: parts[f"{site}.{name}"] for name in RowSample.__dataclass_fields__})


@contextmanager
def _captured(modules: list[nn.Module]) -> Iterator[list[list[Tensor]]]:
    """The inputs that modules see while the context is open, one list of CPU tensors for each."""
    inputs: list[list[Tensor]] = [[] for _ in modules]

    def keep_in(kept: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, args: kept.append(args[0].detach().cpu().float())

    handles = [module.register_forward_pre_hook(keep_in(kept)) for module, kept in zip(modules, inputs, strict=True)]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


class _LiveMap:
    """The activation map of the first sequence, saved as it grows; blocks still to come are zero."""

    def __init__(self, job: Job, work: WorkDir, texts: list[str]) -> None:
        shape = (job.architecture.num_blocks, len(texts))
        self._sites = range(len(job.architecture.block.sites()))
        self._work = work
        self._map = ActivationMap(np.zeros(shape, np.float32), np.zeros(shape, np.bool_), np.array(texts))

    def add(self, index: int, parts: dict[str, Tensor]) -> None:
        self._map.value[index] = parts["first_peak"].numpy()
        marks = [parts[f"{site}.first_massive"] for site in self._sites]
        self._map.is_massive[index] = torch.stack(marks).any(0).numpy()

    def save(self, report: Report) -> None:
        path = self._work.chart(ACTIVATION_MAP)
        self._map.save(path)
        report(ChartSaved(name=ACTIVATION_MAP, path=self._work.relative(path)))


def _collect(job: Job, work: WorkDir, tokens_BT: Tensor, tokenizer: Tokenizer, report: Report) -> None:
    """Join the parts of all blocks into the files the next stages read, and say what was found."""
    sites = range(len(job.architecture.block.sites()))
    samples, count = [], 0
    for index in range(job.architecture.num_blocks):
        parts, _ = work.load_block(NAME, f"{index:05}")
        for site in sites:
            samples.append(site_rows(parts, site))
            count += int(parts[f"{site}.count"])
    rows = RowSample.join(samples)
    rows.save(work.block_path(NAME, ROWS))
    total = tokens_BT.numel() * job.architecture.num_blocks * len(sites)
    found = MassiveTokensFound(count=count, rows=total, tokens=_largest_massive(job, rows, tokens_BT, tokenizer))
    work.write_json(MASSIVE, found.model_dump(mode="json"))
    report(found)


def _largest_massive(job: Job, rows: RowSample, tokens_BT: Tensor, tokenizer: Tokenizer) -> tuple[MassiveToken, ...]:
    massive = rows.is_massive_N.nonzero()[:, 0]
    order = rows.peak_N[massive].argsort(descending=True)[:_SHOWN_TOKENS]
    sites = job.architecture.block.sites()
    found: list[MassiveToken] = []
    for row in massive[order].tolist():
        sample, position = int(rows.sample_N[row]), int(rows.position_N[row])
        found.append(
            MassiveToken(
                block=int(rows.block_N[row]),
                site=sites[int(rows.site_N[row])],
                sample=sample,
                position=position,
                text=tokenizer.token_text(int(tokens_BT[sample, position])),
                value=float(rows.peak_N[row]),
            )
        )
    return tuple(found)


def _settings(recipe: Recipe) -> tuple[object, ...]:
    rotation = recipe.rotation
    return recipe.calibration, rotation.sample_rows, rotation.value_rows, rotation.hidden_rows


STAGE = Stage(NAME, _settings, is_needed, run)
