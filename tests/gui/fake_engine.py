"""An engine that speaks the protocol and computes nothing: a whole run with plausible numbers, or one that misbehaves.

As a program: `python fake_engine.py --behave whole run RECIPE --output DIR [--work DIR] --json`, or `trial RECIPE`,
or one of the commands in `fake_side.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dfrot_engine import (
    BlockQuantized,
    ChartSaved,
    Evaluated,
    Event,
    Logged,
    MassiveToken,
    MassiveTokensFound,
    Measured,
    PauseChanged,
    RunEnded,
    RunOptions,
    RunStarted,
    StageAdvanced,
    StageFinished,
    StageStarted,
    Warned,
)
from dfrot_engine.charts import ACTIVATION_MAP, TOKEN_ERROR
from dfrot_engine.events import JOURNAL
from dfrot_engine.site_charts import CELL_ERRORS, SITE_ERRORS

# As a program this file stands alone; the window's tests import it as a module.
sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.gui.fake_charts import (
    KINDS,
    MASSIVE_POSITIONS,
    NUM_BLOCKS,
    NUM_TOKENS,
    activation_map,
    cell_errors,
    site_errors,
    token_errors,
)
from tests.gui.fake_side import COMMANDS
from tests.gui.fake_trial import whole_trial

STAGES = ("load", "calibrate", "rotate", "quantize", "export", "evaluate")
LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
BEHAVIOURS = ("whole", "slow", "deaf", "crash", "killed", "failed", "refused", "garbage", "flood", "silent")


def massive_tokens() -> MassiveTokensFound:
    sample = activation_map()
    tokens = tuple(
        MassiveToken(
            block=block,
            site="input",
            sample=0,
            position=position,
            text=str(sample.tokens[position]),
            value=float(sample.value[block, position]),
            errors={kind: massive * (1 + 0.02 * block) for kind, (_, massive) in KINDS.items()},
        )
        for position in MASSIVE_POSITIONS
        for block in (4, 12)
    )
    return MassiveTokensFound(count=5 * 25, rows=NUM_BLOCKS * NUM_TOKENS, tokens=tokens)


def whole_run(output_dir: Path, num_steps: int = 100) -> Iterator[Event]:
    """Every event of a good run, in order; the chart files are written apart."""
    yield RunStarted(
        run_id="0123456789abcdef",
        recipe_name="w4a4",
        model="HuggingFaceTB/SmolLM2-135M",
        stages=STAGES,
        num_blocks=NUM_BLOCKS,
        device="cpu",
        output_dir=str(output_dir),
    )
    yield StageStarted(stage="load", steps=1)
    yield Logged(stage="load", message="134,515,008 parameters, float32")
    yield StageFinished(stage="load", seconds=1.2, peak_bytes=300_000_000)
    yield from _blocks("calibrate")
    yield massive_tokens()
    yield ChartSaved(name=ACTIVATION_MAP, path="charts/activation_map.npz")
    yield StageFinished(stage="calibrate", seconds=24.0, peak_bytes=1_400_000_000)
    yield from _rotation(num_steps)
    yield from _quantization()
    yield StageStarted(stage="export", steps=1)
    yield StageAdvanced(stage="export", step=1, steps=1, label="model.safetensors")
    yield StageFinished(stage="export", seconds=1.0)
    yield from _blocks("evaluate")
    yield Evaluated(dataset="builtin", metric="perplexity", value=21.84, baseline=17.65)
    yield Evaluated(dataset="builtin", metric="kl_divergence", value=0.182)
    yield Evaluated(dataset="builtin", metric="top1_agreement", value=0.812)
    yield StageFinished(stage="evaluate", seconds=20.0)
    yield RunEnded(status="finished", outputs=(str(output_dir),))


def _blocks(stage: str) -> Iterator[Event]:
    yield StageStarted(stage=stage, steps=NUM_BLOCKS)
    for block in range(NUM_BLOCKS):
        yield StageAdvanced(stage=stage, step=block + 1, steps=NUM_BLOCKS, label=f"Block {block + 1} of {NUM_BLOCKS}")
        second = block + (0 if stage == "calibrate" else 200)
        yield Measured(name="memory/ram", step=second, value=1.2e9 + 2e7 * block, unit="B")


def _rotation(num_steps: int) -> Iterator[Event]:
    random = np.random.default_rng(0)
    yield StageStarted(stage="rotate", steps=num_steps)
    for step in range(num_steps):
        loss = 0.011 + 0.021 * np.exp(-4 * step / num_steps) * random.uniform(0.97, 1.03)
        yield Measured(name="rotate/loss", step=step, value=float(loss))
        label = f"Refinement {step + 1} of {num_steps}"
        yield StageAdvanced(stage="rotate", step=step + 1, steps=num_steps, label=label)
    for name in (TOKEN_ERROR, SITE_ERRORS, CELL_ERRORS):
        yield ChartSaved(name=name, path=f"charts/{name}.npz")
    yield Warned(message="Row 17 had no direction.", remedy="Nothing to do.")
    yield StageFinished(stage="rotate", seconds=31.0, peak_bytes=1_900_000_000)


def _quantization() -> Iterator[Event]:
    random = np.random.default_rng(1)
    yield StageStarted(stage="quantize", steps=NUM_BLOCKS)
    for block in range(NUM_BLOCKS):
        errors = {name: float(0.06 + 0.01 * k + 0.01 * random.random()) for k, name in enumerate(LINEARS)}
        errors["block"] = 0.04 + 0.004 * block
        yield BlockQuantized(block=block, relative_error=errors, seconds=0.8, bytes=2_000_000)
        label = f"Block {block + 1} of {NUM_BLOCKS}"
        yield StageAdvanced(stage="quantize", step=block + 1, steps=NUM_BLOCKS, label=label)
    yield StageFinished(stage="quantize", seconds=26.0, peak_bytes=2_100_000_000)


def write_work_folder(work_dir: Path, recipe_text: str, options: RunOptions) -> None:
    work_dir.mkdir(parents=True, exist_ok=True)
    (work_dir / "recipe.toml").write_text(recipe_text, encoding="utf-8")
    (work_dir / "options.json").write_text(options.model_dump_json(), encoding="utf-8")
    activation_map().save(work_dir / "charts" / "activation_map.npz")
    token_errors().save(work_dir / "charts" / "token_error.npz")
    site_errors().save(work_dir / "charts" / f"{SITE_ERRORS}.npz")
    cell_errors().save(work_dir / "charts" / f"{CELL_ERRORS}.npz")


def write_output(output_dir: Path) -> None:
    output_dir.mkdir(parents=True, exist_ok=True)
    (output_dir / "model.safetensors").write_bytes(b"\0" * 98_000)
    report = {"perplexity_original": 17.65, "perplexity_quantized": 21.84, "original_bytes": 538_000}
    (output_dir / "report.json").write_text(json.dumps(report), encoding="utf-8")


class FakeEngine:
    """The program: commands in, events out, misbehaving as told."""

    def __init__(self, behave: str, work_dir: Path) -> None:
        self.behave = behave
        self.journal = (work_dir / JOURNAL).open("ab")
        self.is_alone = False
        self.cancelled = threading.Event()
        self.running = threading.Event()
        self.running.set()

    def read_commands(self) -> None:
        for line in sys.stdin:
            command = json.loads(line)["command"]
            if command == "cancel" and self.behave == "deaf":
                continue
            if command == "detach":
                self.is_alone = True
                return
            if command == "cancel":
                self.cancelled.set()
            (self.running.clear if command == "pause" else self.running.set)()
        if self.behave != "deaf":
            self.cancelled.set()
            self.running.set()

    def say(self, event: Event) -> None:
        line = event.model_dump_json().encode() + b"\n"
        self.journal.write(line)
        self.journal.flush()
        with contextlib.suppress(OSError) if self.is_alone else contextlib.nullcontext():
            os.write(1, line)

    def checkpoint(self) -> bool:
        """False when the run is to stop."""
        if not self.running.is_set():
            self.say(PauseChanged(paused=True))
            self.running.wait()
            self.say(PauseChanged(paused=False))
        return not self.cancelled.is_set()

    def run(self, events: Iterator[Event]) -> int:
        for count, event in enumerate(events):
            self.say(event)
            if self.behave in ("slow", "deaf"):
                time.sleep(0.02)
            if not self.checkpoint():
                self.say(RunEnded(status="cancelled", message="Stopped on request.", remedy="Run it again to resume."))
                return 130
            if count == 60:
                self.misbehave()
        return 0

    def misbehave(self) -> None:
        if self.behave == "crash":
            print("Traceback: something broke", file=sys.stderr, flush=True)
            os._exit(7)
        if self.behave == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.behave == "failed":
            end = RunEnded(status="failed", message="The disk is full.", remedy="Make room.", field="output_dir")
            self.say(end)
            sys.exit(1)
        if self.behave == "garbage":
            sys.stdout.buffer.write(b"not json\n\xff\xfe\n\n{}\n")
            sys.stderr.write("noise " * 30_000)


def flood() -> Iterator[Event]:
    for step in range(20_000):
        yield Measured(name="rotate/loss", step=step, value=1.0 / (step + 1))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--behave", choices=BEHAVIOURS, default="whole")
    parser.add_argument("command")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--json", action="store_true")
    args, _ = parser.parse_known_args()
    if args.behave == "refused":
        print("recipe.rotation: no such field", file=sys.stderr)
        return 2
    if args.behave == "silent":
        time.sleep(600)
    if args.command in COMMANDS:
        # What it was told, for tests to look at.
        with (args.recipe.parent / f"{args.command}.args").open("w", encoding="utf-8") as file:
            json.dump(sys.argv[1:], file)
        events = COMMANDS[args.command][args.behave == "failed"]()
        return obey(FakeEngine(args.behave, args.recipe.parent), events)
    if args.command == "trial":
        return obey(FakeEngine(args.behave, args.recipe.parent), whole_trial())
    options = RunOptions(output_dir=args.output, work_dir=args.work)
    shutil.rmtree(options.work_path, ignore_errors=True)
    write_work_folder(options.work_path, args.recipe.read_text(encoding="utf-8"), options)
    events = whole_run(args.output)
    if args.behave == "flood":
        start = next(events)
        events = iter([start, *flood(), *events])
    write_output(args.output)
    return obey(FakeEngine(args.behave, options.work_path), events)


def obey(engine: FakeEngine, events: Iterator[Event]) -> int:
    threading.Thread(target=engine.read_commands, daemon=True).start()
    return engine.run(events)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
