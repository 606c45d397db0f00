"""Numbers to compare with where report.json has none: the folder loaded here, by transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from dfrot_engine.evaluation.metrics import Metrics
from dfrot_engine.evaluation.models import load_checkpoint, without_bars
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
    if not has_activations:
        leave_activations(model)
    metrics = Metrics()
    for tokens in windows:
        tokens_T = torch.tensor(tokens)
        with torch.no_grad(), without_bars():
            metrics.add(model(tokens_T[None], use_cache=False).logits[0], tokens_T)
    return metrics.perplexity


def leave_activations(model: nn.Module) -> None:
    """Let the linears of a loaded compressed-tensors model read their inputs unrounded."""
    for module in model.modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is not None:
            scheme.input_activations = None
