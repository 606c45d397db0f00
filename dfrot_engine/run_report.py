"""report.json: the numbers of a run in one file, beside the checkpoint and in the work folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dfrot_engine.checkpoint.local import CONFIG, has_weights
from dfrot_engine.job import Job
from dfrot_engine.marker import has_failed, read_marker
from dfrot_engine.report_file import REPORT, weight_bytes
from dfrot_engine.stages import evaluate, note_clips, prove, quantize, rotate
from dfrot_engine.stages.export import output_folder
from dfrot_engine.whole_file import write_text
from dfrot_engine.work_dir import WorkDir

_STAGES = ("load", "calibrate", "rotate", "quantize", "export", "prove", "evaluate")


def write_report(job: Job, work: WorkDir) -> None:
    """Collect what the stages left; the file lies in the work folder and in every output folder."""
    content = _content(job, work)
    work.write_json(REPORT, content)
    for export in job.recipe.exports:
        folder = output_folder(job, export)
        write_text(folder / REPORT, json.dumps(content, indent=1) + "\n")


def outputs_are_there(job: Job) -> bool:
    """Whether every output folder holds a whole checkpoint of this very recipe."""
    return all(_is_ours(output_folder(job, export), job) for export in job.recipe.exports)


def _is_ours(folder: Path, job: Job) -> bool:
    is_ours = read_marker(folder).get("recipe_fingerprint") == job.recipe.fingerprint() and not has_failed(folder)
    return is_ours and (folder / CONFIG).is_file() and (has_weights(folder) or any(folder.glob("*.gguf")))


def _content(job: Job, work: WorkDir) -> dict[str, Any]:
    numbers = work.read_json(evaluate.RESULT) if job.recipe.evaluation else None
    rotation = work.read_json(rotate.RESULT) or {}
    massive = work.read_json(rotate.MASSIVE) or {}
    recovery = work.read_json(quantize.RESULT) if job.recipe.recovery else None
    outputs = {job.recipe.label(export): str(output_folder(job, export)) for export in job.recipe.exports}
    return {
        "model": job.model_id,
        "recipe": job.recipe.model_dump(mode="json"),
        "device": job.device.type,
        **(numbers or {}),
        **(work.read_json(prove.RESULT) or {} if prove.STAGE.is_needed(job) else {}),
        "outputs": outputs,
        "output_bytes": {name: weight_bytes(Path(folder)) for name, folder in outputs.items()},
        "stages": {name: work.facts(name) for name in _STAGES if work.facts(name)},
        "massive_tokens": {"count": massive.get("count", 0), "tokens": massive.get("tokens", [])},
        "rotation": rotation.get("kind", "none"),
        "loss": rotation.get("loss", []),
        "inner_loss": rotation.get("inner_loss", {}),
        "token_error": rotation.get("token_error", {}),
        **({"recovery": recovery} if recovery else {}),
        **(work.read_json(quantize.EXPERTS) or {} if job.architecture.experts_per_token else {}),
        "clip_ratios": work.read_json(note_clips.RESULT) or {},
    }
