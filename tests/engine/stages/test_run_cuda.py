"""The main path on a GPU: the same recipe gives the same model as on the CPU, but for the order of sums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine.recipe import preset_names
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

pytestmark = pytest.mark.cuda


def measured(model: Path, output: Path, device: str, preset: str, **fields: Any) -> dict[str, Any]:
    ended, _ = run_tiny(tiny_recipe(model, preset, **fields), output, device=device)
    assert ended.status == "finished", ended
    return json.loads((output.with_name(f"{output.name}.dfrot") / "report.json").read_text())


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_measures_what_the_cpu_measures(preset: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama-tied", tmp_path / "model")
    here, there = (measured(model, tmp_path / device, device, preset) for device in ("cpu", "cuda"))
    assert there["perplexity_original"] == pytest.approx(here["perplexity_original"], rel=1e-3)
    # Sums in another order let a refinement end elsewhere, and a code fall on the other side.
    assert there["kl_divergence"] < 1.5 * here["kl_divergence"] + 0.005
    assert abs(there["top1_agreement"] - here["top1_agreement"]) < 0.15


def test_r2_and_r4_are_refined_on_the_gpu(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    fields = {
        "rotation__r2__kind": "descent",
        "rotation__r4__kind": "block-descent",
        "rotation__r4__block_size": 32,
    }
    found = measured(model, tmp_path / "out", "cuda", "w4a4kv4-paper", **fields)
    for before, after in (*found["inner_loss"]["r2"], *found["inner_loss"]["r4"]):
        assert after < before


def test_recovery_runs_on_the_gpu(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    fields: dict[str, Any] = {"recovery__kind": "scales", "recovery__learning_rate": 5e-3}
    without = measured(model, tmp_path / "without", "cuda", "w4a4", calibration__num_samples=8)
    recovered = measured(model, tmp_path / "with", "cuda", "w4a4", calibration__num_samples=8, **fields)
    assert recovered["kl_divergence"] < without["kl_divergence"]
    for before, after in zip(*recovered["recovery"].values(), strict=True):
        assert after <= before
