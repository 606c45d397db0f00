"""What is known of a folder before a runtime sees it: kind, recipe, windows, numbers. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfrot_engine.calibration.datasets import evaluation_windows, load_text
from dfrot_engine.checkpoint.json_files import read_json_object
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.errors import DataError, ModelError, RecipeError
from dfrot_engine.plan_outputs import HOLD_CODES
from dfrot_engine.plan_types import Output
from dfrot_engine.recipe import Recipe
from dfrot_engine.report_file import ENGINE, read_report
from dfrot_engine.serve_check.types import Reference
from dfrot_engine.verdicts.judge import recipe_verdicts
from dfrot_engine.verdicts.table import Runtime, facts
from dfrot_engine.verdicts.types import Verdict


@dataclass(frozen=True)
class Text:
    """Which windows: text, their tokens, their number (0 for all there are)."""

    dataset: str = "builtin"
    seq_len: int = 512
    num_windows: int = 4


@dataclass(frozen=True)
class Checkpoint:
    """A folder that was written.

    Args:
        kind: of files, as in a recipe's exports.
        recipe: None without a report.json beside the files, or one that this version does not read.
        text: that report.json measured; None without it.
        known: perplexities on that text by report.json.
    """

    folder: Path
    kind: str
    recipe: Recipe | None
    text: Text | None
    known: dict[Reference, float]

    def verdict(self, runtime: Runtime) -> Verdict | None:
        """What the table says of it; None where the recipe is not known."""
        if self.recipe is None:
            return None
        output = Output(exporter=self.kind, folder=str(self.folder), bytes=0)
        return next(one for one in recipe_verdicts(self.recipe, output, ()) if one.runtime == runtime.name)

    def windows(self, text: Text) -> Sequence[Sequence[int]]:
        """Tokens, by the folder's own tokenizer."""
        try:
            words = load_text(text.dataset, "evaluation")
        except DataError as error:
            message = f"The text that report.json measured cannot be read: {error.message}"
            raise DataError(message, "Name one that can with --dataset.") from None
        tokens = Tokenizer.load(self.folder).encode(words)
        return evaluation_windows(tokens, text.seq_len, text.num_windows).tolist()


def read_checkpoint(folder: Path) -> Checkpoint:
    """Raises:
    ModelError: no checkpoint is there.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no checkpoint (no config.json).", "Give the output folder of a run.")
    report = read_report(folder) or {}
    recipe = _recipe(report)
    kind = _kind(folder, recipe, report)
    protocol = report.get("protocol")
    text = None
    if isinstance(protocol, dict):
        text = Text(str(protocol["dataset"]), int(protocol["seq_len"]), int(protocol["num_windows"]))
    return Checkpoint(folder, kind, recipe, text, _known(report, recipe, kind))


def _recipe(report: dict[str, Any]) -> Recipe | None:
    try:
        return Recipe.parse(report["recipe"])
    except (KeyError, RecipeError):
        return None


def _kind(folder: Path, recipe: Recipe | None, report: dict[str, Any]) -> str:
    if not any(folder.glob("*.gguf")):
        is_packed = "quantization_config" in read_json_object(folder / "config.json")
        return "compressed-tensors" if is_packed else "rotated-bf16"
    wanted = [one for one in recipe.exports if facts().exports[one.kind].files == "gguf"] if recipe else []
    folders = report.get("outputs", {})
    here = [one for one in wanted if recipe and Path(folders.get(recipe.label(one), "")).name == folder.absolute().name]
    return next((one.kind for one in here or wanted), "gguf")


def _known(report: dict[str, Any], recipe: Recipe | None, kind: str) -> dict[Reference, float]:
    """The engine's number is that of the recipe's codes; only of the first export were the files measured."""
    if recipe is None:
        return {}
    value, is_engine = report.get("perplexity_quantized"), report.get("protocol", {}).get("measured") == ENGINE
    of_files = recipe.exports and recipe.exports[0].kind == kind and not is_engine
    numbers: dict[Reference, Any] = {
        "engine": (value if is_engine else report.get("perplexity_engine")) if _is_carried(recipe, kind) else None,
        "reloaded": value if of_files else None,
    }
    return {name: one for name, one in numbers.items() if isinstance(one, int | float)}


def _is_carried(recipe: Recipe, kind: str) -> bool:
    """Whether all that the engine's forward rounds is rounded in or by the files."""
    return kind in HOLD_CODES and (recipe.kv_cache is None or recipe.kv_cache.is_static)
