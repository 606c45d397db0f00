"""The table of facts, resources/runtimes.toml, checked while it is read."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dfrot_engine.resources import runtimes_path
from dfrot_engine.verdicts.types import Outcome

Flags = dict[str, str]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Row):
    """One fact; the file says what its fields mean."""

    exports: tuple[str, ...]
    weights: tuple[str, ...] | None = None
    activations: tuple[str, ...] | None = None
    group_sizes: tuple[int, ...] | None = None
    least_group: int | None = None
    weights_symmetric: bool | None = None
    activations_symmetric: bool | None = None
    is_head: bool | None = None
    is_expert: bool | None = None
    is_uneven: bool | None = None
    capabilities: tuple[int, int] | None = None
    flags: str | None = None
    outcome: Outcome
    activation_bits: int | None = None
    weight_bits: int | None = None
    own_scale: bool = False
    reason: str
    how: Literal["ran", "read", "not-tried"]
    source: str


class Check(_Row):
    """How `dfrot serve-check` gets a runtime and starts it.

    Args:
        name: on the command line.
        steps: what pip installs, one call after the other.
        without: what is uninstalled again.
        num_bytes: of the whole environment, about.
        environment: variables it is started with.
        has_float32: whether it can be asked to compute in float32.
    """

    name: str
    steps: tuple[tuple[str, ...], ...]
    without: tuple[str, ...] = ()
    num_bytes: int
    environment: dict[str, str] = {}
    has_float32: bool = False


class CarriedFact(_Row):
    """What a runtime does with something that files carry besides their linears, on some generations of GPUs."""

    capabilities: tuple[int, int] | None = None
    outcome: Outcome
    reason: str
    how: Literal["ran", "read", "not-tried"]
    source: str


class Runtime(_Row):
    """A program that loads checkpoints.

    Args:
        device: "cuda" runtimes are judged for each generation of GPUs.
        ways: flags it can be started with; "" is none.
        commands: kind of files, a folder or one GGUF file → template; it cannot be given what has none.
        kv_flags: format of the KV cache → flag that asks for it.
        check: None where `dfrot serve-check` cannot start it.
        rotation, kv_cache: what becomes of R4, and of a static KV cache; the first that fits, "not-tried" if none does.
    """

    name: str
    version: str
    device: Literal["any", "cuda", "cpu"]
    ways: tuple[str, ...] = ("",)
    commands: Flags
    kv_flags: Flags = {}
    check: Check | None = None
    rotation: tuple[CarriedFact, ...] = ()
    kv_cache: tuple[CarriedFact, ...] = ()
    rules: tuple[Rule, ...]


class ExportFacts(_Row):
    """What an export can hold.

    Args:
        formats: that it writes; none where the export does not say.
        is_quantized: whether the recipe's schemes are in the files.
        holds_kv_scales: whether a static KV cache's are.
        files: what runtimes are given: the folder, or the one GGUF file in it.
    """

    formats: tuple[str, ...] = ()
    is_quantized: bool = True
    holds_kv_scales: bool = False
    files: Literal["folder", "gguf"] = "folder"


class Table(_Row):
    generations: dict[int, str]
    exports: dict[str, ExportFacts]
    runtimes: tuple[Runtime, ...]

    def runtime(self, name: str) -> Runtime:
        return next(one for one in self.runtimes if one.name == name)


@cache
def facts() -> Table:
    """The table."""
    return Table.model_validate(tomllib.loads(runtimes_path().read_text(encoding="utf-8")))
