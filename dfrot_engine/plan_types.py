"""What a plan says: facts of the model, what each stage takes, what comes out, and what is wrong."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from dfrot_engine.errors import RecipeError
from dfrot_engine.verdicts.types import Verdict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(_Frozen):
    """Something about the recipe, the model or this computer; an "error" keeps the run from starting."""

    field: str
    severity: Literal["error", "warning"]
    message: str
    remedy: str = ""

    @staticmethod
    def error(field: str, message: str, remedy: str) -> Problem:
        return Problem(field=field, severity="error", message=message, remedy=remedy)

    @staticmethod
    def warning(field: str, message: str, remedy: str) -> Problem:
        return Problem(field=field, severity="warning", message=message, remedy=remedy)


class ModelSummary(_Frozen):
    """Facts of a model from its headers; bytes are the weights' on disk."""

    id: str
    architecture: str
    num_blocks: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    intermediate_size: int
    vocab_size: int
    num_parameters: int
    bytes: int
    dtype: str
    tied: bool
    hadamard_order: str  # how R1's Hadamard is made, for example "576 = 36 · 16"


class StageEstimate(_Frozen):
    stage: str
    summary: str  # one line for people: "8 × 1,024 tokens"
    peak_memory_bytes: int
    disk_bytes: int
    seconds: float | None


class Output(_Frozen):
    """What an export writes.

    Args:
        exporter: the kind of export.
        label: what it is called beside others; the kind if "".
    """

    exporter: str
    folder: str
    bytes: int
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.exporter


class Plan(_Frozen):
    """What a run would do. `model` is None when the model itself cannot be used (a problem says why)."""

    model: ModelSummary | None
    stages: tuple[StageEstimate, ...]
    outputs: tuple[Output, ...]
    problems: tuple[Problem, ...]
    verdicts: tuple[Verdict, ...] = ()  # will it load? empty where nothing is written

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def raise_problems(self) -> None:
        """Raises:
        RecipeError: the first error, with how many more there are.
        """
        if self.errors:
            first = self.errors[0]
            more = f" ({len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            raise RecipeError(first.message + more, first.remedy, first.field)
