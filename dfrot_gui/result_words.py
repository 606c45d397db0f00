"""What the result page says: headline numbers, an honest verdict on the rotation, how to load the checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from dfrot_engine import Output, Recipe, Verdict
from dfrot_engine.charts import TokenErrors
from dfrot_engine.nvidia import gpu_capabilities
from dfrot_engine.proof.types import failures
from dfrot_engine.recipe import Export
from dfrot_engine.report_file import weight_bytes
from dfrot_engine.units import format_bytes
from dfrot_engine.verdicts.judge import recipe_verdicts
from dfrot_gui.run_state import RunState
from dfrot_gui.run_words import Kpi, level_text
from dfrot_gui.theme import series_label

_NAMES = {
    "none": "no rotation",
    "random-orthogonal": "a random orthogonal rotation",
    "hadamard": "a random Hadamard rotation",
    "householder": "a Householder rotation",
    "dfrot": "DFRot",
    "descent": "descent",
    "whip": "Whip",
    "cayley": "Cayley",
    "from-file": "the rotation from a file",
}
#: Runtimes of the table that the page offers; those that refuse the files are left out.
SNIPPETS = ("transformers", "vLLM", "llama.cpp")
# Below this, two errors are the same for any practical purpose.
_MEANINGFUL_SHARE = 0.005
_NOTICEABLE_PERPLEXITY_RATIO = 1.2


@dataclass(frozen=True)
class RotationVerdict:
    is_good: bool
    text: str


@dataclass(frozen=True)
class Snippet:
    """Code that loads the checkpoint, and what one should know before running it."""

    title: str
    code: str
    note: str = ""


def headline(state: RunState) -> str:
    """The measured numbers as sentences; "" when nothing was evaluated."""
    sentences = []
    perplexity = state.metric("perplexity")
    if perplexity and perplexity.baseline:
        change = 100 * (perplexity.value / perplexity.baseline - 1)
        verb = "rises" if change > 0 else "falls"
        sentences.append(
            f"Perplexity {verb} from {level_text(perplexity.baseline)} to {level_text(perplexity.value)} "
            f"({_signed(change)} %)."
        )
    agreement = state.metric("top1_agreement")
    if agreement:
        sentences.append(f"The quantized model keeps {100 * agreement.value:.1f} % of the original's top-1 choices.")
    for row in failures(state.proof)[:1]:
        sentences.append(f"The proof failed: {row.note}. Do not use what was written.")
    if is_lossy(state):
        sentences.append("That is a real loss: more bits, such as W4A8 or W8A8, keep more of the model.")
    return " ".join(sentences)


def is_lossy(state: RunState) -> bool:
    """Whether quantization cost so much that a person would notice."""
    perplexity = state.metric("perplexity")
    return bool(
        perplexity and perplexity.baseline and perplexity.value > _NOTICEABLE_PERPLEXITY_RATIO * perplexity.baseline
    )


def verdict(errors: TokenErrors | None, own: str) -> RotationVerdict | None:
    """Whether the recipe's rotation helped, against the rivals measured on the same tokens; None without rivals."""
    if errors is None or own not in errors.series or len(errors.series) < 2:
        return None
    if own == "none":
        return _verdict_without(errors)
    complaints = [*_no_better(errors, own, "none", "mean"), *_no_better(errors, own, "hadamard", "mean")]
    complaints += [
        *_no_better(errors, own, "none", "massive_mean"),
        *_no_better(errors, own, "hadamard", "massive_mean"),
    ]
    if complaints:
        return RotationVerdict(False, " ".join(complaints))
    gains = []
    for rival, field, what in (
        ("none", "mean", "mean token error"),
        ("hadamard", "massive_mean", "massive tokens' error"),
    ):
        share = _lower_by(errors, own, rival, field)
        if share is not None:
            gains.append(f"the {what} by {100 * share:.0f} % against {_NAMES[rival]}")
    return RotationVerdict(True, f"{series_label(own)} lowers {' and '.join(gains)}.") if gains else None


def _verdict_without(errors: TokenErrors) -> RotationVerdict:
    mean = errors.series["none"].mean
    rival, best = min(((kind, one.mean) for kind, one in errors.series.items()), key=lambda item: item[1])
    if rival == "none":
        return RotationVerdict(
            True, "No rotation was used, and none that was measured would have lowered the mean token error."
        )
    text = f"No rotation was used; {_NAMES.get(rival, rival)} would lower the mean token error"
    return RotationVerdict(False, f"{text} from {mean:.4f} to {best:.4f}.")


def _no_better(errors: TokenErrors, own: str, rival: str, field: str) -> list[str]:
    """A sentence when `own` is not better than the rival in this respect."""
    share = _lower_by(errors, own, rival, field)
    if share is None or share > _MEANINGFUL_SHARE:
        return []
    mine, other = (getattr(errors.series[kind], field) for kind in (own, rival))
    what = "The mean token error" if field == "mean" else "The massive tokens' error"
    return [f"{what} is no lower than with {_NAMES[rival]}: {mine:.4f} against {other:.4f}."]


def _lower_by(errors: TokenErrors, own: str, rival: str, field: str) -> float | None:
    """By which share `own`'s error is lower than the rival's; None when there is nothing to compare."""
    if own == rival or rival not in errors.series:
        return None
    mine, other = (getattr(errors.series[kind], field) for kind in (own, rival))
    if not (math.isfinite(mine) and math.isfinite(other)) or other <= 0:
        return None
    return 1.0 - mine / other


def perplexity_kpi(state: RunState) -> Kpi:
    found = state.metric("perplexity")
    if found is None:
        return Kpi("–", "not evaluated")
    if not found.baseline:
        return Kpi(level_text(found.value), found.dataset)
    change = 100 * (found.value / found.baseline - 1)
    levels = f"{level_text(found.baseline)} → {level_text(found.value)}"
    return Kpi(levels, f"{_signed(change)} %, original → quantized")


def agreement_kpi(state: RunState) -> Kpi:
    agreement, divergence = state.metric("top1_agreement"), state.metric("kl_divergence")
    if agreement is None:
        return Kpi("–", "not evaluated")
    return Kpi(f"{100 * agreement.value:.1f} %", f"KL divergence {divergence.value:.3g} nats" if divergence else "")


def massive_error_kpi(errors: TokenErrors | None, own: str) -> Kpi:
    if errors is None or own not in errors.series or math.isnan(errors.series[own].massive_mean):
        return Kpi("–", "no massive tokens measured")
    value = errors.series[own].massive_mean
    rival = "hadamard" if own != "hadamard" else "none"
    share = _lower_by(errors, own, rival, "massive_mean")
    if share is None:
        return Kpi(f"{value:.3f}", "mean over massive tokens")
    word = "lower" if share >= 0 else "higher"
    role = "good" if share > _MEANINGFUL_SHARE else "bad" if share < -_MEANINGFUL_SHARE else "small"
    return Kpi(f"{value:.3f}", f"{100 * abs(share):.0f} % {word} than {series_label(rival)}", role)


def size_kpi(state: RunState, original_bytes: int) -> Kpi:
    """Bytes of the weights that were written, all outputs together."""
    written = sum(weight_bytes(Path(folder)) for folder in state.outputs)
    if not written:
        return Kpi("–", "nothing written")
    files = f"{len(state.outputs)} folders" if len(state.outputs) > 1 else "weights on disk"
    return Kpi(format_bytes(written), f"{format_bytes(original_bytes)} before" if original_bytes else files)


def snippets(recipe: Recipe | None, folder: str) -> tuple[Snippet, ...]:
    """How users load the checkpoint, by the table of runtimes; empty before there is one."""
    if not folder:
        return ()
    kind = recipe.exports[0].kind if recipe and recipe.exports else Export().kind
    found: dict[str, Verdict] = {}
    for one in recipe_verdicts(recipe or Recipe(), Output(exporter=kind, folder=folder, bytes=0), gpu_capabilities()):
        if one.command and (one.runtime not in found or one.is_this_computer):
            found[one.runtime] = one
    return tuple(Snippet(name, found[name].command, _note(found[name], recipe)) for name in SNIPPETS if name in found)


def _note(verdict: Verdict, recipe: Recipe | None) -> str:
    if recipe is None:
        return ""
    what = verdict.words[:1].upper() + verdict.words[1:]
    return f"{what}. {verdict.full_reason} Known for version {verdict.version}."


def _signed(percent: float) -> str:
    return f"{percent:+.1f}".replace("-", "−")
