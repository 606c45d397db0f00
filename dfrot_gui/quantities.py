"""Quantities as people read them in the window's language; the engine's own words for them, with its numbers."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import QDateTime, QLocale

from dfrot_engine import units
from dfrot_gui.translation import num, tr

_ABOUT = "about "


def format_bytes(count: float) -> str:
    return num(units.format_bytes(count))


def format_parameters(count: float) -> str:
    return num(units.format_parameters(count))


def format_count(count: int) -> str:
    return num(units.format_count(count))


def about_text(seconds: float) -> str:
    """ "less than a minute", "about 5 min"."""
    text = units.about_text(seconds)
    return (
        tr("about {duration}", duration=text.removeprefix(_ABOUT))
        if text.startswith(_ABOUT)
        else tr("less than a minute")
    )


def when_text(time: datetime) -> str:
    """Day and minute here, as the language writes them in short."""
    local = QDateTime.fromMSecsSinceEpoch(round(time.timestamp() * 1000))
    return QLocale().toString(local, QLocale.FormatType.ShortFormat)
