"""The findings as text that may be shown to anybody: no token, no path of the home folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from dfrot_engine import __version__
from dfrot_engine.doctor.finding import Finding
from dfrot_engine.doctor.hub import TOKEN_NAMES, token_in_file

_HF_TOKEN = re.compile(r"\b(hf|api)_[A-Za-z0-9]{8,}")
_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")


def diagnostics(findings: Iterable[Finding]) -> str:
    """What to put into a report of a fault."""
    return scrubbed("\n".join([f"dfrot {__version__}", *as_lines(findings)])) + "\n"


def as_lines(findings: Iterable[Finding]) -> list[str]:
    """A heading for each group, and below it what was found."""
    lines: list[str] = []
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            lines += ["", group]
        lines.append(f"  {finding.status:8} {finding.name:24} {finding.value}".rstrip())
        lines += [f"{'':11}{'':24} {text}" for text in (finding.note, finding.remedy) if text]
    return lines


def scrubbed(text: str) -> str:
    """The text without tokens, without passwords in addresses, and with "~" for the home folder."""
    tokens = {os.environ.get(name, "").strip() for name in TOKEN_NAMES} | {token_in_file()}
    for token in sorted(filter(None, tokens), key=len, reverse=True):
        text = text.replace(token, "[token]")
    text = _PASSWORD.sub("", _HF_TOKEN.sub("[token]", text))
    homes = {str(Path.home()), os.path.realpath(Path.home())} - {"/"}
    for home in sorted(homes, key=len, reverse=True):
        text = text.replace(home, "~")
    return text
