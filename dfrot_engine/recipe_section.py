"""What every section of a recipe is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen part of the recipe; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
