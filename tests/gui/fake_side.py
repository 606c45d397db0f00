"""Every event of good work beside a run: answers to a prompt, a sensitivity pass, a check, an upload."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dfrot_engine import (
    Event,
    GenerationFinished,
    GenerationResult,
    ProofRow,
    Proved,
    RunEnded,
    RunStarted,
    SensitivityFinished,
    SensitivityResult,
    StageAdvanced,
    StageFinished,
    StageStarted,
    TextWritten,
)
from dfrot_engine.events import ServeChecked
from dfrot_engine.generation.types import Answer, Side
from dfrot_engine.recipe import Override, WeightScheme
from dfrot_engine.sensitivity.types import Raisable, SensitivityRow
from dfrot_engine.serve_check.types import ServeCheck

ORIGINAL = "The sky is blue because air scatters short waves of light more than long ones."
QUANTIZED = "The sky is blue because air scatters short light most."
NUM_BLOCKS = 30
KINDS = {
    "self_attn.q_proj": 0.001,
    "self_attn.k_proj": 0.002,
    "self_attn.v_proj": 0.004,
    "self_attn.o_proj": 0.003,
    "mlp.gate_proj": 0.006,
    "mlp.up_proj": 0.008,
    "mlp.down_proj": 0.03,
}
_TOGETHER = (tuple(KINDS)[:3], tuple(KINDS)[3:4], tuple(KINDS)[4:6], tuple(KINDS)[6:])
PAGE = "https://huggingface.co/me/small"


def started(*stages: str) -> RunStarted:
    return RunStarted(
        run_id="0123456789ab",
        recipe_name="",
        model="sample",
        stages=stages,
        num_blocks=0,
        device="cpu",
        output_dir="",
    )


def texts() -> Iterator[Event]:
    yield started("load", "write")
    yield StageStarted(stage="load", steps=3)
    yield StageAdvanced(stage="load", step=2, steps=3, label="Reading the original model")
    yield StageStarted(stage="write", steps=1)
    answers: dict[Side, str] = {"quantized": QUANTIZED, "original": ORIGINAL}
    for at in range(0, len(ORIGINAL), 2):
        for side, text in answers.items():
            if text[at : at + 2]:
                yield TextWritten(side=side, text=text[at : at + 2])
    told = tuple(
        Answer(side=side, text=text, tokens=16, seconds=2.0, has_ended=side == "original")
        for side, text in answers.items()
    )
    yield GenerationFinished(result=GenerationResult(answers=told, used_template=True, together=True))
    yield RunEnded(status="finished", message="Finished.")


def name_of(block: int, linear: str) -> str:
    return f"model.layers.{block}.{linear}"


def sensitivity_result() -> SensitivityResult:
    rows = [
        SensitivityRow(
            block=block, linear=kind, name=name_of(block, kind), kl=kl * (1 + 4 * (block in (0, 29))), bits=4
        )
        for kind, kl in KINDS.items()
        for block in range(NUM_BLOCKS)
    ]
    scheme = WeightScheme(format="int8", group_size=64)
    units = [
        Raisable(
            linears=tuple(name_of(block, kind) for kind in kinds),
            overrides=tuple(Override(linears=name_of(block, kind), weights=scheme) for kind in kinds),
            bits=4 * 1_000 * len(kinds),
        )
        for kinds in reversed(_TOGETHER)
        for block in (0, 29, *range(1, 29))
    ]
    return SensitivityResult(
        model="sample",
        recipe_name="w4a4",
        rows=tuple(sorted(rows, key=lambda row: -row.kl)),
        by_kind=KINDS,
        by_block=(0.0,) * NUM_BLOCKS,
        notes=("Weights were rounded to nearest; a run uses qronos.",),
        tokens=510,
        num_samples=2,
        seq_len=256,
        linears=tuple(KINDS),
        raisable=tuple(units),
        average_bits=4.0,
        num_weights=1_000 * len(rows),
    )


def sensitivity() -> Iterator[Event]:
    yield started("load", "measure")
    yield StageStarted(stage="measure", steps=NUM_BLOCKS)
    for block in range(NUM_BLOCKS):
        yield StageAdvanced(stage="measure", step=block + 1, steps=NUM_BLOCKS, label=f"Block {block + 1} of 30")
    yield SensitivityFinished(result=sensitivity_result())
    yield RunEnded(status="finished", message="Finished.")


def check() -> Iterator[Event]:
    yield Proved(row=ProofRow(check="files", output="compressed-tensors", what="hashes", passed=True))
    yield Proved(
        row=ProofRow(check="tensors", output="compressed-tensors", what="all", note="not done: there is no work folder")
    )
    yield RunEnded(status="finished", message="Checked.")


def broken_check() -> Iterator[Event]:
    row = ProofRow(
        check="files", output="compressed-tensors", what="hashes", passed=False, note="config.json has changed"
    )
    yield Proved(row=row)
    yield RunEnded(status="finished", message="Checked.")


def serve_check(perplexity: float = 21.9) -> Iterator[Event]:
    yield StageAdvanced(stage="serve-check", step=0, steps=4, label="transformers loads the folder")
    for window in range(5):
        yield StageAdvanced(stage="serve-check", step=window, steps=4, label="transformers measures")
    found = ServeCheck(
        runtime="transformers",
        versions={"transformers": "5.23.0"},
        folder="/out",
        export="compressed-tensors",
        dataset="builtin",
        seq_len=512,
        num_windows=4,
        tokens=2_044,
        perplexity=perplexity,
        references={"engine": 21.84},
        compared_with="engine",
        limit=0.02,
        expected="loads",
        reason="4-bit codes are unpacked.",
        load_s=3.0,
        measure_s=9.0,
    )
    yield ServeChecked(result=found)
    yield RunEnded(status="finished" if found.is_within else "failed", message="Measured.")


def far_serve_check() -> Iterator[Event]:
    yield from serve_check(43.68)


def push() -> Iterator[Event]:
    yield StageStarted(stage="push", steps=100)
    for step in range(0, 101, 4):
        yield StageAdvanced(stage="push", step=step, steps=100, label="model.safetensors (98 MB)")
    yield StageFinished(stage="push")
    yield RunEnded(status="finished", message=f"Pushed to {PAGE}.", outputs=(PAGE,))


def refused_push() -> Iterator[Event]:
    yield RunEnded(status="failed", message="You are not signed in to the Hub.", remedy="Run `hf auth login`.")


#: command → (its events when all goes well, and when the program is told to fail)
COMMANDS: dict[str, tuple[Callable[[], Iterator[Event]], Callable[[], Iterator[Event]]]] = {
    "generate": (texts, refused_push),
    "sensitivity": (sensitivity, refused_push),
    "verify": (check, broken_check),
    "push": (push, refused_push),
    "serve-check": (serve_check, far_serve_check),
}
