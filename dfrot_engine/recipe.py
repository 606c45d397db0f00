"""The recipe says *what*: every field here decides bits of the result; nothing else does."""

from __future__ import annotations

import hashlib
import json
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dfrot_engine.errors import RecipeError
from dfrot_engine.resources import preset_path, preset_paths

IntFormat = Literal["int2", "int3", "int4", "int5", "int6", "int7", "int8"]
ClipRatio = Annotated[float, Field(gt=0.0, le=1.0)]


class Section(BaseModel):
    """A frozen part of the recipe; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


# --- the model and the text it is calibrated on -----------------------------------------------------------------------


class ModelSource(Section):
    id_or_path: Annotated[
        str,
        Field(
            min_length=1,
            title="Model",
            description="Hub id, folder with safetensors, GGUF file, or 'sample' for the model that ships with the app",
        ),
    ] = "sample"
    revision: Annotated[str, Field(title="Revision", description="Branch, tag or commit on the Hub")] = "main"


class Calibration(Section):
    dataset: Annotated[
        str,
        Field(
            title="Data",
            description="'builtin' (the app's own text), 'wikitext-2' or 'c4', or a .txt, .jsonl or .parquet file",
        ),
    ] = "builtin"
    num_samples: Annotated[int, Field(ge=1, le=100_000, title="Samples", description="Sequences that are run")] = 8
    seq_len: Annotated[int, Field(ge=16, le=131_072, title="Length", description="Tokens in each sequence")] = 1024
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, title="Seed", description="Chooses the sequences")] = 0


class Evaluation(Section):
    dataset: Annotated[
        str, Field(title="Data", description="Same names as for calibration; never the same text by default")
    ] = "builtin"
    seq_len: Annotated[int, Field(ge=16, le=131_072, title="Window", description="Tokens in each window")] = 1024
    num_windows: Annotated[
        int,
        Field(ge=0, le=100_000, title="Windows", description="Windows that are measured; 0 measures the whole text"),
    ] = 0


# --- rotations --------------------------------------------------------------------------------------------------------

Seed = Annotated[int, Field(ge=0, le=2**31 - 1, title="Seed", description="Chooses the random rotation")]


class NoRotation(Section):
    kind: Literal["none"] = "none"


class RandomOrthogonal(Section):
    kind: Literal["random-orthogonal"] = "random-orthogonal"
    seed: Seed = 0


class Hadamard(Section):
    kind: Literal["hadamard"] = "hadamard"
    seed: Seed = 0


class DFRot(Section):
    """Weighted alternating Procrustes refinement (arXiv:2412.00648)."""

    kind: Literal["dfrot"] = "dfrot"
    start: Annotated[
        Literal["hadamard", "random-orthogonal"], Field(title="Start", description="The rotation that is refined")
    ] = "hadamard"
    seed: Seed = 0
    steps: Annotated[int, Field(ge=1, le=10_000, title="Iterations", description="At most this many refinements")] = 100
    massive_weight: Annotated[
        float,
        Field(
            ge=1.0,
            le=1e6,
            title="Massive weight γ",
            description="How much more a massive token's error counts; 50 to 200 is a plateau",
        ),
    ] = 100.0
    sample_rows: Annotated[
        int, Field(ge=256, le=10_000_000, title="Rows", description="Activation rows the refinement learns from")
    ] = 32_768


R1 = Annotated[NoRotation | RandomOrthogonal | Hadamard | DFRot, Field(discriminator="kind")]
R2 = Annotated[NoRotation | Hadamard, Field(discriminator="kind")]


class RotationPlan(Section):
    r1: Annotated[R1, Field(title="R1, residual stream")] = DFRot()
    r2: Annotated[R2, Field(title="R2, value heads")] = Hadamard()
    r3: Annotated[bool, Field(title="R3, query and key", description="Online; matters for a quantized KV cache")] = (
        False
    )
    r4: Annotated[bool, Field(title="R4, MLP hidden", description="Online; needs a runtime that applies it")] = False
    compare: Annotated[
        bool,
        Field(
            title="Also measure NR, RO and RH for comparison",
            description="Errors under no, a random orthogonal and a Hadamard rotation, on the same tokens",
        ),
    ] = True


# --- number formats ---------------------------------------------------------------------------------------------------


class WeightScheme(Section):
    format: Annotated[IntFormat, Field(title="Format")] = "int4"
    granularity: Annotated[Literal["per-channel", "per-group"], Field(title="Scale per")] = "per-group"
    group_size: Annotated[int, Field(ge=8, le=65_536, title="Group size", description="Columns that share a scale")] = (
        64
    )
    symmetric: Annotated[bool, Field(title="Symmetric")] = True
    clip_ratio: Annotated[
        ClipRatio | Literal["search"],
        Field(title="Clip", description="Share of the range that is kept, or 'search' for the least error per scale"),
    ] = "search"


class ActivationScheme(Section):
    format: Annotated[IntFormat, Field(title="Format")] = "int4"
    granularity: Annotated[Literal["per-token"], Field(title="Scale per")] = "per-token"
    symmetric: Annotated[bool, Field(title="Symmetric")] = True
    clip_ratio: Annotated[
        ClipRatio, Field(title="Clip", description="Share of the range that is kept; 1.0 is what runtimes compute")
    ] = 1.0


class KVCacheScheme(Section):
    format: Annotated[IntFormat, Field(title="Format")] = "int4"
    granularity: Annotated[Literal["per-head"], Field(title="Scale per")] = "per-head"
    symmetric: Annotated[bool, Field(title="Symmetric")] = False
    clip_ratio: Annotated[ClipRatio, Field(title="Clip")] = 0.95


class Override(Section):
    """Other schemes for some linears; a scheme left out stays the recipe's."""

    linears: Annotated[str, Field(min_length=1, title="Linears", description="Glob over names, such as '*.down_proj'")]
    weights: WeightScheme | None = None
    activations: ActivationScheme | None = None


class LinearSchemes(NamedTuple):
    """What one linear gets; None leaves that side in the checkpoint's own precision."""

    weights: WeightScheme | None
    activations: ActivationScheme | None


# --- rounding, files --------------------------------------------------------------------------------------------------


class RTN(Section):
    """Round to nearest, every weight on its own."""

    kind: Literal["rtn"] = "rtn"


class Export(Section):
    kind: Annotated[Literal["compressed-tensors", "rotated-bf16"], Field(title="Files")] = "compressed-tensors"
    subfolder: Annotated[
        str, Field(title="Subfolder", description="Inside the output folder; empty for the folder itself")
    ] = ""

    @model_validator(mode="after")
    def _stays_inside(self) -> Export:
        parts = Path(self.subfolder).parts
        if Path(self.subfolder).is_absolute() or ".." in parts:
            raise ValueError("subfolder must lie inside the output folder")
        return self


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
    solver: Annotated[RTN, Field(title="Rounding")] = RTN()
    overrides: Annotated[tuple[Override, ...], Field(title="Exceptions")] = ()
    skip: Annotated[
        tuple[str, ...], Field(title="Left alone", description="Globs of linears that stay as they are")
    ] = ("lm_head",)
    exports: Annotated[tuple[Export, ...], Field(title="Files to write")] = (Export(),)
    evaluation: Annotated[Evaluation | None, Field(title="Evaluation")] = None

    @model_validator(mode="after")
    def _exports_do_not_collide(self) -> Recipe:
        folders = [Path(export.subfolder) for export in self.exports]
        if len(set(folders)) != len(folders):
            raise ValueError("two exports name the same subfolder")
        return self

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

    def fingerprint(self, *fields: str, after: str = "") -> str:
        """Hash of the named fields (all if none) chained to the fingerprint before; hexadecimal, 16 characters."""
        data = self.model_dump(mode="json", include=set(fields) if fields else None)
        text = json.dumps([after, data], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_field(self, field: str, value: Any) -> Recipe:
        """A copy with one dotted field set, for example ``with_field("rotation.r1.kind", "hadamard")``.

        Setting a section's ``kind`` starts that section anew from its defaults.

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
            node[last] = value
        else:
            raise _no_field(field)
        return Recipe.parse(data)

    def to_toml(self) -> str:
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def save(self, path: Path) -> None:
        path.write_text(self.to_toml(), encoding="utf-8")

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
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"Cannot read the recipe {path}: {error.strerror}.", "Check the path.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
    return RecipeError(f"The recipe has no field '{field}'.", "See `dfrot plan --fields` for all of them.", field)


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
