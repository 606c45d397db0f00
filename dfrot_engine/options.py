"""Run options say *where and how*; they never change a result beyond float rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dfrot_engine.memory import available_bytes
from dfrot_engine.units import parse_bytes

# The block that is worked on takes the other half, and so does the disk cache its weights come from.
FREE_SHARE = 0.5


def _bytes_or_auto(value: Any) -> Any:
    return value if value == "auto" else parse_bytes(value)


class RunOptions(BaseModel):
    """Folders, device and limits of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output_dir: Annotated[Path, Field(title="Output folder", description="Where the checkpoint is written")]
    work_dir: Annotated[
        Path | None,
        Field(
            title="Work folder", description="Where a run keeps what it needs to resume; beside the output by default"
        ),
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Field(title="Device", description="auto takes the GPU when there is one")
    ] = "auto"
    threads: Annotated[
        int, Field(ge=0, le=1024, title="CPU threads", description="0 takes every core, or OMP_NUM_THREADS")
    ] = 0
    ranks: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            title="Processes",
            description="How many share the run on this computer; each takes a GPU of its own where GPUs are used",
        ),
    ] = 1
    memory: Annotated[
        Annotated[int, Field(ge=0)] | Literal["auto"],
        BeforeValidator(_bytes_or_auto),
        Field(
            title="Memory for hidden states",
            description="Bytes, or like 4GB; the rest goes to the work folder. auto takes half of what is free",
        ),
    ] = "auto"
    overwrite: Annotated[bool, Field(title="Replace what is in the output folder")] = False
    keep_rotations: Annotated[
        bool,
        Field(title="Add learned rotations to the library", description="They can then be used again by their name"),
    ] = True
    keep_work: Annotated[bool, Field(title="Keep the intermediate files after a finished run")] = False

    @property
    def memory_budget(self) -> int:
        """Bytes of RAM for this process's hidden states, and for blocks that are read ahead or wait to be written."""
        whole = round(FREE_SHARE * available_bytes()) if self.memory == "auto" else self.memory
        return whole // self.ranks

    @property
    def work_path(self) -> Path:
        """The work folder; beside the output, so that finished files move there by a rename."""
        return self.work_dir or self.output_dir.with_name(self.output_dir.name + ".dfrot")

    def flags(self) -> list[str]:
        """What the command line takes them from."""
        flags = ["--output", str(self.output_dir), "--device", self.device, "--threads", str(self.threads)]
        if self.work_dir:
            flags += ["--work", str(self.work_dir)]
        flags += ["--memory", str(self.memory)] + (["--ranks", str(self.ranks)] if self.ranks > 1 else [])
        chosen = {"--overwrite": self.overwrite, "--no-library": not self.keep_rotations, "--keep-work": self.keep_work}
        return flags + [flag for flag, is_chosen in chosen.items() if is_chosen]
