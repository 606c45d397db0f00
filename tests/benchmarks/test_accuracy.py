"""The accuracy benchmark itself, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import accuracy
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
