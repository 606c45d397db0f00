"""The sentences and tables of a model card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dfrot_engine.proof.table import shown
from dfrot_engine.proof.types import TITLES, ProofRow
from dfrot_engine.recipe import (
    ActivationScheme,
    KVCacheScheme,
    NoRotation,
    Recipe,
    WeightScheme,
)
from dfrot_engine.rotation_names import rotation_name
from dfrot_engine.verdicts.types import LOADS, Verdict

# Below this share, two errors are the same for any practical purpose.
_MEANINGFUL_SHARE = 0.005
_NOTICEABLE_RATIO = 1.2


def recipe_words(recipe: Recipe) -> list[str]:
    """What was done, a sentence each."""
    sentences = [
        f"Weights: {scheme_words(recipe.weights)}.",
        f"Activations: {scheme_words(recipe.activations)}.",
        f"Rounding of weights: {recipe.solver.kind}.",
        f"Calibration text: {recipe.calibration.dataset}, {recipe.calibration.num_samples:,} sequences of "
        f"{recipe.calibration.seq_len:,} tokens, seed {recipe.calibration.seed}.",
    ]
    if recipe.skip:
        sentences.append(f"Left alone: {', '.join(recipe.skip)}.")
    for one in recipe.overrides:
        parts = [scheme_words(scheme) for scheme in (one.weights, one.activations) if scheme]
        sentences.append(f"Exception for {one.linears}: {', '.join(parts)}.")
    if recipe.recovery is not None:
        sentences.append(f"Recovery of scales and norm gains: {recipe.recovery.steps:,} steps for each block.")
    return sentences


def scheme_words(scheme: WeightScheme | ActivationScheme | KVCacheScheme | None) -> str:
    if scheme is None:
        return "as they are"
    words = [scheme.format, "symmetric" if scheme.symmetric else "asymmetric"]
    if isinstance(scheme, WeightScheme):
        per_group = scheme.granularity == "per-group"
        words.append(f"one scale for {scheme.group_size} columns" if per_group else "one scale for each channel")
    if isinstance(scheme, KVCacheScheme):
        words.append(
            "one measured scale for the keys and one for the values of a block"
            if scheme.is_static
            else "one scale for each token and head"
        )
    return ", ".join(words)


def rotation_words(recipe: Recipe, report: Mapping[str, Any]) -> list[str]:
    """What each rotation is and what it did, a sentence each."""
    plan, loss = recipe.rotation, report.get("loss") or []
    if isinstance(plan.r1, NoRotation):
        sentences = ["R1 (residual stream): none."]
    else:
        gain = f"; refinement took its loss from {loss[0]:.4g} to {loss[-1]:.4g}" if len(loss) > 1 else ""
        sentences = [f"R1 (residual stream): {rotation_name(plan.r1.kind)}, folded into the weights{gain}."]
    if plan.r2.kind != "none":
        sentences.append(f"R2 (heads of the values): {plan.r2.kind}, folded into the weights.")
    if plan.mlp_scaling.kind != "none":
        sentences.append("The MLP's channels are scaled; the factors are folded into the weights.")
    if plan.r3:
        sentences.append("R3 (queries and keys) was measured and is not in these files.")
    return [*sentences, *_verdict_words(report, plan.r1.kind)]


def _verdict_words(report: Mapping[str, Any], own: str) -> Iterable[str]:
    """Whether R1 helped, where the run measured rivals on the same tokens."""
    errors = report.get("token_error", {})
    if own not in errors or own == "none":
        return
    for rival in ("none", "hadamard"):
        if rival in errors and rival != own:
            before, after = errors[rival]["mean"], errors[own]["mean"]
            share = 1 - after / before if before else 0.0
            against = f"against {rotation_name(rival)}, on the same tokens"
            if share > _MEANINGFUL_SHARE:
                yield f"It lowers the mean rounding error of activations by {share:.0%} {against}."
            else:
                yield (
                    f"**It did not help {against}**: the mean rounding error of activations is {after:.4g}, there "
                    f"{before:.4g}."
                )


def number_table(report: Mapping[str, Any]) -> list[str]:
    """Perplexity, divergence and agreement with their protocol; a plain word where much was lost."""
    if "perplexity_quantized" not in report:
        return ["Nothing was measured in this run."]
    protocol, before, after = report["protocol"], report["perplexity_original"], report["perplexity_quantized"]
    lines = [
        "| | original | quantized |",
        "|---|---|---|",
        f"| perplexity | {before:.3f} | {after:.3f} |",
        f"| KL divergence, nats per token | 0 | {report['kl_divergence']:.4f} |",
        f"| same most likely next token | 100 % | {100 * report['top1_agreement']:.1f} % |",
    ]
    for row in report.get("tasks", ()):
        lines.append(f"| {row['task']}, {row['metric']} | {row['original']:.4f} | {row['quantized']:.4f} |")
    lines += [
        "",
        f"{protocol['tokens']:,} tokens of '{protocol['dataset']}' in {protocol['num_windows']} windows of "
        f"{protocol['seq_len']:,} without overlap; measured: {protocol['measured']}.",
    ]
    own = report.get("perplexity_engine")
    if own is not None and f"{own:.3f}" != f"{after:.3f}":
        lines += ["", f"The engine that made these files computes in float32 and has a perplexity of {own:.3f} there."]
    if after > _NOTICEABLE_RATIO * before:
        lines += ["", f"**That is a real loss**: perplexity is {after / before:.2f} times the original's."]
    return lines


def proof_table(rows: Sequence[ProofRow]) -> list[str]:
    if not rows:
        return ["Nothing was proved in this run."]
    lines = ["| checked | of | found | limit | |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (TITLES[row.check], row.output or "model", shown(row.figure), shown(row.limit), row.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *(f"- {row.what}: {row.note}" for row in rows if row.note and row.what)]


def serve_sections(verdicts: Iterable[Verdict]) -> list[str]:
    """How to load it, runtime by runtime; those that refuse or that nobody tried are named."""
    lines: list[str] = []
    others: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for one in verdicts:
        if one.outcome not in LOADS or not one.command:
            others.setdefault(one.runtime, f"{one.runtime}: {one.words} ({one.generation}). {one.full_reason}")
        elif (one.runtime, one.command) not in seen:
            seen.add((one.runtime, one.command))
            words = f"{one.words} {one.bits}".strip()
            lines += [f"**{one.runtime}** on {one.generation}: {words}. {one.full_reason}", ""]
            lines += ["```python" if "\n" in one.command else "```sh", one.command, "```", ""]
    return [*lines, *(f"- {text}" for text in others.values())]
