"""What the help says: `resources/help/` in the window's language, and sections of README.md, which is English."""

from __future__ import annotations

import importlib.metadata
import re

from PySide6.QtCore import QLocale

from dfrot_engine.doctor.packages import PRODUCT
from dfrot_engine.resources import resources_dir

#: Sections of README.md that the help shows as well, by the beginning of their headings.
FROM_README = ("FAQ", "Questions")
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def help_sections() -> dict[str, str]:
    """Heading → Markdown: a section for each page in the order of the pages, the others, then those of README.md."""
    folder = resources_dir() / "help"
    path = folder / f"{QLocale().name().split('_')[0]}.md"
    own = sections_of((path if path.is_file() else folder / "en.md").read_text(encoding="utf-8"))
    return own | {name: text for name, text in sections_of(readme()).items() if name.startswith(FROM_README)}


def sections_of(markdown: str) -> dict[str, str]:
    """Heading → what stands below it, for the headings of the second level."""
    _, *parts = _HEADING.split(markdown)
    return {name.strip(): text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def readme() -> str:
    """README.md: of a checkout, else as it was installed with the program; "" where it is neither."""
    path = resources_dir().parent / "README.md"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    try:
        told = importlib.metadata.distribution(PRODUCT).read_text("METADATA") or ""
    except importlib.metadata.PackageNotFoundError:
        return ""
    return told.partition("\n\n")[2]  # the description follows the head fields
