"""Writes README.md and its figures into every output folder of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from dfrot_engine.card.figures import draw_figures
from dfrot_engine.card.metadata import base_model, card_data, license_words
from dfrot_engine.card.words import number_table, proof_table, recipe_words, rotation_words, serve_sections
from dfrot_engine.charts import TOKEN_ERROR, TokenErrors
from dfrot_engine.errors import DFRotError
from dfrot_engine.events import BlockQuantized, read_events
from dfrot_engine.job import Job
from dfrot_engine.marker import CARD
from dfrot_engine.plan_types import Output
from dfrot_engine.proof.types import ProofRow
from dfrot_engine.recipe import Recipe
from dfrot_engine.recipe_sections import Export
from dfrot_engine.report_file import read_report
from dfrot_engine.stages.export import output_folder
from dfrot_engine.verdicts.judge import recipe_verdicts
from dfrot_engine.whole_file import write_text
from dfrot_engine.work_dir import WorkDir


def write_cards(job: Job, work: WorkDir) -> None:
    """Behind the report, whose numbers the cards hold."""
    report = read_report(work.root) or {}
    errors, blocks = _token_errors(work), _block_errors(work)
    for export in job.recipe.exports:
        folder = output_folder(job, export)
        figures = draw_figures(folder, errors, blocks)
        write_text(folder / CARD, _card(job, export, folder, report, figures))


def _card(job: Job, export: Export, folder: Path, report: dict[str, Any], figures: dict[str, str]) -> str:
    recipe = public_recipe(job)
    output = Output(exporter=export.kind, folder=f"./{folder.name}", bytes=0)
    rows = [ProofRow.model_validate(row) for row in report.get("proof", ())]
    own = [row for row in rows if row.output in ("", job.recipe.label(export))]
    base = base_model(job.recipe.model, job.model_dir)
    sections = [
        f"# {job.model_id}, {_short(job, export)}",
        "",
        f"Quantized from {f'[{base}](https://huggingface.co/{base})' if base else job.model_id} with dfrot-gui: "
        "rotations that spread large values are folded into the weights, so that they round well. Runtimes need to "
        "know nothing of them.",
        *_section("Recipe", _bullets(recipe_words(recipe))),
        *_section("Rotations", _bullets(rotation_words(recipe, report))),
        *_section("Numbers", number_table(report)),
        *_section("Proof", proof_table(own)),
        *_section("Use", serve_sections(recipe_verdicts(recipe, output, ()))),
        *_section("Figures", _figures(figures)),
        *_section("Limits", _bullets(_limits(job, export, report))),
        *_section("The recipe as a file", ["```toml", recipe.to_toml().strip(), "```"]),
    ]
    return str(ModelCard(f"---\n{card_data(job, export.kind).to_yaml()}\n---\n\n" + "\n".join(sections) + "\n"))


def _short(job: Job, export: Export) -> str:
    schemes = (("W", job.recipe.weights), ("A", job.recipe.activations))
    formats = " ".join(f"{letter}{scheme.format.removeprefix('int')}" for letter, scheme in schemes if scheme)
    return f"{formats} ({export.kind})".strip()


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"## {title}", "", *lines] if lines else []


def _bullets(sentences: list[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]


def _figures(figures: dict[str, str]) -> list[str]:
    return [line for name, words in figures.items() for line in (f"![{words}]({name})", "", f"{words}.", "")]


def _limits(job: Job, export: Export, report: dict[str, Any]) -> list[str]:
    licence = license_words(job)
    sentences = [
        f"The licence is that of the original: {licence}."
        if licence
        else "The licence is that of the original, which its files do not name; look it up before you pass this on.",
        "Everything the original cannot do or should not be used for holds here as well.",
    ]
    if report.get("protocol", {}).get("dataset") == "builtin":
        sentences.append("The built-in text is short: its figures compare recipes on one model, and no papers.")
    kv_cache = job.recipe.kv_cache
    if kv_cache is not None and not (kv_cache.is_static and export.kind == "compressed-tensors"):
        sentences.append("The KV cache's format was measured, but does not travel in the files.")
    return sentences


def public_recipe(job: Job) -> Recipe:
    """Without paths of this computer: of files and folders only their names."""
    recipe = Recipe.model_validate(_without_paths(job.recipe.model_dump(mode="json")))
    return recipe.with_field("model.id_or_path", base_model(job.recipe.model, job.model_dir) or job.model_id)


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_paths(one) for one in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~", ".")) else value


def _token_errors(work: WorkDir) -> TokenErrors | None:
    try:
        return TokenErrors.load(work.chart(TOKEN_ERROR))
    except DFRotError:  # not every recipe compares
        return None


def _block_errors(work: WorkDir) -> dict[int, float]:
    """Of the blocks as they were rounded last."""
    found: dict[int, float] = {}
    for event in read_events(work.root):
        if isinstance(event, BlockQuantized):
            found[event.block] = event.relative_error["block"]
    return dict(sorted(found.items()))
