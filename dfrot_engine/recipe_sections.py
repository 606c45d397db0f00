"""The sections of a recipe other than its rotations: every field with its range, its title and its help text, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from dfrot_engine.recipe_section import Section

IntFormat = Literal["int2", "int3", "int4", "int5", "int6", "int7", "int8"]
# The window that is usual in the field; longer models are cut to it, so that figures can be compared.
USUAL_WINDOW = 2_048
ClipRatio = Annotated[float, Field(gt=0.0, le=1.0)]


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
