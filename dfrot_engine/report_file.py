"""Reading report.json, and how large what stands beside it is. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REPORT = "report.json"


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report of an output folder or a work folder; None if there is none."""
    try:
        content = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def weight_bytes(folder: Path) -> int:
    """Bytes of the weights in an output folder."""
    return sum(path.stat().st_size for name in ("*.safetensors", "*.gguf") for path in folder.glob(name))
