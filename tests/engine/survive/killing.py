"""Runs that are killed and started again, and what has to be true afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfrot_engine.events import BlockQuantized, StageAdvanced, StageFinished, StageStarted, read_events
from dfrot_engine.whole_file import LEFTOVERS
from tests.warm import Warm

#: Before the first stage has begun, and after the last one is done.
FIRST, LAST = "load", "report"
_OF_THIS_START = ("events.jsonl", "stages.json", "owner.json", "options.json", "lock", "kept.json", "written.json")
_OF_THIS_START += ("block_error.png",)  # drawn from the journal

_COMMON = (
    "proof=quick",
    "calibration.num_samples=4",
    "calibration.seq_len=64",
    "evaluation.seq_len=64",
    "evaluation.num_windows=3",
    "weights.group_size=16",
    "rotation.r1.sample_rows=512",
    "rotation.r1.steps=4",
)
#: What the killed runs do, between them every stage, rotation, solver and exporter that leaves files of its own.
CASES: Mapping[str, tuple[str, ...]] = {
    "qronos": (
        "rotation.r1.kind=dfrot",
        "rotation.r2.kind=descent",
        "solver.kind=qronos",
        "recovery.kind=scales",
        "recovery.steps=3",
        'exports=[{"kind": "compressed-tensors"}, {"kind": "rotated-bf16", "subfolder": "bf16"}]',
    ),
    "gptq": (
        "rotation.r1.kind=descent",
        'rotation.r4={"kind": "block-descent", "block_size": 32, "steps": 3}',
        "solver.kind=gptq",
        "activations.clip_ratio=search",
        "skip=[]",
        "exports=[]",
    ),
}


def arguments(case: str, model: Path, output: Path) -> list[str]:
    """The command; kinds come first, since they make the fields that other settings change."""
    settings = sorted((*CASES[case], *_COMMON), key=lambda setting: ".kind=" not in setting)
    flags = ["--device", "cpu", "--threads", "1", "--keep-work", "--no-library", "--json"]
    return [
        "run",
        "--model",
        str(model),
        "--output",
        str(output),
        *flags,
        *(part for setting in settings for part in ("--set", setting)),
    ]


@dataclass(frozen=True)
class Straight:
    """A run that nobody disturbed.

    Args:
        operations: stage → numbers of the file operations while it went on.
        contents: what is compared with: path → bytes.
    """

    folder: Path
    operations: Mapping[str, Sequence[int]]
    contents: Mapping[str, bytes]


def run_straight(warm: Warm, case: str, model: Path, folder: Path) -> Straight:
    trace = folder / "trace"
    run = Killed(warm, case, model, folder)
    assert not run.start(trace=str(trace))
    operations: dict[str, list[int]] = defaultdict(list)
    stages = list(_stages_by_offset(folder / "out.dfrot"))
    for line in trace.read_text().splitlines():
        number, said, *_ = json.loads(line)
        operations[next(name for end, name in stages if said < end)].append(number)
    return Straight(folder, operations, contents(folder))


def _stages_by_offset(work_dir: Path) -> Iterator[tuple[int, str]]:
    """(bytes of the journal, the stage that went on until it had so many)."""
    lines = (work_dir / "events.jsonl").read_bytes().splitlines(keepends=True)
    offset, stage = 0, FIRST
    for line, event in zip(lines, read_events(work_dir), strict=True):
        if isinstance(event, StageStarted) and event.stage != stage:
            yield offset + 1, stage
            stage = event.stage
        offset += len(line)
        if isinstance(event, StageFinished) and event.stage == "evaluate":
            yield offset, stage
            stage = LAST
    yield offset + 1, stage


def contents(folder: Path, output: str = "out") -> dict[str, bytes]:
    """Every file of the output folder and the results in the work folder, without the times in them."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob(f"{output}/**/*")) + sorted(folder.glob("out.dfrot/**/*")):
        name = path.relative_to(folder).as_posix()
        # Hidden states are numbered by how often they were made since the start.
        if path.is_file() and path.name not in _OF_THIS_START and path.suffix != ".states":
            found[name] = _without_times(path, folder)
    return found


def _without_times(path: Path, folder: Path) -> bytes:
    if path.suffix == ".json" and path.name in ("report.json", "massive.json"):
        content = json.loads(path.read_text())
        content.pop("time", None)
        for stage in content.get("stages", {}).values():
            del stage["seconds"], stage["peak_bytes"]
        return json.dumps(content).replace(str(folder), "").encode()
    if path.suffix == ".safetensors" and "out.dfrot" in path.parts:
        # safetensors writes metadata in the order of a hash table, another one in each process.
        data = path.read_bytes()
        size = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:size])
        header.get("__metadata__", {}).pop("created", None)
        return json.dumps(header, sort_keys=True).encode() + data[size:]
    return path.read_bytes()


def leftovers(folder: Path) -> list[Path]:
    """Files that are no results."""
    return [path for pattern in LEFTOVERS for path in folder.rglob(pattern)]


@dataclass
class Killed:
    """A run in a folder of its own that is killed and started again until it is let end."""

    warm: Warm
    case: str
    model: Path
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.stages: list[str] = []

    def start(self, **order: Any) -> bool:
        """Whether the kill came before the end."""
        before = self._blocks()
        # Its errors are kept, its events not: the journal has them, and no limit of a file's size is for them.
        errors = self.folder / "stderr"
        status = self.warm.run(
            arguments(self.case, self.model, self.folder / "out"),
            Path(os.devnull),
            errors=str(errors),
            watched=str(self.folder),
            **order,
        )
        after = self._blocks()
        again = [name for name, mark in before.items() if after.get(name) != mark]
        assert len(again) <= 1, f"blocks done again: {again}"
        assert status in (0, -signal.SIGKILL, -signal.SIGXFSZ), f"{status}: {errors.read_text()[-3000:]}"
        if status != 0:
            self.stages.append(last_stage(self.folder / "out.dfrot"))
        return status != 0

    def _blocks(self) -> dict[str, tuple[int, int]]:
        """A file that is written again is another file."""
        paths = [path for path in self.folder.glob("out.dfrot/*/*.safetensors") if path.stem.isdigit()]
        return {f"{path.parent.name}/{path.stem}": (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}

    def differences(self, straight: Straight) -> list[str]:
        """Names of files that are not what an undisturbed run leaves."""
        found = contents(self.folder)
        names = sorted(found.keys() | straight.contents.keys())
        return [name for name in names if found.get(name) != straight.contents.get(name)]

    def blocks_said(self) -> list[int]:
        return [event.block for event in read_events(self.folder / "out.dfrot") if isinstance(event, BlockQuantized)]


def last_stage(work_dir: Path) -> str:
    stage = FIRST
    for event in read_events(work_dir):
        if isinstance(event, StageStarted | StageAdvanced):
            stage = event.stage
        elif isinstance(event, StageFinished) and event.stage == "evaluate":
            stage = LAST
    return stage


def points(straight: Straight, number: int, seed: int) -> list[int]:
    """Operations to be killed at, every stage alike."""
    chooser = random.Random(seed)
    share = -(-number // len(straight.operations))
    chosen = [chooser.sample(list(one), min(share, len(one))) for one in straight.operations.values()]
    return sorted(point for part in chosen for point in part)
