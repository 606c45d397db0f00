"""Numbers to compare with where report.json has none: the folder loaded here, by transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.evaluation.models import load_checkpoint, logits_of
from dfrot_engine.run_process import use_threads


def reloaded_perplexity(
    folder: Path, windows: Sequence[Sequence[int]], threads: int, *, has_activations: bool = True
) -> float:
    """Perplexity of a folder, on the CPU.

    Args:
        has_activations: whether activations are rounded as the folder says; left alone if not.
    Raises:
        RunError: transformers refuses the folder.
    """
    use_threads(threads)
    model = load_checkpoint(folder, torch.device("cpu"))
    metrics = Metrics()
    tokens_BT = torch.tensor(windows)
    logits = logits_of(model, tokens_BT, rounds=has_activations)
    for window, tokens_T in enumerate(tokens_BT):
        metrics.add(logits(window), tokens_T)
    return metrics.perplexity
