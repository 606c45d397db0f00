"""The sections of a recipe that name rotations: every field with its range, its title and its help text, once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from dfrot_engine.recipe_section import Section

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
    Literal["hadamard", "random-orthogonal", "from-file"],
    Field(title="Start", description="The rotation that is refined"),
]
StartPath = Annotated[
    str,
    Field(
        title="Start from",
        description="A saved R1: 'library:' and its name in the rotation library, or a .safetensors or .npy file. "
        "Used when the start is from-file",
    ),
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
    start_path: StartPath = ""
    seed: Seed = 0
    steps: Steps = 100
    massive_weight: MassiveWeight = 100.0
    sample_rows: SampleRows = 32_768

    @staticmethod
    def rows_per_step(width: int) -> int:
        """Ordinary rows an iteration looks at, besides all massive ones; 8·D lose next to nothing (table 3)."""
        return max(8_192, 8 * width)


class Descent(Section):
    """Gradient descent on the rounding error that the deployed activation quantizer makes."""

    kind: Literal["descent"] = "descent"
    start: Annotated[
        Literal["hadamard", "random-orthogonal", "householder", "dfrot", "from-file"],
        Field(title="Start", description="The rotation that is refined; DFRot takes a part of the iterations"),
    ] = "hadamard"
    start_path: StartPath = ""
    seed: Seed = 0
    steps: Steps = 300
    batch_rows: BatchRows = 4_096
    massive_weight: MassiveWeight = 10.0
    sample_rows: SampleRows = 32_768
    learning_rate: LearningRate = 0.02


class Whip(Section):
    """Descent on DartQuant's loss Σexp(−|y|), which knows no quantizer (arXiv:2511.04063)."""

    kind: Literal["whip"] = "whip"
    start: Start = "hadamard"
    start_path: StartPath = ""
    seed: Seed = 0
    steps: Steps = 300
    batch_rows: BatchRows = 4_096
    sample_rows: SampleRows = 32_768
    learning_rate: LearningRate = 0.01


class Cayley(Section):
    """SpinQuant's learning of R1 through the whole model, activations rounded (arXiv:2405.16406)."""

    kind: Literal["cayley"] = "cayley"
    start: Start = "hadamard"
    start_path: StartPath = ""
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
        Field(
            title="Rotation file",
            description="'library:' and a name in the rotation library, a .safetensors file with R1, or a .npy file "
            "with one square matrix",
        ),
    ] = ""


R1 = Annotated[
    NoRotation | RandomOrthogonal | Hadamard | Householder | DFRot | Descent | Whip | Cayley | FromFile,
    Field(discriminator="kind"),
]
THROUGH_MODEL = (Cayley,)  # need the whole model's loss
REFINED = (DFRot, Descent, Whip, *THROUGH_MODEL)  # take iterations and report a loss
LEARNED = (Householder, *REFINED)  # need sampled activations

BlockRows = Annotated[
    int, Field(ge=64, le=1_000_000, title="Rows per block", description="Tokens of each block the refinement sees")
]
BlockSize = Annotated[
    Literal[32, 64, 128, 256, 512], Field(title="Block size", description="Channels that are mixed with each other")
]
Permute = Annotated[
    bool,
    Field(
        title="Reorder channels",
        description="Share large channels out over the blocks; folded into the weights, costs nothing at run time",
    ),
]


class HeadDescent(Section):
    """One rotation for each KV head, lowered like R1: o_proj's inputs and, if the KV cache is rounded, the values."""

    kind: Literal["descent"] = "descent"
    seed: Seed = 0
    steps: Steps = 100
    batch_rows: BatchRows = 1_024
    sample_rows: BlockRows = 4_096
    learning_rate: LearningRate = 0.02


class BlockHadamard(Section):
    """A Hadamard matrix with random signs for each block of channels; cheaper at run time than one for all."""

    kind: Literal["block-hadamard"] = "block-hadamard"
    seed: Seed = 0
    block_size: BlockSize = 128
    permute: Permute = True
    sample_rows: BlockRows = 4_096


class BlockDescent(Section):
    """A rotation for each block of channels, lowered like R1, behind a Hadamard transform."""

    kind: Literal["block-descent"] = "block-descent"
    start: Annotated[
        Literal["hadamard", "block-hadamard"],
        Field(
            title="Start",
            description="'hadamard' first mixes all channels by one transform at run time; 'block-hadamard' mixes "
            "inside the blocks only",
        ),
    ] = "hadamard"
    seed: Seed = 0
    block_size: BlockSize = 128
    permute: Permute = False
    steps: Steps = 100
    batch_rows: BatchRows = 1_024
    sample_rows: BlockRows = 4_096
    learning_rate: LearningRate = 0.02


class NoScaling(Section):
    kind: Literal["none"] = "none"


class ScaleSearch(Section):
    """A factor for each of the MLP's channels, moved from up_proj into down_proj; costs nothing at run time."""

    kind: Literal["search"] = "search"
    sample_rows: BlockRows = 1_024


MLPScaling = Annotated[NoScaling | ScaleSearch, Field(discriminator="kind")]
R2 = Annotated[NoRotation | Hadamard | HeadDescent | FromFile, Field(discriminator="kind")]


def _r4_of_switch(value: Any) -> Any:
    """Recipes of earlier versions say true or false."""
    return {"kind": "hadamard" if value else "none"} if isinstance(value, bool) else value


R4 = Annotated[
    Annotated[NoRotation | Hadamard | BlockHadamard | BlockDescent | FromFile, Field(discriminator="kind")],
    BeforeValidator(_r4_of_switch),
]


class RotationPlan(Section):
    r1: Annotated[R1, Field(title="R1, residual stream")] = DFRot()
    r2: Annotated[R2, Field(title="R2, value heads")] = Hadamard()
    r3: Annotated[bool, Field(title="R3, query and key", description="Online; matters for a quantized KV cache")] = (
        False
    )
    r4: Annotated[R4, Field(title="R4, MLP hidden", description="Online; needs a runtime that applies it")] = (
        NoRotation()
    )
    mlp_scaling: Annotated[
        MLPScaling,
        Field(
            title="MLP channels",
            description="Makes large channels of down_proj's input smaller before they are rounded; folded into the "
            "weights",
        ),
    ] = NoScaling()
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

    @property
    def value_rows(self) -> int:
        """Rows of each block that R2 learns from."""
        return self.r2.sample_rows if isinstance(self.r2, HeadDescent) else 0

    @property
    def hidden_rows(self) -> int:
        """Rows of each block that R4, the order of its channels or their scales learn from."""
        scaling = self.mlp_scaling.sample_rows if isinstance(self.mlp_scaling, ScaleSearch) else 0
        if isinstance(self.r4, BlockDescent) or (isinstance(self.r4, BlockHadamard) and self.r4.permute):
            return max(scaling, self.r4.sample_rows)
        return scaling

    @property
    def needs_activations(self) -> bool:
        return bool(self.sample_rows or self.value_rows or self.hidden_rows)

    @property
    def is_learned(self) -> bool:
        """Whether any of the rotations is learned, so that no seed alone brings it back."""
        return isinstance(self.r1, LEARNED) or bool(self.value_rows or self.hidden_rows)
