"""Recovery after rounding: closer to the original, codes untouched, the same bits after a stop and after export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from dfrot_engine.events import BlockQuantized, Event, StageAdvanced
from dfrot_engine.progress import Control
from tests.engine.runs import TOKENS, engine_logits, finished, run_tiny
from tests.engine.stages.recovery import Runs, blocks_of, recipe_of, report_of
from tests.tiny_models import save_tiny_model

RECOVERY: dict[str, Any] = {"recovery__kind": "scales", "recovery__steps": 40, "recovery__learning_rate": 5e-3}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-biased", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def runs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(model, tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    ("preset", "fields"),
    [
        ("w4a4", {}),
        ("w4a16", {}),
        ("w4a4", {"solver__kind": "gptq"}),
        ("w4a4kv4-paper", {"calibration__num_samples": 16}),
    ],
    ids=["w4a4", "w4a16", "gptq", "w4a4kv4-paper"],
)
def test_recovery_brings_the_model_closer(preset: str, fields: dict[str, Any], runs: Runs) -> None:
    output, events = runs.with_events(preset, **fields, **RECOVERY)
    without, recovered = report_of(runs(preset, **fields)), report_of(output)
    assert recovered["kl_divergence"] < 0.9 * without["kl_divergence"]
    assert "recovery" not in without
    errors = list(zip(recovered["recovery"]["before"], recovered["recovery"]["after"], strict=True))
    assert len(errors) == 2
    assert all(0 < after < before for before, after in errors)
    said = [event.recovery for event in events if isinstance(event, BlockQuantized)]
    assert said == [pytest.approx(pair) for pair in errors]


def test_the_first_blocks_codes_are_untouched(runs: Runs) -> None:
    """Nothing is recovered in front of it, so that rounding sees the same."""
    without, recovered = blocks_of(runs())[0], blocks_of(runs(**RECOVERY))[0]
    assert without.keys() == recovered.keys()
    changed = {name for name in without if not torch.equal(without[name], recovered[name])}
    linears = {name.removesuffix(".codes") for name in without if name.endswith(".codes")}
    norms = {"input_layernorm.weight", "post_attention_layernorm.weight"}
    assert len(linears) == 7
    assert changed == {f"{linear}.scale" for linear in linears} | norms
    assert all(without[name].dtype == recovered[name].dtype for name in without)


@pytest.mark.parametrize("name", ["nvfp4", "mxfp4"])
def test_scales_that_are_no_free_floats_stay(name: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama-tied", tmp_path / "tiny", hidden_size=64)
    fields = {"weights__format": name, "activations__format": name, "overrides": [], "exports": []}
    finished(recipe_of(model, **fields), tmp_path / "without")
    finished(recipe_of(model, **fields, **RECOVERY), tmp_path / "with")
    without, recovered = blocks_of(tmp_path / "without")[0], blocks_of(tmp_path / "with")[0]
    changed = {key for key in without if not torch.equal(without[key].float(), recovered[key].float())}
    assert changed == {"input_layernorm.weight", "post_attention_layernorm.weight"}
    assert all(after < before for before, after in zip(*report_of(tmp_path / "with")["recovery"].values(), strict=True))


def test_a_block_without_anything_to_train_stays(tmp_path: Path) -> None:
    model = save_tiny_model("olmo2", tmp_path / "tiny", hidden_size=64, head_dim=16)
    fields = {"rotation__r1__kind": "none", "weights__format": "mxfp4", "overrides": [], "exports": []}
    finished(recipe_of(model, **fields, **RECOVERY), tmp_path / "with")
    recovery = report_of(tmp_path / "with")["recovery"]
    assert recovery["after"] == recovery["before"]


def test_a_block_that_gets_no_better_stays(runs: Runs) -> None:
    fields: dict[str, Any] = RECOVERY | {"recovery__learning_rate": 1.0}
    output = runs(**fields)
    recovery = report_of(output)["recovery"]
    assert recovery["after"] == recovery["before"]
    for without, recovered in zip(blocks_of(runs()), blocks_of(output), strict=True):
        assert all(torch.equal(without[name], recovered[name]) for name in without)


def test_a_cancel_lands_between_two_steps_and_the_run_goes_on_to_the_same_bits(runs: Runs, tmp_path: Path) -> None:
    recipe, straight = recipe_of(runs.model, **RECOVERY), runs(**RECOVERY)
    heard: list[str] = []

    def stop(event: Event, control: Control) -> None:
        if isinstance(event, StageAdvanced) and event.stage == "quantize":
            heard.append(event.label)
            if event.label == "Block 2 of 2, recovery, step 7 of 40":
                control.cancel()

    stopped, _ = run_tiny(recipe, tmp_path / "out", stop, keep_work=True)
    assert stopped.status == "cancelled"
    assert heard[-1] == "Block 2 of 2, recovery, step 7 of 40"
    events = finished(recipe, tmp_path / "out")
    assert [event.block for event in events if isinstance(event, BlockQuantized)] == [1]
    written = [(folder / "model.safetensors").read_bytes() for folder in (straight, tmp_path / "out")]
    assert written[0] == written[1]
    assert report_of(tmp_path / "out")["recovery"] == report_of(straight)["recovery"]


def test_what_is_reloaded_is_what_was_trained(runs: Runs) -> None:
    output = runs("w4a16", **RECOVERY)
    loaded: Any = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
    with torch.no_grad():
        reloaded = loaded(TOKENS).logits
    engine = engine_logits(recipe_of(runs.model, "w4a16", **RECOVERY), runs.model, output)
    assert (reloaded - engine).abs().max() <= 1e-5 * engine.abs().max()


def test_too_few_sequences_to_hold_any_out_still_recover(model: Path, tmp_path: Path) -> None:
    fields: dict[str, Any] = RECOVERY | {"calibration__num_samples": 1}
    finished(recipe_of(model, **fields), tmp_path / "out")
    assert all(after < before for before, after in zip(*report_of(tmp_path / "out")["recovery"].values(), strict=True))
