"""The sections of a recipe: every field with its range, its title and its help text, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

IntFormat = Literal["int2", "int3", "int4", "int5", "int6", "int7", "int8"]
ClipRatio = Annotated[float, Field(gt=0.0, le=1.0)]


class Section(BaseModel):
    """A frozen part of the recipe; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


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


Seed = Annotated[int, Field(ge=0, le=2**31 - 1, title="Seed", description="Chooses the random rotation")]


class NoRotation(Section):
    kind: Literal["none"] = "none"


class RandomOrthogonal(Section):
    kind: Literal["random-orthogonal"] = "random-orthogonal"
    seed: Seed = 0


class Hadamard(Section):
    kind: Literal["hadamard"] = "hadamard"
    seed: Seed = 0


Start = Annotated[
    Literal["hadamard", "random-orthogonal"], Field(title="Start", description="The rotation that is refined")
]
MassiveWeight = Annotated[
    Annotated[float, Field(ge=1.0, le=1e6)] | Literal["auto"],
    Field(
        title="Massive weight γ",
        description="How much more a massive token's error counts; 50 to 200 is a plateau. 'auto' makes them count as "
        "much as all the others together",
    ),
]
SampleRows = Annotated[
    int, Field(ge=256, le=10_000_000, title="Rows", description="Activation rows the refinement learns from")
]
Steps = Annotated[int, Field(ge=1, le=10_000, title="Iterations", description="At most this many refinements")]
BatchRows = Annotated[
    int, Field(ge=64, le=1_000_000, title="Rows per step", description="Drawn anew for each step of the descent")
]
LearningRate = Annotated[
    float, Field(gt=0.0, le=0.5, title="Learning rate", description="Angle of the first step, in radians")
]


class Householder(Section):
    """A reflection that makes the common offset of all tokens a constant, then Hadamard; for asymmetric activations."""

    kind: Literal["householder"] = "householder"
    seed: Seed = 0
    sample_rows: SampleRows = 32_768


class DFRot(Section):
    """Weighted alternating Procrustes refinement (arXiv:2412.00648)."""

    kind: Literal["dfrot"] = "dfrot"
    start: Start = "hadamard"
    seed: Seed = 0
    steps: Steps = 100
    massive_weight: MassiveWeight = 100.0
    sample_rows: SampleRows = 32_768


class Descent(Section):
    """Gradient descent on the rounding error that the deployed activation quantizer makes."""

    kind: Literal["descent"] = "descent"
    start: Annotated[
        Literal["hadamard", "random-orthogonal", "householder", "dfrot"],
        Field(title="Start", description="The rotation that is refined; DFRot takes a part of the iterations"),
    ] = "hadamard"
    seed: Seed = 0
    steps: Steps = 500
    batch_rows: BatchRows = 4_096
    massive_weight: MassiveWeight = 10.0
    sample_rows: SampleRows = 32_768
    learning_rate: LearningRate = 0.02


class Whip(Section):
    """Descent on DartQuant's loss Σexp(−|y|), which knows no quantizer (arXiv:2511.04063)."""

    kind: Literal["whip"] = "whip"
    start: Start = "hadamard"
    seed: Seed = 0
    steps: Steps = 500
    batch_rows: BatchRows = 4_096
    sample_rows: SampleRows = 32_768
    learning_rate: LearningRate = 0.01


class Cayley(Section):
    """SpinQuant's learning of R1 through the whole model, activations rounded (arXiv:2405.16406)."""

    kind: Literal["cayley"] = "cayley"
    start: Start = "hadamard"
    seed: Seed = 0
    loss: Annotated[
        Literal["kl-divergence", "cross-entropy"],
        Field(
            title="Loss",
            description="'kl-divergence' from the original's predictions, or 'cross-entropy' of the text (SpinQuant)",
        ),
    ] = "kl-divergence"
    steps: Steps = 100
    batch_size: Annotated[
        int, Field(ge=1, le=1_024, title="Sequences per step", description="Calibration sequences drawn for each step")
    ] = 1
    learning_rate: LearningRate = 0.05
    sample_rows: Annotated[
        int,
        Field(
            ge=256,
            le=10_000_000,
            title="Rows",
            description="Activation rows for the comparison with other rotations; learning takes whole sequences",
        ),
    ] = 32_768


class FromFile(Section):
    """An orthogonal matrix of your own."""

    kind: Literal["from-file"] = "from-file"
    path: Annotated[
        str,
        Field(title="Rotation file", description="A .safetensors file with R1, or a .npy file with one square matrix"),
    ] = ""


R1 = Annotated[
    NoRotation | RandomOrthogonal | Hadamard | Householder | DFRot | Descent | Whip | Cayley | FromFile,
    Field(discriminator="kind"),
]
THROUGH_MODEL = (Cayley,)  # need the whole model's loss
REFINED = (DFRot, Descent, Whip, *THROUGH_MODEL)  # take iterations and report a loss
LEARNED = (Householder, *REFINED)  # need sampled activations
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

    @property
    def sample_rows(self) -> int:
        """Activation rows that calibration keeps; 0 when no rotation is learned or compared."""
        if isinstance(self.r1, LEARNED):
            return self.r1.sample_rows
        return DFRot().sample_rows if self.compare else 0


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
