"""What a recipe may train after the weights of a block were rounded."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dfrot_engine.recipe_section import Section


class _Recovery(Section):
    """After the weights of a block were rounded, train something in it towards the original block's output."""

    steps: Annotated[int, Field(ge=1, le=100_000, title="Steps", description="For each block")] = 100
    batch_size: Annotated[int, Field(ge=1, le=1024, title="Batch", description="Sequences of a step")] = 2


class ScaleRecovery(_Recovery):
    """Train scales and norm gains. Codes stay, so that a checkpoint is as large as before and loads like before."""

    kind: Literal["scales"] = "scales"
    learning_rate: Annotated[
        float, Field(gt=0, le=1, title="Learning rate", description="Relative change of a scale in the first step")
    ] = 5e-3


class LoRARecovery(_Recovery):
    """Train low-rank factors beside the rounded linears, which stay as they are; saved as an adapter for PEFT."""

    kind: Literal["lora"] = "lora"
    rank: Annotated[int, Field(ge=1, le=1024, title="Rank", description="Of each linear's factors")] = 16
    learning_rate: Annotated[
        float, Field(gt=0, le=1, title="Learning rate", description="Of Adam, for both factors")
    ] = 2e-3


Recovery = Annotated[ScaleRecovery | LoRARecovery, Field(discriminator="kind", title="Recovery")]


#: Steps of a recovery between two measurements on the sequences held out.
MEASURED_EVERY = 10
#: With fewer sequences a recovery holds none out.
LEAST_FOR_HOLD_OUT = 4


def held_out_sequences(num_samples: int) -> int:
    """Of the calibration's sequences, the last ones, which a recovery measures on and does not train on."""
    return num_samples // 4 if num_samples >= LEAST_FOR_HOLD_OUT else 0
