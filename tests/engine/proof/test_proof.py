"""The proof of what was written: every export passes it, and every kind of damage is caught and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dfrot_engine.checkpoint.headers import read_headers
from dfrot_engine.checkpoint.writer import ShardWriter
from dfrot_engine.events import Event, Proved, RunEnded, StageFinished, StageStarted
from dfrot_engine.exporters import compressed_tensors
from dfrot_engine.marker import FAILED, read_marker
from dfrot_engine.progress import Control
from dfrot_engine.proof import folding, reload
from dfrot_engine.proof.reload import Limits, has_few_codes
from dfrot_engine.proof.types import ProofRow
from dfrot_engine.recipe import Recipe
from dfrot_engine.rotations.fold import fold_block
from tests.engine.exporters.test_gguf import gguf_model
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

PLAIN = {"rotation__r1__kind": "hadamard", "rotation__r2__kind": "hadamard", "rotation__compare": False}
#: How many rows a full proof has of each check, for each output.
FULL = ["files", "tensors", "reload", "reload", "text"]
#: The same without rounded activations, where these have few codes.
SHARP = ["reload", "reload"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that every export takes."""
    return gguf_model("llama", tmp_path_factory.mktemp("model") / "tiny")


def rows_of(events: list[Event]) -> list[ProofRow]:
    return [event.row for event in events if isinstance(event, Proved)]


def before_proof(damage: Callable[[], None]) -> Callable[[Event, Control], None]:
    def on_event(event: Event, _control: Control) -> None:
        if isinstance(event, StageStarted) and event.stage == "prove":
            damage()

    return on_event


def small_recipe(model: Path, **fields: Any) -> Recipe:
    return tiny_recipe(model, "w4a16", **(PLAIN | {"solver__kind": "rtn"} | fields))


@pytest.mark.parametrize(
    ("preset", "fields"),
    [
        ("w8a8", {}),
        ("w4a4", {"solver__kind": "rtn"}),
        ("w8a8", {"activations__symmetric": False, "weights__symmetric": False}),
        ("w8a8", {"weights__format": "fp8", "activations__format": "fp8"}),
        ("w4a16", {"solver__kind": "rtn", "kv_cache": {"format": "fp8", "granularity": "per-tensor"}}),
        ("w4a16", {"solver__kind": "rtn", "exports": [{"kind": "rotated-bf16"}]}),
        ("w4a16", {"solver__kind": "rtn", "weights__group_size": 32, "exports": [{"kind": "gguf"}]}),
        (
            "w4a8",
            {
                "solver__kind": "rtn",
                "weights__group_size": 32,
                "weights__symmetric": False,
                "exports": [{"kind": "gguf"}],
            },
        ),
        ("w8a8", {"exports": [{"kind": "gguf-q8_0"}]}),
        ("w8a8", {"exports": [{"kind": "gguf-f16"}]}),
        ("w8a8", {"skip": []}),
        ("w8a8", {"weights__format": "nvfp4", "activations__format": "nvfp4"}),
        ("w8a8", {"weights__format": "mxfp4", "activations__format": "mxfp4"}),
        ("w4a8", {"solver__kind": "rtn", "recovery__kind": "lora", "recovery__steps": 10, "recovery__rank": 4}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
def test_every_export_passes(preset: str, fields: dict[str, Any], model: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(model, preset, **(PLAIN | fields), proof="full")
    ended, events = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    rows = rows_of(events)
    sharp = SHARP if has_few_codes(recipe.exports[0].kind, recipe) else []
    assert sorted(row.check for row in rows) == sorted([*FULL, *sharp, "folding"])
    assert all(row.passed for row in rows)
    folding_error = next(row.figure for row in rows if row.check == "folding")
    assert folding_error is not None
    assert folding_error < 1e-4
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [ProofRow.model_validate(row) for row in report["proof"]] == rows
    kind = recipe.exports[0].kind
    assert [set(text) for text in report["proof_texts"]] == [{"prompt", "original", kind}] * 5
    assert not (tmp_path / "out" / FAILED).exists()


def test_noise_decides_over_8_bits_too_where_sums_depend_on_the_batch(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the reloaded model were farther off than the limit: noise says by how much it may be."""
    refused = Limits(-1.0, -1.0)
    monkeypatch.setattr(reload, "_EIGHT_BITS", reload._Precision(refused, refused))
    ended, events = run_tiny(tiny_recipe(model, "w8a8", **PLAIN, proof="full"), tmp_path / "out")
    assert ended.status == "finished", ended
    rows = [row for row in rows_of(events) if row.check == "reload"]
    assert [row.passed for row in rows] == [True] * 4
    assert "activations left as they are" in rows[0].what
    assert "last bit" in rows[-1].what


@pytest.mark.parametrize("name", ["mixtral", "qwen3_moe", "smolvlm", "gemma2"])
def test_other_architectures_pass(name: str, tmp_path: Path) -> None:
    model = save_tiny_model(name, tmp_path / "m")
    exports = [{"kind": "compressed-tensors"}, {"kind": "rotated-bf16", "subfolder": "bf16"}]
    own = {"rotation__r1__kind": "none"} if name == "gemma2" else {}
    recipe = tiny_recipe(model, "w4a4", **(PLAIN | {"solver__kind": "rtn", "exports": exports, "proof": "full"} | own))
    ended, events = run_tiny(recipe, tmp_path / "out")
    assert ended.status == "finished", ended
    assert len(rows_of(events)) == 2 * len(FULL) + len(SHARP) + 1
    assert all(row.passed for row in rows_of(events))


@pytest.mark.parametrize("memory", ["auto", 1], ids=["whole", "block by block"])
def test_a_checkpoint_with_r4_passes(memory: int | str, tmp_path: Path) -> None:
    model = save_tiny_model("llama-tied", tmp_path / "m", hidden_size=64)
    fields = {"solver__kind": "rtn", "rotation__r4__block_size": 32, "proof": "full"}
    ended, events = run_tiny(tiny_recipe(model, "w4a4-r4", **PLAIN, **fields), tmp_path / "out", memory=memory)
    assert ended.status == "finished", ended
    assert [row.passed for row in rows_of(events)] == [True] * 7 + [True if memory == "auto" else None]


def flip_byte(folder: Path, tensor: str, at: int = 3) -> None:
    header = read_headers(folder)[tensor]
    with (folder / header.shard).open("r+b") as file:
        file.seek(header.offset + at)
        byte = file.read(1)[0]
        file.seek(header.offset + at)
        file.write(bytes([byte ^ 0x10]))


def swap_scales(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    one, other = (f"model.layers.1.self_attn.{name}_proj.weight_scale" for name in "kv")
    tensors[one], tensors[other] = tensors[other], tensors[one]
    save_file(tensors, path, {"format": "pt"})


DAMAGE: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "a flipped byte of codes": (
        lambda folder: flip_byte(folder, "model.layers.1.mlp.up_proj.weight_packed"),
        ("'model.layers.1.mlp.up_proj.weight' differs in 1 of", "model.safetensors has changed"),
    ),
    "a flipped byte of a norm": (
        lambda folder: flip_byte(folder, "model.layers.0.input_layernorm.weight"),
        ("'model.layers.0.input_layernorm.weight' differs",),
    ),
    "a flipped byte of the embedding": (
        lambda folder: flip_byte(folder, "model.embed_tokens.weight"),
        ("'model.embed_tokens.weight' differs in",),
    ),
    "swapped scales": (
        swap_scales,
        ("'model.layers.1.self_attn.k_proj.weight' differs", "'model.layers.1.self_attn.v_proj.weight' differs"),
    ),
    "a missing file": (lambda folder: (folder / "tokenizer.json").unlink(), ("tokenizer.json is missing",)),
}


def said(ended: RunEnded, folder: Path) -> str:
    return ended.message + (folder / FAILED).read_text()


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_caught_and_named(name: str, model: Path, tmp_path: Path) -> None:
    damage, words = DAMAGE[name]
    output = tmp_path / "out"
    recipe = small_recipe(model)
    ended, events = run_tiny(recipe, output, before_proof(lambda: damage(output)))
    assert ended.status == "failed"
    assert ended.message.startswith("The proof of what was written as compressed-tensors failed")
    assert words[0] in ended.message
    assert all(word in said(ended, output) for word in words), said(ended, output)
    assert any(row.passed is False for row in rows_of(events))
    assert not (output / "config.json").exists()
    assert read_marker(output)["proof"]["passed"] is False
    assert not any(isinstance(event, StageStarted) and event.stage == "evaluate" for event in events)
    again, events = run_tiny(recipe, output)
    assert again.status == "finished", again
    assert {event.stage for event in events if isinstance(event, StageFinished) and event.reused} >= {"quantize"}
    assert (output / "config.json").is_file()
    assert not (output / FAILED).exists()


def test_another_recipe_may_replace_a_failed_folder(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run_tiny(small_recipe(model), output, before_proof(lambda: flip_byte(output, "model.norm.weight")))
    ended, _ = run_tiny(small_recipe(model, weights__group_size=8), output)
    assert ended.status == "finished", ended
    refused, _ = run_tiny(small_recipe(model), output)
    assert refused.status == "failed"
    assert "not empty" in refused.message


def test_a_missing_shard_is_named_with_a_tensor(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed_tensors, "ShardWriter", lambda folder: ShardWriter(folder, max_shard_bytes=40_000))
    output = tmp_path / "out"

    def remove() -> None:
        sorted(output.glob("model-0*.safetensors"))[1].unlink()

    ended, _ = run_tiny(small_recipe(model), output, before_proof(remove))
    assert ended.status == "failed"
    assert "model-00002-of-" in ended.message
    assert "is missing, which holds 'model." in ended.message


def test_damage_of_a_gguf_file_is_named(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"

    def damage() -> None:
        path = next(output.glob("*.gguf"))
        data = bytearray(path.read_bytes())
        data[-40] ^= 0x20
        path.write_bytes(data)

    recipe = small_recipe(model, weights__group_size=32, exports=[{"kind": "gguf"}])
    ended, _ = run_tiny(recipe, output, before_proof(damage))
    assert ended.status == "failed"
    assert "'blk.1." in said(ended, output)
    assert not list(output.glob("*.gguf"))


def test_damage_between_two_sessions_is_caught(model: Path, tmp_path: Path) -> None:
    output, recipe = tmp_path / "out", small_recipe(model)

    def stop(event: Event, control: Control) -> None:
        if isinstance(event, StageStarted) and event.stage == "prove":
            control.cancel()

    stopped, _ = run_tiny(recipe, output, stop)
    assert stopped.status == "cancelled"
    flip_byte(output, "model.layers.0.mlp.down_proj.weight_scale", 1)
    ended, _ = run_tiny(recipe, output)
    assert ended.status == "failed"
    assert "'model.layers.0.mlp.down_proj.weight' differs" in said(ended, output)


def test_a_wrong_fold_is_caught(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fold_wrongly(tensors: dict[str, torch.Tensor], names: Any, rotations: Any, block: int) -> dict:
        folded = fold_block(tensors, names, rotations, block)
        return folded | ({"mlp.down_proj.weight": -folded["mlp.down_proj.weight"]} if block else {})

    monkeypatch.setattr(folding, "fold_block", fold_wrongly)
    ended, events = run_tiny(small_recipe(model, proof="full"), tmp_path / "out")
    assert ended.status == "failed"
    assert "another one than the original behind block 2 of 2" in ended.message
    assert [row.passed for row in rows_of(events) if row.check == "folding"] == [False]
    assert not (tmp_path / "out" / "config.json").exists()


def test_a_config_that_says_something_else_is_caught(model: Path, tmp_path: Path) -> None:
    """Every tensor is right, but runtimes would round activations in another way."""
    output = tmp_path / "out"

    def damage() -> None:
        path = output / "config.json"
        config = json.loads(path.read_text())
        config["quantization_config"]["config_groups"]["group_0"]["input_activations"]["num_bits"] = 3
        path.write_text(json.dumps(config))
        marker = read_marker(output)
        del marker["files"]["config.json"]
        (output / "dfrot.json").write_text(json.dumps(marker))

    recipe = tiny_recipe(model, "w8a8", **PLAIN, proof="full")
    ended, events = run_tiny(recipe, output, before_proof(damage))
    assert ended.status == "failed"
    assert {row.check for row in rows_of(events) if row.passed is False} == {"reload"}
    assert "it computes something else" in ended.message


def test_quick_leaves_out_what_runs_the_model(model: Path, tmp_path: Path) -> None:
    _, events = run_tiny(small_recipe(model), tmp_path / "out")
    assert [row.check for row in rows_of(events)] == ["files", "tensors"]
    _, events = run_tiny(small_recipe(model, proof="none"), tmp_path / "none")
    assert not rows_of(events)


def test_a_model_that_does_not_fit_writes_no_text(model: Path, tmp_path: Path) -> None:
    ended, events = run_tiny(small_recipe(model, proof="full"), tmp_path / "out", memory=1)
    assert ended.status == "finished", ended
    rows = rows_of(events)
    assert [row.passed for row in rows if row.check == "text"] == [None]
    assert [row.passed for row in rows if row.check == "reload"] == [True, True]
