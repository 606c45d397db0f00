"""What the program stands on and under which licences, from the metadata of what is installed."""

from __future__ import annotations

import importlib.metadata
import re
from typing import NamedTuple

from dfrot_engine.doctor.packages import PRODUCT, SAMPLE

_LONGEST = 80
_REQUIREMENT = re.compile(r"[\w.-]+")


class Licence(NamedTuple):
    name: str
    version: str
    licence: str


def licences() -> tuple[Licence, ...]:
    """The program, every package it needs, and those that these need, as far as they are installed; by name."""
    found: dict[str, Licence] = {}
    waiting = [PRODUCT, SAMPLE]
    while waiting:
        name = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # for another system, or an extra that is not there
            continue
        found[key] = Licence(distribution.name, distribution.version, _licence(distribution.metadata))
        needs = [line for line in distribution.requires or () if "extra ==" not in line or _is_shipped(name, line)]
        waiting += [match[0] for match in map(_REQUIREMENT.match, needs) if match]
    return tuple(found[key] for key in sorted(found))


def _is_shipped(name: str, requirement: str) -> bool:
    """Our own extras are, where they are installed; the tools of development are not."""
    return name == PRODUCT and re.search(r"extra == ['\"]dev['\"]", requirement) is None


def _licence(metadata: importlib.metadata.PackageMetadata) -> str:
    """The SPDX expression, else the classifiers, else the first line of the text."""
    named = metadata.get_all("Classifier") or []
    classifiers = [one.rpartition("::")[2].strip() for one in named if one.startswith("License ::")]
    expression, text = ((metadata.get_all(field) or [""])[0] for field in ("License-Expression", "License"))
    text = text.strip().partition("\n")[0][:_LONGEST]
    return expression or ", ".join(classifiers) or text or "see its files"
