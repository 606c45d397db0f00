"""The recipes that ship with the app, with the line that says what each is for."""

from __future__ import annotations

from dataclasses import dataclass

from dfrot_engine import Recipe, preset_names
from dfrot_engine.resources import preset_path
from dfrot_gui.translation import mark

_ORDER = ("w4a16", "w8a8", "w4a8", "w4a4", "w4a4-r4", "w4a4kv4-paper")
_TITLES = {"w4a4kv4-paper": mark("W4A4KV4 (paper)")}


@dataclass(frozen=True)
class Preset:
    name: str
    title: str
    description: str
    recipe: Recipe

    def is_like(self, recipe: Recipe) -> bool:
        """Whether a recipe is this preset, whatever its model and name."""
        update = {"model": recipe.model, "name": recipe.name}
        return self.recipe.model_copy(update=update) == recipe


def presets() -> tuple[Preset, ...]:
    """All presets, the mildest first; unknown ones at the end."""
    names = sorted(preset_names(), key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return tuple(
        Preset(name, _TITLES.get(name, name.upper()), _description(name), Recipe.preset(name)) for name in names
    )


def _description(name: str) -> str:
    first = preset_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def summary(recipe: Recipe) -> str:
    """ "W4 A4 KV16 · DFRot": the bits of weights, activations and KV cache, and the rotation."""
    from dfrot_gui.theme import series_label

    schemes = (("W", recipe.weights), ("A", recipe.activations), ("KV", recipe.kv_cache))
    bits = " ".join(f"{letter}{scheme.format.removeprefix('int') if scheme else 16}" for letter, scheme in schemes)
    return f"{bits} · {series_label(recipe.rotation.r1.kind)}"
