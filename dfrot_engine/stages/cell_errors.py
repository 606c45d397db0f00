"""How each rotation rounds every token of the activation map, block after block."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dfrot_engine.architectures.base import Block, Space
from dfrot_engine.calibration.errors_by_token import row_errors
from dfrot_engine.events import ChartSaved
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.rotations.dfrot import Quantizer
from dfrot_engine.site_charts import CELL_ERRORS, CellErrors
from dfrot_engine.stages import calibrate
from dfrot_engine.work_dir import WorkDir

_KEPT = (".first_rows", ".first_positions")
_OF_ATTENTION = {Space.QUERY, Space.KEY, Space.VALUE}


def site_readers(block: Block) -> tuple[str, ...]:
    """What reads each site of a block: "attention", "mlp", or "attention, mlp" where one tensor feeds both."""
    attention = {
        linear.name
        for linear in block.linears
        if _OF_ATTENTION & set(linear.writes if isinstance(linear.writes, tuple) else (linear.writes,))
    }
    fed = (*(norm.feeds for norm in block.norms), *block.bare)
    return tuple(", ".join(sorted({"attention" if name in attention else "mlp" for name in names})) for names in fed)


class CellBook:
    """The chart, a rotation at a time; what calibration has kept of a block is read when its turn comes."""

    def __init__(self, job: Job, work: WorkDir, quantize: Quantizer, report: Report) -> None:
        self._work, self._report, self._quantize = work, report, quantize
        self._device = job.device
        block = job.architecture.block
        length = job.recipe.calibration.seq_len
        self._shape = (len(block.sites()), job.architecture.num_blocks, length)
        self._chart = CellErrors(site_readers(block), {})

    def add(self, kind: str, rotation_DD: Tensor | None) -> None:
        """Measure a rotation (None: no rotation) and save; nothing where earlier versions have kept no tokens."""
        errors = np.full(self._shape, np.nan, np.float32)
        for index in range(self._shape[1]):
            parts, _ = self._work.load_block(calibrate.NAME, f"{index:05}", _KEPT)
            for site in range(self._shape[0]):
                if f"{site}.first_rows" not in parts:
                    return
                rows_ND = parts[f"{site}.first_rows"].to(self._device, torch.float32)
                error_N = row_errors(rows_ND, rotation_DD, self._quantize)
                errors[site, index, parts[f"{site}.first_positions"].long().numpy()] = error_N.cpu().numpy()
        self._chart.errors[kind] = errors
        path = self._work.chart(CELL_ERRORS)
        self._chart.save(path)
        self._report(ChartSaved(name=CELL_ERRORS, path=self._work.relative(path)))
