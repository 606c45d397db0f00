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
from dfrot_engine.verdicts.judge import recipe_verdicts
from dfrot_gui.quantities import format_bytes
from dfrot_gui.run_state import RunState
from dfrot_gui.run_words import Kpi, level_text
from dfrot_gui.theme import series_label
from dfrot_gui.translation import mark, num, tr

RISES = mark("Perplexity rises from {before} to {after} ({change} %).")
FALLS = mark("Perplexity falls from {before} to {after} ({change} %).")
BETTER = mark("No rotation was used; {name} would lower the mean token error from {mean:.4f} to {best:.4f}.")
#: By whether the mean error without rotation and the massive tokens' under Hadamard are known.
GAINS = {
    (True, True): mark(
        "{rotation} lowers the mean token error by {mean:.0f} % against no rotation and the massive tokens' error by "
        "{massive:.0f} % against a random Hadamard rotation."
    ),
    (True, False): mark("{rotation} lowers the mean token error by {mean:.0f} % against no rotation."),
    (False, True): mark(
        "{rotation} lowers the massive tokens' error by {massive:.0f} % against a random Hadamard rotation."
    ),
}
NO_LOWER = {
    ("none", "mean"): mark("The mean token error is no lower than with no rotation: {mine:.4f} against {other:.4f}."),
    ("hadamard", "mean"): mark(
        "The mean token error is no lower than with a random Hadamard rotation: {mine:.4f} against {other:.4f}."
    ),
    ("none", "massive_mean"): mark(
        "The massive tokens' error is no lower than with no rotation: {mine:.4f} against {other:.4f}."
    ),
    ("hadamard", "massive_mean"): mark(
        "The massive tokens' error is no lower than with a random Hadamard rotation: {mine:.4f} against {other:.4f}."
    ),
}
LOWER, HIGHER = mark("{share:.0f} % lower than {rotation}"), mark("{share:.0f} % higher than {rotation}")
_NAMES = {
    "none": mark("no rotation"),
    "random-orthogonal": mark("a random orthogonal rotation"),
    "hadamard": mark("a random Hadamard rotation"),
    "householder": mark("a Householder rotation"),
    "dfrot": "DFRot",
    "descent": mark("descent"),
    "whip": "Whip",
    "cayley": "Cayley",
    "from-file": mark("the rotation from a file"),
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
        template = RISES if change > 0 else FALLS
        sentences.append(
            tr(
                template,
                before=level_text(perplexity.baseline),
                after=level_text(perplexity.value),
                change=_signed(change),
            )
        )
    agreement = state.metric("top1_agreement")
    if agreement:
        sentences.append(
            tr("The quantized model keeps {share:.1f} % of the original's top-1 choices.", share=100 * agreement.value)
        )
    for row in failures(state.proof)[:1]:
        sentences.append(tr("The proof failed: {note}. Do not use what was written.", note=row.note))
    if is_lossy(state):
        sentences.append(tr("That is a real loss: more bits, such as W4A8 or W8A8, keep more of the model."))
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
    shares = _lower_by(errors, own, "none", "mean"), _lower_by(errors, own, "hadamard", "massive_mean")
    template = GAINS.get((shares[0] is not None, shares[1] is not None))
    if template is None:
        return None
    mean, massive = (100 * (share or 0.0) for share in shares)
    return RotationVerdict(True, tr(template, rotation=series_label(own), mean=mean, massive=massive))


def _verdict_without(errors: TokenErrors) -> RotationVerdict:
    mean = errors.series["none"].mean
    rival, best = min(((kind, one.mean) for kind, one in errors.series.items()), key=lambda item: item[1])
    if rival == "none":
        return RotationVerdict(
            True, tr("No rotation was used, and none that was measured would have lowered the mean token error.")
        )
    return RotationVerdict(False, tr(BETTER, name=tr(_NAMES.get(rival, rival)), mean=mean, best=best))


def _no_better(errors: TokenErrors, own: str, rival: str, field: str) -> list[str]:
    """A sentence when `own` is not better than the rival in this respect."""
    share = _lower_by(errors, own, rival, field)
    if share is None or share > _MEANINGFUL_SHARE:
        return []
    mine, other = (getattr(errors.series[kind], field) for kind in (own, rival))
    return [tr(NO_LOWER[rival, field], mine=mine, other=other)]


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
        return Kpi("–", tr("not evaluated"))
    if not found.baseline:
        return Kpi(level_text(found.value), found.dataset)
    change = 100 * (found.value / found.baseline - 1)
    levels = f"{level_text(found.baseline)} → {level_text(found.value)}"
    return Kpi(levels, tr("{change} %, original → quantized", change=_signed(change)))


def agreement_kpi(state: RunState) -> Kpi:
    agreement, divergence = state.metric("top1_agreement"), state.metric("kl_divergence")
    if agreement is None:
        return Kpi("–", tr("not evaluated"))
    return Kpi(
        num(f"{100 * agreement.value:.1f} %"),
        tr("KL divergence {value:.3g} nats", value=divergence.value) if divergence else "",
    )


def massive_error_kpi(errors: TokenErrors | None, own: str) -> Kpi:
    if errors is None or own not in errors.series or math.isnan(errors.series[own].massive_mean):
        return Kpi("–", tr("no massive tokens measured"))
    value = errors.series[own].massive_mean
    rival = "hadamard" if own != "hadamard" else "none"
    share = _lower_by(errors, own, rival, "massive_mean")
    if share is None:
        return Kpi(num(f"{value:.3f}"), tr("mean over massive tokens"))
    template = LOWER if share >= 0 else HIGHER
    role = "good" if share > _MEANINGFUL_SHARE else "bad" if share < -_MEANINGFUL_SHARE else "small"
    return Kpi(
        num(f"{value:.3f}"),
        tr(template, share=100 * abs(share), rotation=series_label(rival)),
        role,
    )


def size_kpi(state: RunState, original_bytes: int) -> Kpi:
    """Bytes of the weights that were written, all outputs together."""
    written = sum(weight_bytes(Path(folder)) for folder in state.outputs)
    if not written:
        return Kpi("–", tr("nothing written"))
    files = tr("%n folders", len(state.outputs)) if len(state.outputs) > 1 else tr("weights on disk")
    return Kpi(
        format_bytes(written), tr("{size} before", size=format_bytes(original_bytes)) if original_bytes else files
    )


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
    words = tr(verdict.words)
    what = words[:1].upper() + words[1:]
    return tr(
        "{what}. {full_reason} Known for version {version}.",
        what=what,
        full_reason=verdict.full_reason,
        version=verdict.version,
    )


def _signed(percent: float) -> str:
    return num(f"{percent:+.1f}").replace("-", "−")
