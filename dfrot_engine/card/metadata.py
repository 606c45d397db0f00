"""The front matter of a model card, which the Hub sorts and links models by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCardData
from huggingface_hub.repocard import metadata_load

from dfrot_engine.checkpoint.source import SAMPLE, SAMPLE_HUB_ID, SAMPLE_LICENSE, is_on_hub
from dfrot_engine.exporters.gguf_table import GGUF_KINDS
from dfrot_engine.job import Job
from dfrot_engine.marker import CARD
from dfrot_engine.recipe import ModelSource

#: Data sets by name → their ids on the Hub.
_HUB_DATASETS = {"wikitext-2": "Salesforce/wikitext", "c4": "allenai/c4"}
#: What is carried over from the card of the original.
_CARRIED = ("license", "license_name", "license_link", "language")


def card_data(job: Job, kind: str) -> ModelCardData:
    """Front matter of one output, its licence and language those of the original where they are known."""
    recipe = job.recipe
    carried = {key: value for key, value in _original(job).items() if key in _CARRIED and value}
    base = base_model(recipe.model, job.model_dir)
    dataset = _HUB_DATASETS.get(recipe.calibration.dataset)
    return ModelCardData(
        base_model=base,
        library_name="gguf" if kind in GGUF_KINDS else "transformers",
        pipeline_tag="image-text-to-text" if job.architecture.tower else "text-generation",
        tags=_tags(job, kind),
        datasets=[dataset] if dataset else None,
        **({"base_model_relation": "quantized"} if base else {}),
        **carried,
    )


def base_model(source: ModelSource, model_dir: Path) -> str | None:
    """The original's id on the Hub; None where nobody knows it."""
    if source.id_or_path == SAMPLE:
        return SAMPLE_HUB_ID
    if is_on_hub(source):
        return source.id_or_path
    # A folder of the Hub's own cache says where it is from.
    cached = next((part for part in model_dir.parts if part.startswith("models--")), None)
    return cached.removeprefix("models--").replace("--", "/", 1) if cached else None


def license_words(job: Job) -> str:
    """The original's licence for people; "" if it is not known."""
    own = _original(job)
    return str(own.get("license_name") or own.get("license") or "")


def _original(job: Job) -> dict[str, Any]:
    if job.recipe.model.id_or_path == SAMPLE:
        return {"license": SAMPLE_LICENSE, "language": ["en"]}
    try:
        found = metadata_load(job.model_dir / CARD)
    except (OSError, ValueError, yaml.YAMLError):  # no card, or one that nobody can read
        return {}
    return found if isinstance(found, dict) else {}


def _tags(job: Job, kind: str) -> list[str]:
    formats = (job.recipe.weights, job.recipe.activations)
    names = [kind, "dfrot", "quantized", "rotation", *(scheme.format for scheme in formats if scheme)]
    return list(dict.fromkeys(names))
