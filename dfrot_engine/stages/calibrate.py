"""Run the original model once and keep what rotations and charts need: sampled activations, massive tokens, a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from dfrot_engine.calibration.block_rows import picked_rows
from dfrot_engine.calibration.datasets import load_text, sample_batches
from dfrot_engine.calibration.massive import is_concentrated, is_large
from dfrot_engine.calibration.samplers import sample_rows, spread_positions
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.errors import RunError
from dfrot_engine.events import StageAdvanced, StageStarted
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import Hidden, HiddenStates
from dfrot_engine.forward.room import Room
from dfrot_engine.forward.shares import collected, dealt_out
from dfrot_engine.forward.stream import embed_into, outputs_of
from dfrot_engine.job import Job
from dfrot_engine.overlap import WriteBehind, read_ahead
from dfrot_engine.progress import Report
from dfrot_engine.recipe import Recipe
from dfrot_engine.site_charts import FIRST_BYTES
from dfrot_engine.stages.base import Stage
from dfrot_engine.stages.calibrate_book import MASSIVE, NAME, ROWS, Book, site_rows
from dfrot_engine.work_dir import WorkDir

__all__ = ["MASSIVE", "NAME", "ROWS", "STAGE", "calibration_tokens", "run_and_sample", "site_rows"]


def is_needed(job: Job) -> bool:
    return job.recipe.rotation.needs_activations


def run(job: Job, work: WorkDir, fingerprint: str, report: Report) -> None:
    """Leaves `calibrate/rows.safetensors`, what is kept of each block, the activation map, `calibrate/massive.json`."""
    architecture = job.architecture
    ranks, total = job.ranks, job.recipe.calibration.num_samples
    report(StageStarted(stage=NAME, steps=architecture.num_blocks))
    room = Room.of(job, work.root / NAME, report)
    factory = BlockFactory(job.model_dir, job.device, batch=room.batch)
    book = _book(job, work, report) if ranks.is_first else None

    def advance(step: int, index: int) -> None:
        steps = architecture.num_blocks
        report(StageAdvanced(stage=NAME, step=step, steps=steps, label=f"Block {index + 1} of {steps}"))

    with CheckpointReader(job.model_dir) as reader:
        start, whole = (0, None) if book is None else _begin(book, room, reader, fingerprint)
        hidden = dealt_out(ranks, room.states, whole, total)
        del whole
        numbers = range(ranks.told(start), architecture.num_blocks)
        blocks = read_ahead(partial(read_block, reader, architecture), numbers, overlaps=room.overlaps)
        with closing(blocks), WriteBehind(overlaps=room.overlaps and ranks.is_alone) as behind:
            for index in numbers:
                block = factory.fill(index, next(blocks))
                hidden, parts = run_and_sample(job, room, factory, block, index, hidden, partial(advance, index, index))
                del block  # before the next one is read
                whole = collected(ranks, room.states, hidden, total, total)
                if book is not None and whole is not None:
                    behind.submit(partial(_save, work, room, fingerprint, index, whole, parts))
                    book.chart.add(index, parts)
                    book.chart.save(report)
                del whole
                advance(index + 1, index)
    if book is not None:
        book.conclude()


def _book(job: Job, work: WorkDir, report: Report) -> Book:
    tokenizer = Tokenizer.load(job.model_dir)
    return Book(job, work, report, calibration_tokens(job, tokenizer), tokenizer)


def _begin(book: Book, room: Room, reader: CheckpointReader, fingerprint: str) -> tuple[int, HiddenStates]:
    """The first block that is not there yet, and all sequences in front of it."""
    start, hidden = _resume(book.work, room, fingerprint)
    for index in range(start):
        book.chart.add(index, book.work.load_block(NAME, f"{index:05}")[0])
    if start:  # a kill may have come between a block and its chart
        book.chart.save(book.report)
    if hidden is None:
        architecture = book.job.architecture
        embedding_VD = reader.tensor(f"{architecture.embedding}.weight")
        hidden = embed_into(room.states, embedding_VD, architecture, book.tokens_BT)
    return start, hidden


def calibration_tokens(job: Job, tokenizer: Tokenizer) -> Tensor:
    """[B, T] int64 of the recipe's calibration text; the same for the same recipe and tokenizer.

    Raises:
        DataError: the text cannot be read or is too short.
    """
    wanted = job.recipe.calibration
    tokens = tokenizer.encode(load_text(wanted.dataset, "calibration"))
    return torch.from_numpy(sample_batches(tokens, wanted.num_samples, wanted.seq_len, wanted.seed))


def _resume(work: WorkDir, room: Room, fingerprint: str) -> tuple[int, HiddenStates | None]:
    kept = room.states.kept(fingerprint)
    if kept is None or not work.has_blocks(NAME, kept.facts["next_block"], fingerprint):
        return 0, None
    return kept.facts["next_block"], kept.streams["hidden"]


def _save(
    work: WorkDir, room: Room, fingerprint: str, index: int, hidden: HiddenStates, parts: dict[str, Tensor]
) -> None:
    """The samples first: the hidden states behind the block say that they are there."""
    work.save_block(NAME, f"{index:05}", parts, fingerprint)
    room.states.keep({"hidden": hidden}, fingerprint, next_block=index + 1)


def run_and_sample(
    job: Job,
    room: Room,
    factory: BlockFactory,
    block: nn.Module,
    index: int,
    hidden: Hidden,
    between: Callable[[], None],
) -> tuple[HiddenStates, dict[str, Tensor]]:
    """The block's output for this rank's sequences, and what is kept of the sites of all ranks' tokens."""
    table, rotation = job.architecture.block, job.recipe.rotation
    counts = job.ranks.all_facts(hidden.shape[0] * hidden.shape[1])
    before = sum(counts[: job.ranks.rank])
    # Generators of the site's own, so that a resumed run draws the same rows.
    seed = job.recipe.calibration.seed * 1_000_003 + index * 10
    inner = picked_rows(
        block,
        job.architecture,
        num_tokens=sum(counts),
        before=before,
        value_rows=rotation.value_rows,
        hidden_rows=rotation.hidden_rows,
        generator=torch.Generator().manual_seed(seed + 9),
    )
    sites = [_Site(job, room, block, index, site, hidden, before) for site in range(len(table.sites()))]
    output = room.states.new(hidden.shape)
    with inner as block_rows, ExitStack() as watched:
        for site in sites:
            watched.enter_context(site.watched())
        for passed in outputs_of(factory, block, index, hidden, between=between):
            output.append(passed)
            for site in sites:
                site.take()
    kept = {name: job.ranks.gather_rows(rows) for name, rows in block_rows.items()}
    for site in sites:
        kept |= site.sampled()
    kept["first_peak"] = hidden[:1][0].abs().amax(1)
    return output, kept


class _Site:
    """A place where a block reads the residual stream: its tokens as they pass, and the rows R1 learns from.

    Args:
        before: how many tokens the ranks in front of this one have.
    """

    def __init__(
        self, job: Job, room: Room, block: nn.Module, index: int, site: int, hidden: Hidden, before: int
    ) -> None:
        self._job, self._index, self._site = job, index, site
        self._name = job.architecture.block.sites()[site]
        self._module = block.get_submodule(self._name)
        self._rows, self._before = room.states.new(hidden.shape), before
        self._passing: Tensor | None = None
        self._tokens: dict[str, list[Tensor]] = {"peak": [], "norm": [], "is_concentrated": []}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While the context is open, what enters the module waits for `take`."""

        def keep(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            self._passing = args[0].detach().cpu().float()

        handle = self._module.register_forward_pre_hook(keep)
        try:
            yield
        finally:
            handle.remove()

    def take(self) -> None:
        """The batch that has just left the block."""
        assert self._passing is not None
        residual_BTD, self._passing = self._passing, None
        if not bool(torch.isfinite(residual_BTD).all()):
            raise RunError(
                f"Block {self._index}, {self._name}: the activations contain NaN or infinity.",
                "The weights are damaged, or the model needs another precision; download it again.",
            )
        rows_BTD = residual_BTD
        if self._job.architecture.norms_subtract_mean:
            rows_BTD = rows_BTD - rows_BTD.mean(-1, keepdim=True)
        rows_BTD = rows_BTD * torch.rsqrt(rows_BTD.square().mean(-1, keepdim=True) + _epsilon(self._module))
        self._rows.append(rows_BTD)
        flat = residual_BTD.flatten(0, 1)
        self._tokens["peak"].append(flat.abs().amax(1))
        self._tokens["norm"].append(flat.norm(dim=1))
        self._tokens["is_concentrated"].append(is_concentrated(rows_BTD.flatten(0, 1)))

    def sampled(self) -> dict[str, Tensor]:
        """What is kept of the site, when all batches have passed."""
        ranks = self._job.ranks
        tokens = {name: ranks.gather_rows(torch.cat(parts)) for name, parts in self._tokens.items()}
        is_massive_N = tokens["is_concentrated"] & is_large(tokens["norm"])
        num_sites = self._job.architecture.num_blocks * len(self._job.architecture.block.sites())
        seed = self._job.recipe.calibration.seed * 1_000_003 + self._index * 10 + self._site
        sample = sample_rows(
            self._rows_of,
            is_massive_N,
            tokens["peak"],
            num_tokens=self._rows.shape[1],
            block=self._index,
            site=self._site,
            quota=max(1, self._job.recipe.rotation.sample_rows // num_sites),
            generator=torch.Generator().manual_seed(seed),
        )
        kept = {f"{self._site}.{part}": tensor for part, tensor in vars(sample).items()}
        kept[f"{self._site}.count"] = is_massive_N.sum()
        length = self._rows.shape[1]
        kept[f"{self._site}.first_massive"] = is_massive_N[:length]
        kept[f"{self._site}.first_peak"] = tokens["peak"][:length]
        place_bytes = num_sites * self._rows.shape[2] * 2
        positions = spread_positions(is_massive_N[:length], FIRST_BYTES // place_bytes)
        kept[f"{self._site}.first_positions"] = positions.int()
        kept[f"{self._site}.first_rows"] = self._rows_of(positions).half()
        return kept

    def _rows_of(self, which_N: Tensor) -> Tensor:
        """[n, D] the tokens with these numbers, whichever rank has them."""
        here = self._rows.shape[0] * self._rows.shape[1]
        own_N = (which_N >= self._before) & (which_N < self._before + here)
        rows_ND = torch.zeros(len(which_N), self._rows.shape[2], dtype=self._rows.dtype)
        rows_ND[own_N] = self._rows.tokens(which_N[own_N] - self._before)
        return self._job.ranks.sum_across_ranks(rows_ND)


def _epsilon(reader: nn.Module) -> float:
    """A norm's own; a linear that no norm feeds has none."""
    return float(next((getattr(reader, name) for name in ("variance_epsilon", "eps") if hasattr(reader, name)), 1e-6))


def _settings(recipe: Recipe) -> tuple[object, ...]:
    rotation = recipe.rotation
    return recipe.calibration, rotation.sample_rows, rotation.value_rows, rotation.hidden_rows


STAGE = Stage(NAME, _settings, is_needed, run)
