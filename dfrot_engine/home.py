"""Whether there is a home folder, which settings, caches and lists need. Imports only the standard library."""

from __future__ import annotations

from pathlib import Path

NO_HOME = (
    "Error: there is no home folder: HOME is not set, and the system knows none of this user. "
    "Set HOME to a folder that you may write."
)


def has_home() -> bool:
    """False in a container, say, whose user has a number and no name."""
    try:
        return Path.home().is_absolute()
    except RuntimeError:
        return False
