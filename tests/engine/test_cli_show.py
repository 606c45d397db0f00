"""`dfrot show` of a model: what its headers say. Finished runs are shown in test_cli."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine.checkpoint.source import SAMPLE_NAME
from dfrot_engine.cli import main
from tests.engine.checkpoint.folders import save_model
from tests.tiny_models import save_tiny_model


def shown(what: Path | str, capsys: pytest.CaptureFixture[str], *, status: int = 0) -> dict[str, Any]:
    assert main(["show", str(what), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_a_model_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(save_model(tmp_path / "tiny"))]) == 0
    printed = capsys.readouterr().out
    for words in (
        "tiny: LlamaForCausalLM (llama)",
        "license apache-2.0",
        "2 blocks × 64; 4 heads of 16 on 2 KV heads; MLP 128; vocabulary 64",
        "self_attn.k_proj",
        "32 × 64",
        "input_layernorm",
        "values, each of 2 KV heads",
        "The head has a weight of its own.",
    ):
        assert words in printed
    assert "Refused" not in printed


def test_fused_linears_say_their_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny_model("phi3", tmp_path / "tiny")
    table = shown(folder, capsys)
    assert [linear["name"] for linear in table["linears"]] == [
        "self_attn.qkv_proj",
        "self_attn.o_proj",
        "mlp.gate_up_proj",
        "mlp.down_proj",
        "lm_head",
    ]
    assert table["linears"][0] == {
        "name": "self_attn.qkv_proj",
        "reads": "residual",
        "writes": [{"space": "query", "rows": 64}, {"space": "key", "rows": 32}, {"space": "value", "rows": 32}],
        "shape": [128, 48],
        "has_bias": False,
        "count": 1,
        "num_blocks": 2,
        "is_rounded": True,
    }
    assert {one["name"]: one["hadamard_order"] for one in table["rotations"]} == {
        "R1": "48 = 12 · 4",
        "R2": "16",
        "R3": "16",
        "R4": "96 = 12 · 8",
    }
    assert main(["show", str(folder)]) == 0
    assert "query (64 rows), key (32 rows), value (32 rows)" in capsys.readouterr().out


def test_biases_tied_heads_and_what_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    biased = shown(save_tiny_model("qwen2", tmp_path / "qwen2"), capsys)
    assert biased["summary"]["tied"]
    assert [linear["name"].rpartition(".")[2] for linear in biased["linears"] if linear["has_bias"]] == [
        "q_proj",
        "k_proj",
        "v_proj",
    ]
    assert biased["kept"] == []
    normed = shown(save_tiny_model("qwen3", tmp_path / "qwen3"), capsys)
    assert normed["kept"] == ["self_attn.k_norm.weight", "self_attn.q_norm.weight"]
    assert [norm["name"] for norm in normed["norms"]] == ["input_layernorm", "post_attention_layernorm", "model.norm"]


def test_what_is_refused_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_model(tmp_path / "tiny", leave_out=("model.norm.weight",))
    assert "lacks 'model.norm.weight'" in shown(folder, capsys, status=1)["problems"][0]["message"]
    assert main(["show", str(folder)]) == 1
    assert "Refused: The checkpoint lacks 'model.norm.weight'" in capsys.readouterr().out
    assert main(["show", str(save_model(tmp_path / "other", model_type="mamba"))]) == 1
    assert "'mamba' is not supported. Known architectures: " in capsys.readouterr().err


def test_neither_a_run_nor_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(tmp_path)]) == 1
    assert "no finished run" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "nothing")]) == 1
    assert "There is no folder or file" in capsys.readouterr().err


def test_the_sample_is_shown_without_torch(tmp_path: Path) -> None:
    script = """
import sys
from dfrot_engine.cli import main
status = main(["show", "sample"])
print(sorted(sys.modules.keys() & {"torch", "transformers", "safetensors.torch"}))
sys.exit(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    for words in (SAMPLE_NAME, "576 = 36 · 16", "shares its weight with the embedding"):
        assert words in done.stdout
