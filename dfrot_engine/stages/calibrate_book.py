"""What the calibrate stage leaves for people and the next stages: activation map, samples, massive tokens."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dfrot_engine.calibration.samplers import RowSample
from dfrot_engine.charts import ACTIVATION_MAP, ActivationMap
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.events import ChartSaved, MassiveToken, MassiveTokensFound
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.work_dir import WorkDir

NAME = "calibrate"
ROWS = "rows"
MASSIVE = f"{NAME}/massive.json"  # the rotate stage completes it in a file of its own
_SHOWN_TOKENS = 64


class Book:
    """What the first rank alone has: the text, and where its numbers are noted."""

    def __init__(self, job: Job, work: WorkDir, report: Report, tokens_BT: Tensor, tokenizer: Tokenizer) -> None:
        self.job, self.work, self.report = job, work, report
        self.tokens_BT, self._tokenizer = tokens_BT, tokenizer
        self.chart = _LiveMap(job, work, [tokenizer.token_text(token) for token in tokens_BT[0].tolist()])

    def conclude(self) -> None:
        """Join the parts of all blocks into the files the next stages read, and say what was found."""
        _collect(self.job, self.work, self.tokens_BT, self._tokenizer, self.report)


def site_rows(parts: dict[str, Tensor], site: int) -> RowSample:
    """The sampled rows of one site, out of what `run_and_sample` kept of its block."""
    return RowSample(**{name: parts[f"{site}.{name}"] for name in RowSample.__dataclass_fields__})


class _LiveMap:
    """The activation map of the first sequence, saved as it grows; blocks still to come are zero."""

    def __init__(self, job: Job, work: WorkDir, texts: list[str]) -> None:
        shape = (job.architecture.num_blocks, len(texts))
        self._sites = range(len(job.architecture.block.sites()))
        self._work = work
        by_site = (len(self._sites), *shape)
        self._map = ActivationMap(
            np.zeros(shape, np.float32),
            np.zeros(shape, np.bool_),
            np.array(texts),
            np.zeros(by_site, np.float32),
            np.zeros(by_site, np.bool_),
        )

    def add(self, index: int, parts: dict[str, Tensor]) -> None:
        self._map.value[index] = parts["first_peak"].numpy()
        for site in self._sites:
            self._map.site_is_massive[site, index] = parts[f"{site}.first_massive"].numpy()
            if f"{site}.first_peak" in parts:  # earlier versions left it out
                self._map.site_value[site, index] = parts[f"{site}.first_peak"].numpy()
        self._map.is_massive[index] = self._map.site_is_massive[:, index].any(0)

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
