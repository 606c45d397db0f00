"""The recipe says *what*: every field here decides bits of the result; nothing else does."""

from __future__ import annotations

import hashlib
import json
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field, ValidationError, model_validator

from dfrot_engine.errors import RecipeError
from dfrot_engine.formats import with_format, with_granularity
from dfrot_engine.outside_files import read_bytes
from dfrot_engine.recipe_recovery import (
    LEAST_FOR_HOLD_OUT,
    MEASURED_EVERY,
    LoRARecovery,
    Recovery,
    ScaleRecovery,
    held_out_sequences,
)
from dfrot_engine.recipe_rotations import (
    LEARNED,
    R1,
    R2,
    R4,
    REFINED,
    THROUGH_MODEL,
    BlockDescent,
    BlockHadamard,
    Cayley,
    Descent,
    DFRot,
    FromFile,
    Hadamard,
    HeadDescent,
    Householder,
    NoRotation,
    RandomOrthogonal,
    RotationPlan,
    ScaleSearch,
    Whip,
)
from dfrot_engine.recipe_section import Section
from dfrot_engine.recipe_sections import (
    BFLOAT16_FORMATS,
    CALIBRATED,
    FLOAT16_CODES,
    GPTQ,
    RTN,
    ActivationScheme,
    Calibration,
    Evaluation,
    Export,
    KVCacheScheme,
    LinearSchemes,
    ModelSource,
    Override,
    ProofKind,
    Qronos,
    Solver,
    WeightScheme,
)
from dfrot_engine.resources import preset_path, preset_paths
from dfrot_engine.whole_file import write_text

__all__ = [
    "BFLOAT16_FORMATS",
    "CALIBRATED",
    "GPTQ",
    "LEARNED",
    "LEAST_FOR_HOLD_OUT",
    "MEASURED_EVERY",
    "R1",
    "R2",
    "R4",
    "REFINED",
    "RTN",
    "THROUGH_MODEL",
    "ActivationScheme",
    "BlockDescent",
    "BlockHadamard",
    "Calibration",
    "Cayley",
    "DFRot",
    "Descent",
    "Evaluation",
    "Export",
    "FromFile",
    "Hadamard",
    "HeadDescent",
    "Householder",
    "KVCacheScheme",
    "LinearSchemes",
    "LoRARecovery",
    "ModelSource",
    "NoRotation",
    "Override",
    "Qronos",
    "RandomOrthogonal",
    "Recipe",
    "Recovery",
    "RotationPlan",
    "ScaleRecovery",
    "ScaleSearch",
    "Section",
    "WeightScheme",
    "Whip",
    "held_out_sequences",
    "preset_names",
]


_MOST_DOTS = 200  # in one line
#: Fields that bring others along.
_STARTING_ANEW = {"format": with_format, "granularity": with_granularity}


class Recipe(Section):
    """Everything that decides the result of a run."""

    version: Literal[1] = 1
    name: Annotated[str, Field(title="Name", description="The preset it came from, or your own name")] = "custom"
    model: ModelSource = ModelSource()
    calibration: Calibration = Calibration()
    rotation: RotationPlan = RotationPlan()
    weights: Annotated[WeightScheme | None, Field(title="Weights")] = None
    activations: Annotated[ActivationScheme | None, Field(title="Activations")] = None
    kv_cache: Annotated[KVCacheScheme | None, Field(title="KV cache")] = None
    solver: Solver = RTN()
    recovery: Recovery | None = None
    overrides: Annotated[tuple[Override, ...], Field(title="Exceptions")] = ()
    skip: Annotated[
        tuple[str, ...], Field(title="Left alone", description="Globs of linears that stay as they are")
    ] = ("lm_head",)
    exports: Annotated[tuple[Export, ...], Field(title="Files to write")] = (Export(),)
    proof: ProofKind = "full"
    evaluation: Annotated[Evaluation | None, Field(title="Evaluation")] = None

    @model_validator(mode="after")
    def _exports_do_not_collide(self) -> Recipe:
        folders = [Path(export.subfolder) for export in self.exports]
        if len(set(folders)) != len(folders):
            raise ValueError("two exports name the same subfolder")
        return self

    def label(self, export: Export) -> str:
        """What one of the exports is called: its kind, and its subfolder where the kind is written twice."""
        is_alone = sum(one.kind == export.kind for one in self.exports) == 1
        return export.kind if is_alone or not export.subfolder else f"{export.kind} in {export.subfolder}"

    def schemes(self, linear: str) -> LinearSchemes:
        """The schemes of one linear, by its full name; later overrides win over earlier ones."""
        if any(fnmatchcase(linear, pattern) for pattern in self.skip):
            return LinearSchemes(None, None)
        weights, activations = self.weights, self.activations
        for override in self.overrides:
            if fnmatchcase(linear, override.linears):
                weights = override.weights or weights
                activations = override.activations or activations
        return LinearSchemes(weights, activations)

    @property
    def formats(self) -> str:
        """What is rounded to what, in short: "W4 A4 KV4"; "" where nothing is."""
        schemes = (("W", self.weights), ("A", self.activations), ("KV", self.kv_cache))
        return " ".join(f"{letter}{scheme.format.removeprefix('int')}" for letter, scheme in schemes if scheme)

    @property
    def needs_float16(self) -> bool:
        """Whether scales and unquantized tensors have to be float16 for a file that the run writes."""
        return any(export.kind in FLOAT16_CODES for export in self.exports)

    @property
    def needs_bfloat16(self) -> bool:
        """Whether tensors have to be bfloat16, to which runtimes unpack 4-bit floats of a file that the run writes."""
        schemes = (self.weights, *(one.weights for one in self.overrides))
        has_4_bit_floats = any(scheme and scheme.format in BFLOAT16_FORMATS for scheme in schemes)
        return has_4_bit_floats and any(export.kind == "compressed-tensors" for export in self.exports)

    def fingerprint(self) -> str:
        """Hash of every field; 16 hexadecimal characters."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_field(self, field: str, value: Any) -> Recipe:
        """A copy with one dotted field set, for example ``with_field("rotation.r1.kind", "hadamard")``.

        Setting a section's ``kind`` starts that section anew from its defaults; setting a scheme's ``format`` or
        ``granularity`` does so for the fields that the old or the new one brings along.

        Raises:
            RecipeError: there is no such field, or the value does not fit.
        """
        data = self.model_dump(mode="json")
        *parents, last = field.split(".")
        node: Any = data
        for part in parents:
            if isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
                continue
            if not isinstance(node, dict) or part not in node:
                raise _no_field(field)
            if node[part] is None:
                node[part] = {}
            node = node[part]
        if isinstance(node, list) and last.isdigit() and int(last) < len(node):
            node[int(last)] = value
        elif isinstance(node, dict):
            if last == "kind" and node.get("kind") != value:
                node.clear()
            kept = _STARTING_ANEW[last](node, value) if last in _STARTING_ANEW else node | {last: value}
            node.clear()
            node.update(kept)
        else:
            raise _no_field(field)
        return Recipe.parse(data)

    def to_toml(self) -> str:
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def save(self, path: Path) -> None:
        write_text(path, self.to_toml())

    @staticmethod
    def parse(data: dict[str, Any]) -> Recipe:
        """Checked data → recipe.

        Raises:
            RecipeError: the first field that does not fit, with its dotted name.
        """
        try:
            return Recipe.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            # Pydantic puts the tag of a discriminated union into the path; it is not a field.
            field = _without_tags(first["loc"], data)
            raise RecipeError(f"{field or 'recipe'}: {first['msg']}.", "Correct this field.", field) from None

    @staticmethod
    def load(path: Path) -> Recipe:
        """Read a TOML recipe.

        Raises:
            RecipeError: not readable, not TOML, or a field does not fit.
        """
        try:
            text = read_bytes(path).decode()
            if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):  # tomllib takes minutes for long keys
                raise RecipeError(f"{path} has a key without end.", "Compare it with a saved recipe.")
            data = tomllib.loads(text)
        except OSError as error:
            raise RecipeError(f"Cannot read the recipe {path}: {error.strerror}.", "Check the path.") from None
        except RecursionError:
            raise RecipeError(f"{path} is nested too deeply for a recipe.", "Compare it with a saved recipe.") from None
        except ValueError as error:  # not UTF-8, not TOML, or a number without end
            raise RecipeError(f"{path} is not a TOML recipe: {error}.", "Compare it with a saved recipe.") from None
        return Recipe.parse(data)

    @staticmethod
    def preset(name: str) -> Recipe:
        """A recipe that ships with the app, by name.

        Raises:
            RecipeError: no such preset; the message lists them.
        """
        if name not in preset_names():
            raise RecipeError(f"There is no preset '{name}'.", f"Choose one of: {', '.join(preset_names())}.", "name")
        return Recipe.load(preset_path(name))


def preset_names() -> tuple[str, ...]:
    return tuple(path.stem for path in preset_paths())


def _no_field(field: str) -> RecipeError:
    return RecipeError(f"The recipe has no field '{field}'.", "A saved recipe lists them all.", field)


def _without_tags(location: tuple[int | str, ...], data: Any) -> str:
    names: list[str] = []
    node = data
    for part in location:
        if isinstance(node, dict) and isinstance(part, str) and part not in node and part == node.get("kind"):
            continue
        names.append(str(part))
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            node = None
    return ".".join(names)
