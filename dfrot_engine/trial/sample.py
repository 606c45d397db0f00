"""The original model on a few tokens: rows behind the norms, and the exact hidden states around the chosen blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from dfrot_engine.calibration.samplers import RowSample
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.events import StageAdvanced, StageStarted
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.room import Room
from dfrot_engine.forward.stream import embed
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.recipe import DFRot, NoRotation
from dfrot_engine.stages.calibrate import NAME, calibration_tokens, run_and_sample, site_rows
from dfrot_engine.trial.budget import Budget
from dfrot_engine.trial.candidates import SAMPLE_ROWS


@dataclass(frozen=True)
class TrialSample:
    """What every rotation is measured on.

    Args:
        rows: sampled tokens behind the norms of the blocks that were read.
        passed: block → ([B, T, D] its exact input, its exact output), float32, unrotated.
        tokens: number of tokens.
        massive_count: massive places of all `places`.
    """

    rows: RowSample
    passed: dict[int, tuple[Tensor, Tensor]]
    tokens: int
    massive_count: int
    places: int


def sample_original(
    job: Job, budget: Budget, factory: BlockFactory, reader: CheckpointReader, report: Report
) -> TrialSample:
    """Stream the calibration tokens through the blocks the budget allows.

    Raises:
        DataError: the text cannot be read or is too short.
        RunError: the activations contain NaN or infinity.
    """
    architecture, steps = job.architecture, budget.read_blocks
    report(StageStarted(stage=NAME, steps=steps))
    tokens_BT = calibration_tokens(job, Tokenizer.load(job.model_dir))
    hidden = embed(reader, architecture, tokens_BT)
    sampling, room = _sampling(job, steps), Room.unlimited()
    num_sites = len(architecture.block.sites())
    samples: list[RowSample] = []
    passed: dict[int, tuple[Tensor, Tensor]] = {}
    count = 0
    for index in range(steps):
        label = f"Block {index + 1} of {steps}"
        report(StageAdvanced(stage=NAME, step=index, steps=steps, label=label))
        block = factory.fill(index, read_block(reader, architecture, index))
        after, parts = run_and_sample(sampling, room, factory, block, index, hidden, lambda: None)
        output = after[:]
        samples += [site_rows(parts, site) for site in range(num_sites)]
        count += sum(int(parts[f"{site}.count"]) for site in range(num_sites))
        if index in budget.blocks:
            passed[index] = hidden, output
        hidden = output
    report(StageAdvanced(stage=NAME, step=steps, steps=steps, label=f"{tokens_BT.numel():,} tokens"))
    places = tokens_BT.numel() * steps * num_sites
    return TrialSample(RowSample.join(samples), passed, tokens_BT.numel(), count, places)


def _sampling(job: Job, read_blocks: int) -> Job:
    """The job with the rows of a trial to keep; those of blocks that are not read go to the others."""
    rows = SAMPLE_ROWS * job.architecture.num_blocks // read_blocks
    # A trial refines R1 alone, so that no rows are kept for R2 and R4.
    update = {"r1": DFRot(sample_rows=rows), "r2": NoRotation(), "r4": NoRotation()}
    plan = job.recipe.rotation.model_copy(update=update)
    return replace(job, recipe=job.recipe.model_copy(update={"rotation": plan}))
