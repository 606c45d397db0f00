"""Where an adapter lies beside the checkpoint it belongs to. Imports no torch.

Not in the folder itself: transformers takes a folder with an adapter's config for the adapter alone.
"""

from __future__ import annotations

from pathlib import Path

ADAPTER = "adapter"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def has_adapter(folder: Path) -> bool:
    """Whether an adapter of PEFT lies beside the checkpoint in this folder."""
    return (folder / ADAPTER / ADAPTER_WEIGHTS).is_file()
