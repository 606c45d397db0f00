"""The accuracy benchmark itself, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import accuracy, rounding
from tests.tiny_models import save_tiny_model

ONLY = ("none", "hadamard", "descent with R2 and R4")


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("DFROT_WIKITEXT2", str(tmp_path / "nowhere"))
    model = save_tiny_model("llama", tmp_path / "model", intermediate_size=128, max_position_embeddings=1024)
    found = str(tmp_path / "found.json")
    small = ["--windows", "2", "--seq-len", "32", "--steps", "10", "--seeds", "1", "--out", found]
    return ["--model", str(model), "--grids", "symmetric", "--only", *ONLY, *small]


def test_measures_and_goes_on(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert accuracy.main(arguments) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found["runs"]) == {f"symmetric/{name}/0" for name in ONLY}
    assert found["original"] > 1
    learned = found["runs"]["symmetric/descent with R2 and R4/0"]
    assert learned["loss_end"] < learned["loss_start"]
    assert "built-in" in found["settings"]["text"]
    assert "| symmetric/hadamard |" in capsys.readouterr().out
    found["runs"]["symmetric/none/0"]["perplexity"] = 123.0
    (tmp_path / "found.json").write_text(json.dumps(found))
    assert accuracy.main(arguments) == 0
    assert json.loads((tmp_path / "found.json").read_text()) == found, "what stands in the file is not measured again"


def test_measures_searched_clips(arguments: list[str], tmp_path: Path) -> None:
    both = ["--grids", "symmetric", "symmetric-searched", "--only", "hadamard"]
    assert accuracy.main([*arguments, *both]) == 0
    runs = json.loads((tmp_path / "found.json").read_text())["runs"]
    whole, searched = (runs[f"{grid}/hadamard/0"]["perplexity"] for grid in ("symmetric", "symmetric-searched"))
    assert searched > 1
    assert searched != whole


def test_compares_solvers(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--what", "rounding", "--only", "hadamard", "descent", "--schemes", "w4a4kv4-paper", "--samples", "8"]
    assert accuracy.main([*arguments, *small]) == 0
    runs = json.loads((tmp_path / "found.json").read_text())["runs"]
    names = {
        f"w4a4kv4-paper/{one}/{solver}/0" for one in ("hadamard", "descent") for solver in ("rtn", "gptq", "qronos")
    }
    assert set(runs) == names
    assert all(one["perplexity"] > 1 and one["kl"] > 0 and 0 < one["top1"] <= 1 for one in runs.values())
    assert runs["w4a4kv4-paper/hadamard/qronos/0"]["kl"] < runs["w4a4kv4-paper/hadamard/rtn/0"]["kl"]
    assert "gap of descent/qronos is" in capsys.readouterr().out


def test_ratios_compare_seeds_that_both_have() -> None:
    names = {"descent/qronos": (2.0, 4.0), "hadamard/rtn": (4.0, 16.0, 10_000.0), "hadamard/gptq": (4.0,)}
    runs = {
        f"w4a4kv4-paper/{name}/{seed}": {"perplexity": one, "kl": 1.0, "top1": 0.5, "rotate_s": 1.0, "round_s": 1.0}
        for name, perplexities in names.items()
        for seed, one in enumerate(perplexities)
    }
    *_, to_nearest, gptq = rounding.table({"original": 1.0, "runs": runs}).splitlines()
    assert to_nearest.endswith("is 0.50 of that of hadamard/rtn, seeds [0, 1]")
    assert gptq.endswith("is 0.50 of that of hadamard/gptq, seeds [0]")
