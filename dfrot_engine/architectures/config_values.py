"""Numbers of a config.json, which somebody else wrote."""

from __future__ import annotations

from typing import Any

from dfrot_engine.errors import ModelError
from dfrot_engine.outside_files import short


def config_int(config: dict[str, Any], key: str, default: int | None = None, largest: int = 10_000_000) -> int:
    """A positive integer of a config.json, distrusting it.

    Raises:
        ModelError: missing, not an integer, or out of range.
    """
    value = config.get(key)
    if value is None:
        value = default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= largest:
        raise ModelError(
            f"config.json: '{key}' is {short(value)}, not a number from 1 to {largest}.",
            "The file is damaged or not a language model's; download it again.",
            "model.id_or_path",
        )
    return value


def config_factor(config: dict[str, Any], key: str) -> float:
    """A positive factor of a config.json, 1 if it is left out.

    Raises:
        ModelError: not a number, or not positive and finite.
    """
    value = config.get(key, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e300:
        raise ModelError(
            f"config.json: '{key}' is {short(value)}, not a positive number.",
            "The file is damaged; download it again.",
            "model.id_or_path",
        )
    return float(value)
