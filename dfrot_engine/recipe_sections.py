"""The sections of a recipe other than its rotations: every field with its range, its title and its help text, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from dfrot_engine.formats import FORMATS, fields_of_granularity, fixed_fields, usual_fields
from dfrot_engine.recipe_section import Section

# Rows of FORMATS.
TokenFormat = Literal["int2", "int3", "int4", "int5", "int6", "int7", "int8", "fp8"]
AnyFormat = Literal[TokenFormat, "nvfp4", "mxfp4"]
# The window that is usual in the field; longer models are cut to it, so that figures can be compared.
USUAL_WINDOW = 2_048
ClipRatio = Annotated[float, Field(gt=0.0, le=1.0)] | Literal["search"]


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
            description="'builtin' (the app's own text), 'wikitext-2', 'c4', or a .txt, .jsonl, .parquet or .raw file",
        ),
    ] = "builtin"
    num_samples: Annotated[int, Field(ge=1, le=100_000, title="Samples", description="Sequences that are run")] = 8
    seq_len: Annotated[int, Field(ge=16, le=131_072, title="Length", description="Tokens in each sequence")] = 1024
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, title="Seed", description="Chooses the sequences")] = 0


class Evaluation(Section):
    dataset: Annotated[
        str, Field(title="Data", description="Same names as for calibration; never the same text by default")
    ] = "builtin"
    seq_len: Annotated[
        Annotated[int, Field(ge=16, le=131_072)] | Literal["model"],
        Field(
            title="Window",
            description=f"Tokens in each window; 'model' takes what the model can, at most {USUAL_WINDOW:,}",
        ),
    ] = 1024
    num_windows: Annotated[
        int,
        Field(ge=0, le=100_000, title="Windows", description="Windows that are measured; 0 measures the whole text"),
    ] = 0
    tasks: Annotated[
        tuple[str, ...],
        Field(title="Tasks", description="Of lm-evaluation-harness, by name or as a .yaml file; run before and after"),
    ] = ()
    task_limit: Annotated[
        int, Field(ge=0, le=1_000_000, title="Examples", description="Of each task that are run; 0 runs all")
    ] = 0

    def window(self, max_length: int) -> int:
        """Tokens in a window.

        Args:
            max_length: of the model, in tokens.
        """
        return min(max_length, USUAL_WINDOW) if self.seq_len == "model" else self.seq_len


def _filled(scheme: type[Section], data: Any, fields_of: Callable[[object], dict[str, Any]]) -> Any:
    """What the format brings along, where nothing was said."""
    if not isinstance(data, dict):
        return data
    fields = fields_of(data.get("format"))
    return {name: value for name, value in fields.items() if name in scheme.model_fields} | data


def _check_fixed(scheme: WeightScheme | ActivationScheme | KVCacheScheme) -> None:
    for name, value in fixed_fields(scheme.format).items():
        if getattr(scheme, name, value) != value:
            word = f"'{value}'" if isinstance(value, str) else str(value).lower()
            raise ValueError(f"{name} of {scheme.format} is always {word}; leave it out")


class WeightScheme(Section):
    """Choosing a format is enough: NVFP4 and MXFP4 bring their groups along, FP8 one scale per channel."""

    format: Annotated[AnyFormat, Field(title="Format")] = "int4"
    granularity: Annotated[Literal["per-channel", "per-group"], Field(title="Scale per")] = "per-group"
    group_size: Annotated[int, Field(ge=8, le=65_536, title="Group size", description="Columns that share a scale")] = (
        64
    )
    symmetric: Annotated[bool, Field(title="Symmetric")] = True
    clip_ratio: Annotated[
        ClipRatio,
        Field(title="Clip", description="Share of the range that is kept, or 'search' for the least error per scale"),
    ] = "search"

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        return _filled(cls, data, usual_fields)

    @model_validator(mode="after")
    def _fits_format(self) -> WeightScheme:
        _check_fixed(self)
        return self


class ActivationScheme(Section):
    format: Annotated[AnyFormat, Field(title="Format")] = "int4"
    granularity: Annotated[Literal["per-token", "per-group"], Field(title="Scale per")] = "per-token"
    symmetric: Annotated[bool, Field(title="Symmetric")] = True
    clip_ratio: Annotated[
        ClipRatio,
        Field(
            title="Clip",
            description="Share of the range that is kept; 1.0 is what runtimes compute, 'search' finds one number for "
            "each input on the calibration text",
        ),
    ] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        return _filled(cls, data, fixed_fields)

    @model_validator(mode="after")
    def _fits_format(self) -> ActivationScheme:
        _check_fixed(self)
        if self.granularity == "per-group" and FORMATS[self.format].group_size is None:
            raise ValueError(f"{self.format} activations have one scale per token; leave granularity out")
        return self


class KVCacheScheme(Section):
    format: Annotated[TokenFormat, Field(title="Format")] = "int4"
    granularity: Annotated[
        Literal["per-head", "per-tensor"],
        Field(
            title="Scale per",
            description="'per-head': one for each token and head, computed at run time; 'per-tensor', for fp8: one for "
            "the keys and one for the values of each block, measured on the calibration text and written",
        ),
    ] = "per-head"
    symmetric: Annotated[bool, Field(title="Symmetric")] = False
    clip_ratio: Annotated[
        ClipRatio,
        Field(
            title="Clip",
            description="Share of the range that is kept; 'search' finds one number for keys and one for values "
            "of each block on the calibration text",
        ),
    ] = 0.95

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        data = _filled(cls, data, fixed_fields)
        return fields_of_granularity(data.get("granularity")) | data if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _fits_format(self) -> KVCacheScheme:
        _check_fixed(self)
        if self.is_static and self.format != "fp8":
            raise ValueError(f"{self.format} keys and values have one scale per token and head; leave granularity out")
        if self.is_static and self.clip_ratio == "search":
            raise ValueError("a scale per tensor is measured, not searched; leave clip_ratio out, or give a number")
        return self

    @property
    def is_static(self) -> bool:
        """Whether its scales are numbers from the calibration text, which a checkpoint can hold."""
        return self.granularity == "per-tensor"


class Override(Section):
    """Other schemes for some linears; a scheme left out stays the recipe's."""

    linears: Annotated[str, Field(min_length=1, title="Linears", description="Glob over names, such as '*.down_proj'")]
    weights: WeightScheme | None = None
    activations: ActivationScheme | None = None


class LinearSchemes(NamedTuple):
    """What one linear gets; None leaves that side in the checkpoint's own precision."""

    weights: WeightScheme | None
    activations: ActivationScheme | None


class RTN(Section):
    """Round to nearest, every weight on its own."""

    kind: Literal["rtn"] = "rtn"


ActOrder = Annotated[
    bool,
    Field(title="Largest inputs first", description="Round columns in the order of their inputs' energy; groups stay"),
]


class GPTQ(Section):
    """Round column after column, each error moved onto the columns still open."""

    kind: Literal["gptq"] = "gptq"
    damping: Annotated[
        float, Field(gt=0, lt=1, title="Damping", description="Share of the inputs' mean energy added to each")
    ] = 0.01
    act_order: ActOrder = True


class Qronos(Section):
    """GPTQ of a weight that is first corrected for the rounding in front of it."""

    kind: Literal["qronos"] = "qronos"
    damping: Annotated[
        float, Field(gt=0, lt=1, title="Damping", description="Share of the inputs' largest eigenvalue added to each")
    ] = 1e-3
    act_order: ActOrder = True


Solver = Annotated[RTN | GPTQ | Qronos, Field(discriminator="kind", title="Rounding")]
#: Solvers that look at the calibration tokens.
CALIBRATED = (GPTQ, Qronos)


ProofKind = Annotated[
    Literal["full", "quick", "none"],
    Field(
        title="Proof",
        description="Of what was written: 'full' folds, reloads and lets it write; 'quick' only reads the files back",
    ),
]


ExportKind = Literal["compressed-tensors", "rotated-bf16", "gguf", "gguf-q8_0", "gguf-f16"]
#: Exports that hold the codes of the quantize stage, whose scales are float16 there whatever the model's own dtype.
FLOAT16_CODES = ("gguf",)

#: Formats of weights that runtimes unpack to bfloat16.
BFLOAT16_FORMATS = ("nvfp4", "mxfp4")


class Export(Section):
    kind: Annotated[
        ExportKind,
        Field(
            title="Files",
            description="'gguf' holds this recipe's codes, 'gguf-q8_0' and 'gguf-f16' the rotated model without them",
        ),
    ] = "compressed-tensors"
    subfolder: Annotated[
        str, Field(title="Subfolder", description="Inside the output folder; empty for the folder itself")
    ] = ""

    @model_validator(mode="after")
    def _stays_inside(self) -> Export:
        parts = Path(self.subfolder).parts
        if Path(self.subfolder).is_absolute() or ".." in parts:
            raise ValueError("subfolder must lie inside the output folder")
        return self
