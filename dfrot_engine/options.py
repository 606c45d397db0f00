"""Run options say *where and how*; they never change a result beyond float rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


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
    threads: Annotated[int, Field(ge=0, le=1024, title="CPU threads", description="0 takes every core")] = 0
    overwrite: Annotated[bool, Field(title="Replace what is in the output folder")] = False
    keep_rotations: Annotated[
        bool,
        Field(title="Add learned rotations to the library", description="They can then be used again by their name"),
    ] = True
    keep_work: Annotated[bool, Field(title="Keep the intermediate files after a finished run")] = False

    @property
    def work_path(self) -> Path:
        """The work folder; beside the output, so that finished files move there by a rename."""
        return self.work_dir or self.output_dir.with_name(self.output_dir.name + ".dfrot")

    def flags(self) -> list[str]:
        """What the command line takes them from."""
        flags = ["--output", str(self.output_dir), "--device", self.device, "--threads", str(self.threads)]
        if self.work_dir:
            flags += ["--work", str(self.work_dir)]
        chosen = {"--overwrite": self.overwrite, "--no-library": not self.keep_rotations, "--keep-work": self.keep_work}
        return flags + [flag for flag, is_chosen in chosen.items() if is_chosen]
