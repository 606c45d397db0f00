"""The clip ratios that the quantize stage found, for the report and for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Any

from dfrot_engine.events import Logged
from dfrot_engine.forward.stored_clips import CLIP_PARTS, KEY_CLIP, VALUE_CLIP
from dfrot_engine.job import Job
from dfrot_engine.progress import Report
from dfrot_engine.work_dir import WorkDir

RESULT = "clips.json"
_STAGE = "quantize"
_DIGITS = 4  # ratios are steps of 1/40


def note_clips(job: Job, work: WorkDir, report: Report) -> None:
    """Leaves `clips.json`: by linear, and for keys and values, the least, median and greatest ratio and all of them in
    the order of the blocks, null where there is none; empty where nothing is searched."""
    num_blocks = job.architecture.num_blocks
    by_name: dict[str, list[float | None]] = defaultdict(lambda: [None] * num_blocks)
    for index in range(num_blocks):
        for name, ratio in _stored(work, f"{index:05}").items():
            by_name[name][index] = ratio
    found = {name: _summary(ratios) for name, ratios in by_name.items()}
    found |= {name: _summary([ratio]) for name, ratio in _stored(work, "outer").items()}
    work.write_json(RESULT, found)
    if found:
        report(Logged(stage=_STAGE, message=clip_words(found)))


def clip_words(found: Mapping[str, Mapping[str, Any]]) -> str:
    """One line about what `note_clips` noted."""
    kinds: dict[str, list[float]] = defaultdict(list)
    for name, summary in found.items():
        kind = {_shown(KEY_CLIP): "keys", _shown(VALUE_CLIP): "values"}.get(name, "activations")
        kinds[kind] += [ratio for ratio in summary["ratios"] if ratio is not None]
    parts = [f"{kind} {min(one):g} to {max(one):g}, median {median(one):g}" for kind, one in kinds.items()]
    return f"Clip ratios found: {'; '.join(parts)}."


def _stored(work: WorkDir, name: str) -> dict[str, float]:
    tensors, _ = work.load_block(_STAGE, name, CLIP_PARTS)
    return {_shown(key): round(float(tensor), _DIGITS) for key, tensor in tensors.items()}


def _shown(stored_name: str) -> str:
    """`mlp.down_proj` for a linear's input, `kv.key` for keys."""
    return stored_name.removesuffix(".input_clip").removesuffix("_clip")


def _summary(ratios: list[float | None]) -> dict[str, Any]:
    known = [ratio for ratio in ratios if ratio is not None]
    return {"min": min(known), "median": round(median(known), _DIGITS), "max": max(known), "ratios": ratios}
