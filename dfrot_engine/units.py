"""Numbers as people read them: decimal bytes, rounded counts, durations."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def format_bytes(count: float) -> str:
    """538123456 → "538 MB"; decimal units, as disks and the Hub count."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 999.5 or unit == "TB":
            return f"{value:.1f} {unit}" if unit not in {"B", "kB"} and value < 99.95 else f"{value:.0f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def parse_bytes(value: Any) -> Any:
    """ "4GB", "512 MB", "2GiB" or "1000000" → bytes; what is no text stays as it is.

    Raises:
        ValueError: not a number of bytes.
    """
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", value.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"'{value}' is no number of bytes; write it like 4GB or 500MB")
    return round(float(found[1]) * _UNITS[found[2]])


def format_parameters(count: float) -> str:
    """134515008 → "135 M", 1235814400 → "1.24 B"."""
    if count >= 999.5e6:
        return f"{count / 1e9:.3g} B"
    return f"{count / 1e6:.3g} M" if count >= 1e6 else f"{count:,.0f}"


def format_count(count: int) -> str:
    """2900000 → "2.9M", 2100 → "2.1k"."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.{1 if count < 10 * size else 0}f}{letter}"
    return str(count)


def format_duration(seconds: float) -> str:
    """840 → "14 min", 5400 → "1 h 30 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def duration_text(seconds: float) -> str:
    """ "45 s", "4 min 12 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def about_text(seconds: float) -> str:
    """A duration as exact as an estimate deserves: "less than a minute", "about 5 min", "about 2 h 10 min"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"about {minutes} min"
    tens = round(minutes / 10) * 10
    return f"about {tens // 60} h {tens % 60:02d} min"
