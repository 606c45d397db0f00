"""Stand-ins for the planner, the Hub and the run, with the answers in plain sight."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PySide6.QtCore import QMimeData, QObject, QPointF, Qt, QUrl, Signal
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget

from dfrot_engine import (
    AccessError,
    DFRotError,
    HubError,
    ModelSummary,
    Output,
    Plan,
    Problem,
    Recipe,
    RunOptions,
    StageEstimate,
)
from dfrot_engine.checkpoint.facts import ModelFacts, ModelFile
from dfrot_engine.checkpoint.hub import HubModel
from dfrot_gui.hub_actions import HubActions, Progress
from dfrot_gui.pages.model_facts import ModelLook
from dfrot_gui.run_model import PastRun
from dfrot_gui.run_state import RunState
from dfrot_gui.widgets.page import ElidedLabel

GIGABYTE = 1_000_000_000
GATED = "meta-llama/Llama-3.2-1B"
UNSUPPORTED = "EleutherAI/gpt-neo-125m"
REMOTE = {"Qwen/Qwen2.5-0.5B", "TinyLlama/TinyLlama-1.1B"}
REMOTE_BYTES = 269_060_552

SUMMARY = ModelSummary(
    id="HuggingFaceTB/SmolLM2-135M",
    architecture="LlamaForCausalLM",
    num_blocks=30,
    hidden_size=576,
    num_heads=9,
    num_kv_heads=3,
    head_size=64,
    intermediate_size=1536,
    vocab_size=49152,
    num_parameters=134_515_008,
    bytes=269_060_552,
    dtype="bfloat16",
    tied=True,
    hadamard_order="576 = 36 · 16",
)
STAGES = (
    StageEstimate(
        stage="calibrate", summary="8 × 1,024 tokens", peak_memory_bytes=9 * 10**8, disk_bytes=10**8, seconds=60
    ),
    StageEstimate(
        stage="rotate", summary="R1 refined, R2 Hadamard", peak_memory_bytes=10**9, disk_bytes=10**6, seconds=90
    ),
    StageEstimate(
        stage="quantize", summary="210 linears, RTN", peak_memory_bytes=2 * 10**9, disk_bytes=10**8, seconds=120
    ),
    StageEstimate(stage="export", summary="compressed-tensors", peak_memory_bytes=10**9, disk_bytes=10**8, seconds=10),
    StageEstimate(
        stage="evaluate", summary="Perplexity on built-in text", peak_memory_bytes=10**9, disk_bytes=0, seconds=60
    ),
)


@dataclass
class FakePlanner:
    """Plans every recipe as the sample model; the problems are those it was given."""

    problems: tuple[Problem, ...] = ()
    asked: list[tuple[Recipe, RunOptions]] = field(default_factory=list)

    def __call__(self, recipe: Recipe, options: RunOptions) -> Plan:
        self.asked.append((recipe, options))
        outputs = (Output(exporter="compressed-tensors", folder=str(options.output_dir), bytes=98 * 10**6),)
        return Plan(model=SUMMARY, stages=STAGES, outputs=outputs, problems=self.problems)


def hub_model(model_id: str, **changes: object) -> HubModel:
    model = HubModel(
        id=model_id,
        architecture="LlamaForCausalLM",
        downloads=1000,
        likes=10,
        num_parameters=135_000_000,
        bytes=270_000_000,
        gated=False,
        private=False,
        downloaded=False,
        license="apache-2.0",
    )
    return replace(model, **changes)  # pyright: ignore[reportArgumentType]


_BILLION = 10**9
MODELS = (
    hub_model("HuggingFaceTB/SmolLM2-135M", downloads=1_200_000, likes=214, downloaded=True, created="2024-10-31"),
    hub_model(GATED, downloads=2_900_000, likes=2100, num_parameters=1_235_814_400, bytes=2_471_628_800, gated=True),
    hub_model("Qwen/Qwen2.5-0.5B", num_parameters=494 * 10**6, bytes=988 * 10**6, architecture="Qwen2ForCausalLM"),
    hub_model(
        "mistralai/Mistral-7B-v0.3",
        num_parameters=7 * _BILLION,
        bytes=14 * _BILLION,
        architecture="MistralForCausalLM",
    ),
    hub_model(
        "TinyLlama/TinyLlama-1.1B", likes=1300, created="2026-05-01", num_parameters=1_100_000_000, bytes=4_400_000_000
    ),
)


class FakeHub:
    """Finds models by words in their id; `gate`, while closed, holds the answers to the queries in `slow` back."""

    def __init__(self) -> None:
        self.error: DFRotError | None = None
        self.queries: list[tuple[str, str | None, int | None]] = []
        self.orders: list[str] = []
        self.gate = threading.Event()
        self.slow: set[str] = set()

    def search(
        self,
        query: str,
        *,
        limit: int = 30,
        family: str | None = None,
        max_parameters: int | None = None,
        order: str = "downloads",
    ) -> Sequence[HubModel]:
        self.queries.append((query, family, max_parameters))
        self.orders.append(order)
        if query in self.slow:
            self.gate.wait(10)
        if self.error is not None:
            raise self.error
        words = query.lower().split()
        return [
            model
            for model in MODELS
            if all(word in model.id.lower() for word in words)
            and (family is None or model.architecture.lower().startswith(family))
            and (max_parameters is None or (model.num_parameters or 0) <= max_parameters)
        ]

    def local(self) -> Sequence[HubModel]:
        return [model for model in MODELS if model.downloaded]


@dataclass
class FakeAccount:
    """Tokens and what the Hub knows; one is accepted."""

    name: str = ""
    deleted: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def sign_in(self, token: str) -> str:
        if token != "hf_alice":
            raise HubError("The Hub does not accept this token.", "Make a new one.")
        self.name = "alice"
        return self.name

    def sign_out(self) -> None:
        self.name = ""

    def delete(self, model: str) -> int:
        self.deleted.append(model)
        return 10**9

    def actions(self, fetch: Callable[[str, str, Progress], object] = lambda *_: None) -> HubActions:
        return HubActions(
            fetch=fetch,
            cached_bytes=lambda _: 10**9,
            delete=self.delete,
            revisions=lambda _: ("main", "v1.0"),
            user=lambda: self.name,
            sign_in=self.sign_in,
            sign_out=self.sign_out,
            page=lambda path: f"https://hub.example/{path}",
        )


def look_at(source: str, revision: str = "main") -> ModelLook:
    """Facts of the sample for every model, but a refusal for the gated one and a problem for the unsupported one."""
    if source == GATED:
        raise AccessError(f"{GATED} is gated.", "Accept its licence on its page, then log in with `hf auth login`.")
    files = (
        ModelFile("model.safetensors", 269_060_552),
        ModelFile("tokenizer.json", 2_104_556),
        ModelFile("config.json", 817),
    )
    facts = ModelFacts(
        id=source,
        revision="93efa2f097d58c2a74874c7e644dbc9b0cee75a2" if revision == "main" else revision,
        config={},
        headers={},
        files=files,
        folder=None,
        download_bytes=REMOTE_BYTES if source in REMOTE else 0,
        license="apache-2.0",
        gated=False,
    )
    problem = Problem(
        field="model.id_or_path",
        severity="error",
        message="The architecture 'gpt_neo' is not supported.",
        remedy="Known architectures: llama, mistral, qwen2, qwen3.",
    )
    is_known = source != UNSUPPORTED
    plan = Plan(
        model=SUMMARY if is_known else None,
        stages=STAGES if is_known else (),
        outputs=(),
        problems=() if is_known else (problem,),
    )
    return ModelLook(facts, plan)


class FakeRuns(QObject):
    """A RunModel without an engine: remembers what it was asked to do."""

    changed = Signal()
    ended = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.state = RunState()
        self.is_active = self.is_following = False
        self.calls: list[str] = []
        self.can_start_again = True
        self.work_dir: Path | None = None

    def start(self, recipe: Recipe, options: RunOptions, plan: Plan | None = None) -> None:
        self.calls.append("start")
        self._be(RunState(status="running"), True)

    def start_again(self) -> None:
        self.calls.append("start again")
        self._be(RunState(status="running"), True)

    def open(self, work_dir: Path) -> None:
        self.calls.append(f"open {work_dir.name}")

    def show_past(self, past: PastRun) -> None:
        self.calls.append(f"show {past.work_dir.name}")
        self.work_dir = past.work_dir
        self._be(past.state, False)

    def stop(self) -> None:
        self.calls.append("stop")
        self._be(RunState(status="stopping"), True)

    def detach(self) -> None:
        self.calls.append("detach")

    def wait(self, timeout_ms: int) -> bool:
        return not self.is_active

    def end(self, status: str) -> None:
        """What the worker says when the engine is gone."""
        self._be(RunState(status=status), False)  # pyright: ignore[reportArgumentType]
        self.ended.emit(self.state)

    def _be(self, state: RunState, is_active: bool) -> None:
        self.state, self.is_active = state, is_active
        self.changed.emit()


class FakeTray:
    """Remembers what was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.clicked: Callable[[], None] = lambda: None

    def show_message(self, title: str, text: str, clicked: Callable[[], None]) -> None:
        self.shown.append((title, text))
        self.clicked = clicked


def assert_uncut(page: QWidget | None) -> None:
    """Every visible label and button has the room its text needs."""
    assert page is not None
    for button in page.findChildren(QAbstractButton):
        if button.isVisible() and button.text():
            assert button.width() >= button.minimumSizeHint().width(), button.text()
    for text in page.findChildren(QLabel):
        if text.isVisible() and text.text() and not text.wordWrap() and not isinstance(text, ElidedLabel):
            assert text.width() >= text.minimumSizeHint().width(), text.text()


def drop(page: QWidget, path: Path) -> None:
    """Drop a file or folder on a page."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    page.dropEvent(event)
