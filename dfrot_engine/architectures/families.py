"""Families of models as people know them, read off the table of architectures."""

from __future__ import annotations

import re

from dfrot_engine.architectures import ARCHITECTURES

#: Names that are not simply a family's first letters.
_SAME = {"ministral": "mistral", "mixtral": "mistral", "olmoe": "olmo"}
_TITLES = {
    "cwm": "CWM",
    "idefics": "Idefics",
    "llava": "LLaVA",
    "olmo": "OLMo",
    "seed": "Seed-OSS",
    "smollm": "SmolLM",
    "smolvlm": "SmolVLM",
    "starcoder": "StarCoder",
}


def family_of(model_type: str) -> str:
    """ "qwen2_moe" → "qwen"."""
    letters = re.split(r"[\d_]", model_type, maxsplit=1)[0]
    return _SAME.get(letters, letters)


def family_title(family: str) -> str:
    return _TITLES.get(family, family.capitalize())


#: Family → the model_types of its members, both in alphabetical order.
FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(one for one in sorted(ARCHITECTURES) if family_of(one) == family)
    for family in sorted({family_of(one) for one in ARCHITECTURES})
}
