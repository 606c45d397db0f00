"""Run the original model once and keep what rotations and charts need: sampled activations, massive tokens, a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from dfrot_engine.calibration.block_rows import picked_rows
from dfrot_engine.calibration.datasets import load_text, sample_batches
from dfrot_engine.calibration.massive import is_concentrated, is_large
from dfrot_engine.calibration.samplers import RowSample, sample_rows
from dfrot_engine.charts import ACTIVATION_MAP, ActivationMap
from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.errors import RunError
from dfrot_engine.events import ChartSaved, MassiveToken, MassiveTokensFound, StageAdvanced, StageStarted
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.hidden_states import Hidden, HiddenStates
from dfrot_engine.forward.room import Room
from dfrot_engine.forward.stream import embed_into, outputs_of
from dfrot_engine.job import Job
from dfrot_engine.overlap import WriteBehind, read_ahead
from dfrot_engine.progress import Report
from dfrot_engine.recipe import Recipe
from dfrot_engine.stages.base import Stage
from dfrot_engine.work_dir import WorkDir

NAME = "calibrate"
ROWS = "rows"
_SHOWN_TOKENS = 64


def is_needed(job: Job) -> bool:
    return job.recipe.rotation.needs_activations


def run(job: Job, work: WorkDir, fingerprint: str, report: Report) -> None:
    """Leaves `calibrate/rows.safetensors`, `calibrate/tokens.safetensors`, the activation map, `massive.json`."""
    architecture = job.architecture
    report(StageStarted(stage=NAME, steps=architecture.num_blocks))
    tokenizer = Tokenizer.load(job.model_dir)
    tokens_BT = calibration_tokens(job, tokenizer)
    room = Room.of(job, work.root / NAME, report)
    factory = BlockFactory(job.model_dir, job.device, batch=room.batch)

    def advance(step: int, index: int) -> None:
        steps = architecture.num_blocks
        report(StageAdvanced(stage=NAME, step=step, steps=steps, label=f"Block {index + 1} of {steps}"))

    with CheckpointReader(job.model_dir) as reader:
        start, hidden = _resume(room, fingerprint)
        if hidden is None:
            embedding_VD = reader.tensor(f"{architecture.embedding}.weight")
            hidden = embed_into(room.states, embedding_VD, architecture, tokens_BT)
            del embedding_VD
        chart = _LiveMap(job, work, [tokenizer.token_text(token) for token in tokens_BT[0].tolist()])
        for index in range(start):
            chart.add(index, work.load_block(NAME, f"{index:05}")[0])
        numbers = range(start, architecture.num_blocks)
        blocks = read_ahead(partial(read_block, reader, architecture), numbers, overlaps=room.overlaps)
        with closing(blocks), WriteBehind(overlaps=room.overlaps) as behind:
            for index in numbers:
                block = factory.fill(index, next(blocks))
                hidden, parts = run_and_sample(job, room, factory, block, index, hidden, partial(advance, index, index))
                del block  # before the next one is read
                behind.submit(partial(_save, work, room, fingerprint, index, hidden, parts))
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


def _resume(room: Room, fingerprint: str) -> tuple[int, HiddenStates | None]:
    kept = room.states.kept(fingerprint)
    return (0, None) if kept is None else (kept.facts["next_block"], kept.streams["hidden"])


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
    sites = [_Site(job, room, block, index, site, hidden) for site in range(len(table.sites()))]
    output = room.states.new(hidden.shape)
    with inner as block_rows, ExitStack() as watched:
        for site in sites:
            watched.enter_context(site.watched())
        for passed in outputs_of(factory, block, index, hidden, between=between):
            output.append(passed)
            for site in sites:
                site.take()
    kept = dict(block_rows)
    for site in sites:
        kept |= site.sampled()
    kept["first_peak"] = hidden[:1][0].abs().amax(1)
    return output, kept


class _Site:
    """A place where a block reads the residual stream: its tokens as they pass, and the rows R1 learns from."""

    def __init__(self, job: Job, room: Room, block: nn.Module, index: int, site: int, hidden: Hidden) -> None:
        self._job, self._index, self._site = job, index, site
        self._name = job.architecture.block.sites()[site]
        self._module = block.get_submodule(self._name)
        self._rows = room.states.new(hidden.shape)
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
        tokens = {name: torch.cat(parts) for name, parts in self._tokens.items()}
        is_massive_N = tokens["is_concentrated"] & is_large(tokens["norm"])
        num_sites = self._job.architecture.num_blocks * len(self._job.architecture.block.sites())
        seed = self._job.recipe.calibration.seed * 1_000_003 + self._index * 10 + self._site
        sample = sample_rows(
            self._rows.tokens,
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
        kept[f"{self._site}.first_massive"] = is_massive_N[: self._rows.shape[1]]
        return kept


def _epsilon(reader: nn.Module) -> float:
    """A norm's own; a linear that no norm feeds has none."""
    return float(next((getattr(reader, name) for name in ("variance_epsilon", "eps") if hasattr(reader, name)), 1e-6))


def site_rows(parts: dict[str, Tensor], site: int) -> RowSample:
    """The sampled rows of one site, out of what `run_and_sample` kept of its block."""
    return RowSample(**{name: parts[f"{site}.{name}"] for name in RowSample.__dataclass_fields__})


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
    work.write_json("massive.json", found.model_dump(mode="json"))
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
