"""The engine's own words that the window shows translated: `tr` takes them as they come; this is the list of them."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from dfrot_engine import Recipe, RunOptions
from dfrot_engine.architectures.families import FAMILIES, family_title
from dfrot_engine.formats import FORMATS
from dfrot_engine.proof.types import TITLES
from dfrot_gui.presets import presets
from dfrot_gui.recipe_form.fields import field_title, sections_of
from dfrot_gui.run_state import CUT_OFF, CUT_OFF_REMEDY

PROOF_WORDS = ("passed", "FAILED", "not done")
#: Bits of activations that a runtime may compute with, whatever the recipe says.
_BITS = sorted({fmt.bits for fmt in FORMATS.values()} | {16})
VERDICT_WORDS = ("loads", "not tried", "refused", "other activations", "16-bit KV cache", "every runtime", "any")


def sources() -> tuple[str, ...]:
    """Titles and help of all recipe fields and options, presets, families, and the words of proofs and verdicts."""
    found = [*_fields(Recipe, set()), *_fields(RunOptions, set())]
    found += [text for preset in presets() for text in (preset.title, preset.description)]
    found += [*map(family_title, FAMILIES), *TITLES.values(), *PROOF_WORDS, *VERDICT_WORDS, CUT_OFF, CUT_OFF_REMEDY]
    found += [f"{bits}-bit activations" for bits in _BITS]
    return tuple(dict.fromkeys(text for text in found if text))


def _fields(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    seen.add(model)
    for name, info in model.model_fields.items():
        yield field_title(name, info)
        yield info.description or ""
        for section in sections_of(info.annotation):
            if section not in seen:
                yield from _fields(section, seen)
