"""Sensitivity passes over tiny models, against the whole model run by transformers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.events import Event, RunEnded, SensitivityFinished, StageAdvanced
from dfrot_engine.job import Job
from dfrot_engine.progress import Control
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.recipe import RTN, Recipe
from dfrot_engine.rotations.fold import fold_block, fold_embedding, fold_head
from dfrot_engine.sensitivity.run import run_sensitivity, starting_rotations
from dfrot_engine.sensitivity.settings import short_recipe
from dfrot_engine.sensitivity.types import KV_CACHE, Ask, SensitivityResult
from dfrot_engine.stages.calibrate import calibration_tokens
from dfrot_engine.trial.candidates import trial_options
from tests.engine.runs import tiny_recipe
from tests.tiny_models import save_tiny_model

SHORT = Ask(num_samples=2, seq_len=48)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "tiny", num_hidden_layers=3)


def measure(
    recipe: Recipe, ask: Ask = SHORT, on_event: Callable[[Event, Control], None] = lambda _event, _control: None
) -> tuple[RunEnded, list[Event]]:
    events: list[Event] = []
    control = Control()

    def emit(event: Event) -> None:
        events.append(event)
        on_event(event, control)

    return run_sensitivity(ask, recipe, trial_options("cpu"), emit, control), events


def result_of(recipe: Recipe, ask: Ask = SHORT) -> SensitivityResult:
    ended, events = measure(recipe, ask)
    assert ended.status == "finished", ended
    last = events[-2]
    assert isinstance(last, SensitivityFinished)
    steps = [event for event in events if isinstance(event, StageAdvanced) and event.stage == "measure"]
    assert steps[-1].step == steps[-1].steps
    return last.result


class _RoundedInput(nn.Module):
    def __init__(self, linear: nn.Module, quantize: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.linear, self.quantize = linear, quantize

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.quantize(x))


class _Whole(NamedTuple):
    """What transformers makes of a recipe's model before anything is rounded."""

    job: Job
    tokens_BT: Tensor
    rotated: Any
    logits: Tensor  # of the original


def whole(recipe: Recipe) -> _Whole:
    job = Job.prepare(short_recipe(recipe, SHORT), trial_options("cpu"), "tiny", Path(recipe.model.id_or_path))
    tokens_BT = calibration_tokens(job, Tokenizer.load(job.model_dir))
    original: Any = AutoModelForCausalLM.from_pretrained(job.model_dir, dtype=torch.float32)
    rotated: Any = AutoModelForCausalLM.from_pretrained(job.model_dir, dtype=torch.float32)
    rotations = starting_rotations(job)
    with torch.no_grad():
        logits = original(tokens_BT).logits
        outer, own_head = original.model.embed_tokens.weight, original.lm_head.weight
        gains = dict(original.model.norm.named_parameters())
        head, neutral = fold_head(own_head, gains, job.architecture.final_norm, rotations)
        rotated.lm_head.weight = nn.Parameter(head.float())
        rotated.model.embed_tokens.weight = nn.Parameter(fold_embedding(outer, rotations).float())
        rotated.model.norm.weight.copy_(neutral["weight"])
        for index, block in enumerate(rotated.model.layers):
            block.load_state_dict(fold_block(dict(block.state_dict()), job.architecture, rotations, index))
    return _Whole(job, tokens_BT, rotated, logits)


def directly(base: _Whole, names: set[str]) -> float:
    """KL of transformers' whole rotated model with these linears rounded, against the original."""
    job, rounded = base.job, copy.deepcopy(base.rotated)
    with torch.no_grad():
        for index, block in enumerate(rounded.model.layers):
            for linear in job.architecture.block.linears:
                full_name = job.architecture.block_prefix(index) + linear.name
                if full_name in names:
                    _round(block, linear.name, job, full_name)
        log_p, log_q = rounded(base.tokens_BT).logits[:, :-1].log_softmax(-1), base.logits[:, :-1].log_softmax(-1)
    return float((log_q.exp() * (log_q - log_p)).sum(-1).mean())


def _round(block: nn.Module, name: str, job: Job, full_name: str) -> None:
    schemes, module = job.recipe.schemes(full_name), block.get_submodule(name)
    assert schemes.weights is not None
    assert isinstance(module, nn.Linear)
    quantized = solve_rtn(module.weight, schemes.weights, RTN(), scale_dtype=job.checkpoint_dtype)
    module.weight.copy_(quantized.dequantize())
    if schemes.activations is not None:
        parent, _, last = name.rpartition(".")
        setattr(block.get_submodule(parent), last, _RoundedInput(module, activation_quantizer(schemes.activations)))


@pytest.mark.parametrize("kind", ["none", "hadamard"])
def test_a_row_is_the_whole_models_divergence(model: Path, kind: str) -> None:
    recipe = tiny_recipe(model, rotation__r1__kind=kind)
    result = result_of(recipe)
    assert len(result.rows) == 3 * 7
    assert [row.kl for row in result.rows] == sorted((row.kl for row in result.rows), reverse=True)
    unrounded = whole(recipe)
    for row in result.rows:
        assert row.kl == pytest.approx(directly(unrounded, {row.name}), rel=2e-2, abs=1e-6), row
    assert sum(result.by_block) == pytest.approx(sum(row.kl for row in result.rows))
    assert sum(result.by_kind.values()) == pytest.approx(sum(result.by_block))
    assert result.tokens == 2 * 47


@pytest.mark.parametrize(("name", "kind"), [("llama-tied", "hadamard"), ("granite", "hadamard"), ("gemma2", "none")])
def test_the_check_is_the_whole_rounded_model(name: str, kind: str, tmp_path: Path) -> None:
    recipe = tiny_recipe(save_tiny_model(name, tmp_path / "model"), rotation__r1__kind=kind)
    result = result_of(recipe, Ask(2, 48, bits=5.0, check=True))
    proposal = result.proposal
    assert proposal is not None
    assert proposal.kl_before == pytest.approx(directly(whole(recipe), {row.name for row in result.rows}), rel=1e-2)
    assert proposal.kl_after is not None
    assert proposal.kl_before is not None
    assert proposal.kl_after < proposal.kl_before


def test_a_linear_made_sensitive_is_found_first(tmp_path: Path) -> None:
    folder = save_tiny_model("llama-tied", tmp_path / "model", num_hidden_layers=3)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    # The same model, but every group of this o_proj holds one weight that is far larger than the others.
    tensors["model.layers.1.self_attn.o_proj.weight"][:, ::16] *= 50
    tensors["model.layers.1.self_attn.v_proj.weight"][::16] /= 50
    save_file(tensors, path, metadata={"format": "pt"})
    recipe = tiny_recipe(folder, "w4a16", rotation__r1__kind="none", rotation__r2__kind="none")
    result = result_of(recipe, Ask(2, 48, bits=4.3))
    assert result.rows[0].name == "model.layers.1.self_attn.o_proj"
    assert result.proposal is not None
    assert result.rows[0].name in result.proposal.raised


def test_the_same_pass_gives_the_same_numbers(model: Path) -> None:
    ask = Ask(2, 48, bits=5.5)
    assert result_of(tiny_recipe(model), ask) == result_of(tiny_recipe(model), ask)


@pytest.mark.parametrize("preset", ["w4a4kv4-paper", "w4a8", "w8a8"])
def test_other_recipes(model: Path, preset: str) -> None:
    result = result_of(tiny_recipe(model, preset))
    caches = [row for row in result.rows if row.linear == KV_CACHE]
    assert len(caches) == (3 if preset == "w4a4kv4-paper" else 0)
    assert all(row.kl > 0 and row.bits is None for row in caches)
    assert all(row.kl > 0 for row in result.rows)


def test_learned_rotations_stand_at_a_random_start(model: Path) -> None:
    notes = " ".join(result_of(tiny_recipe(model, rotation__r2={"kind": "descent"})).notes)
    assert "R1 was a random Hadamard" in notes
    assert "R2 and R4 stood at their random start" in notes


def test_the_recipe_is_written(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "recipe.toml"
    recipe = tiny_recipe(model)
    result = result_of(recipe, Ask(2, 48, bits=5.0, out=out))
    assert result.proposal is not None
    assert result.proposal.out == str(out)
    assert result.proposal.kl_after is None
    written = Recipe.load(out)
    assert written.overrides == recipe.overrides + result.proposal.overrides
    assert written.rotation == recipe.rotation
    assert written.calibration == recipe.calibration
    ended, _ = measure(recipe, Ask(2, 48, bits=5.0, out=out))
    assert "exists already" in ended.message


@pytest.mark.parametrize(
    ("ask", "fields", "words"),
    [
        (Ask(bits=9.0), {}, "cannot have 9 bits on average"),
        (Ask(bits=float("nan")), {}, "cannot have nan bits"),
        (Ask(bits=3.5), {}, "below the recipe's own average of 4"),
        (Ask(bits=8.0), {"preset": "w8a8"}, "No linear of this recipe has int4 weights"),
        (Ask(check=True), {}, "--check needs a proposal"),
        (Ask(out=Path("/tmp/x.toml")), {}, "--out needs a proposal"),
        (Ask(bits=5.0, out=Path("/nowhere/at/all.toml")), {}, "lies in a folder that does not exist"),
        (Ask(num_samples=0), {}, "calibration.num_samples"),
        (Ask(seq_len=4_096), {}, "more than the model's 512"),
        (SHORT, {"preset": "w4a16", "weights": None}, "rounds nothing"),
    ],
)
def test_questions_without_an_answer_are_refused(model: Path, ask: Ask, fields: dict[str, Any], words: str) -> None:
    ended, events = measure(tiny_recipe(model, **fields), ask)
    assert ended.status == "failed"
    assert words in ended.message
    assert ended.remedy
    assert events == [ended]


def test_a_stop_lands_in_the_middle(model: Path) -> None:
    def stop(event: Event, control: Control) -> None:
        if isinstance(event, StageAdvanced) and event.stage == "measure" and event.label.startswith("Block 2"):
            control.cancel()

    ended, events = measure(tiny_recipe(model), SHORT, stop)
    assert ended.status == "cancelled"
    assert not any(isinstance(event, SensitivityFinished) for event in events)


def test_searched_clips_are_measured_at_the_whole_range(model: Path) -> None:
    def recipe(ratio: float | str) -> Recipe:
        fields: dict[str, Any] = {"activations__clip_ratio": ratio, "kv_cache__clip_ratio": ratio}
        return tiny_recipe(model, "w4a4kv4-paper", **fields)

    assert result_of(recipe("search")).rows == result_of(recipe(1.0)).rows


def test_floats_are_measured_and_never_raised(model: Path) -> None:
    recipe = tiny_recipe(model, "w8a8", rotation__r1__kind="hadamard").with_field("weights.format", "fp8")
    result = result_of(recipe.with_field("activations.format", "fp8"), Ask(num_samples=1, seq_len=16))
    assert {row.bits for row in result.rows} == {8}
    assert result.raisable == ()
    assert result.average_bits == 8


def test_the_result_says_what_could_get_more_bits(model: Path) -> None:
    result = result_of(tiny_recipe(model, rotation__r1__kind="hadamard"), Ask(num_samples=1, seq_len=16))
    names = [row.name for row in result.rows if row.bits == 4]
    assert sorted(name for unit in result.raisable for name in unit.linears) == sorted(names)
    assert result.linears[:3] == ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    assert 4 <= result.average_bits < 8
