"""R4 in a checkpoint: loaded by transformers with the code in the folder and without, and by the engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dfrot_engine import Recipe
from dfrot_engine.errors import RunError
from dfrot_engine.evaluation.models import load_checkpoint, reloaded_logits
from dfrot_engine.evaluation.streamed import streamed_logits
from dfrot_engine.exporters.rotated_modeling import rotate_blocks
from dfrot_engine.forward.room import Room
from dfrot_engine.hadamard_orders import HadamardOrder
from dfrot_engine.report_file import read_report
from dfrot_engine.rotations.hadamard import hadamard_transform
from tests.engine.runs import TOKENS, engine_logits, run_tiny, tiny_recipe
from tests.tiny_models import R1_MODELS, save_tiny_model, tiny_architecture

CPU = torch.device("cpu")
#: Every kind of block with a down_proj (or c_proj), once.
FAMILIES = (
    *("llama", "qwen2", "qwen3", "mistral", "phi3", "gemma2", "gemma3_text", "granite", "olmo2", "cohere2", "smollm3"),
    *("arcee", "starcoder2-unbiased"),
)
R4 = {"kind": "block-hadamard", "block_size": 32}
# Symmetric codes would put each token's largest value halfway between two, where the order of additions decides.
ACTIVATIONS = {"format": "int8", "symmetric": False}

#: Knows nothing of this program: loads every folder without its code, then with it.
_USER = """
import json, sys
for name in ("dfrot_engine", "dfrot_gui", "tests"):
    sys.modules[name] = None
import torch
from transformers import AutoModelForCausalLM

said = {}
for folder in sys.argv[1:]:
    try:
        AutoModelForCausalLM.from_pretrained(folder)
        refusal = "none"
    except ValueError as error:
        refusal = str(error)
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, dtype=torch.float32)
    tokens = torch.load(f"{folder}/tokens.pt")
    with torch.no_grad():
        logits = model(tokens, use_cache=False).logits
    torch.save(logits, f"{folder}/logits.pt")
    written = model.generate(tokens[:1], max_new_tokens=3, do_sample=False, eos_token_id=None)
    said[folder] = {"class": type(model).__name__, "refusal": refusal, "written": written[0, tokens.shape[1]:].tolist()}
print(json.dumps(said))
"""


def rotated_recipe(model: Path, name: str, **fields: Any) -> Recipe:
    r1 = "hadamard" if name in R1_MODELS else "none"
    usual = {"rotation__r1__kind": r1, "rotation__r4": R4, "rotation__r2__kind": "hadamard"}
    plain = {"overrides": [], "solver": {"kind": "rtn"}, "activations": ACTIVATIONS, "evaluation": None}
    return tiny_recipe(model, "w4a4", **(usual | plain | fields))


def written(recipe: Recipe, output: Path) -> Path:
    ended, _ = run_tiny(recipe, output, keep_work=True)
    assert ended.status == "finished", ended
    return output


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Tensor]]:
    """Family → (what a run wrote, the logits of the engine's own quantized forward)."""
    root, found = tmp_path_factory.mktemp("rotated"), {}
    for name in FAMILIES:
        model = save_tiny_model(name, root / f"{name}-model")
        recipe = rotated_recipe(model, name)
        output = written(recipe, root / name.replace("-", "_"))
        found[name] = output, engine_logits(recipe, model, output)
    return found


@pytest.fixture(scope="module")
def users_view(folders: dict[str, tuple[Path, Tensor]]) -> dict[str, dict[str, Any]]:
    """Family → what a process says that cannot import this program."""
    for folder, _ in folders.values():
        torch.save(TOKENS, folder / "tokens.pt")
    names = [str(folder) for folder, _ in folders.values()]
    command = [sys.executable, "-I", "-c", _USER, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    return {family: said[str(folder)] for family, (folder, _) in folders.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_folder_brings_its_rotation_along(
    name: str, folders: dict[str, tuple[Path, Tensor]], users_view: dict[str, dict[str, Any]]
) -> None:
    folder, expected = folders[name]
    logits = torch.load(folder / "logits.pt")
    assert relative_error(logits, expected) < 3e-3
    assert users_view[name]["class"].startswith("Rotated")
    assert users_view[name]["written"][0] == int(logits[0, -1].argmax())
    assert len(users_view[name]["written"]) == 3


@pytest.mark.parametrize("name", FAMILIES)
def test_without_its_code_the_folder_is_refused(name: str, users_view: dict[str, dict[str, Any]]) -> None:
    assert "trust_remote_code=True" in users_view[name]["refusal"]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_engine_loads_it_whole_and_block_by_block(name: str, folders: dict[str, tuple[Path, Tensor]]) -> None:
    folder, expected = folders[name]
    whole = reloaded_logits(folder, TOKENS, CPU)
    streamed = streamed_logits(folder, tiny_architecture(name), TOKENS, CPU, Room.unlimited(), lambda _index: None)
    for window in range(len(TOKENS)):
        logits = whole(window)
        assert torch.equal(streamed(window), logits)
        # The folder's own precision is bfloat16.
        assert relative_error(logits.float(), expected[window]) < 0.05


def test_code_in_a_folder_is_never_run(folders: dict[str, tuple[Path, Tensor]], tmp_path: Path) -> None:
    folder, _ = folders["llama"]
    copied = tmp_path / "foreign"
    copied.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (copied / path.name).symlink_to(path)
    code = copied / "modeling_rotated.py"
    code.unlink()
    code.write_text(f"raise SystemExit({str(tmp_path)!r})\n")
    load_checkpoint(copied, CPU)
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").unlink()
    (copied / "config.json").write_text(json.dumps({**config, "rotation_config": None}))
    with pytest.raises(RunError, match="trust_remote_code"):
        load_checkpoint(copied, CPU)


def test_the_transform_is_what_vllm_reads(folders: dict[str, tuple[Path, Tensor]]) -> None:
    folder, _ = folders["llama"]
    config = json.loads((folder / "config.json").read_text())
    transform = config["quantization_config"]["transform_config"]
    assert transform == config["rotation_config"]
    scheme = transform["config_groups"]["R4"]
    assert (scheme["type"], scheme["head_dim"], scheme["randomize"]) == ("hadamard", 32, False)
    places = [(place["location"], place["inverse"], place["targets"]) for place in scheme["apply"]]
    target = ["re:.*mlp[.]down_proj$"]
    assert places == [("input", False, target), ("weight_input", True, target)]
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert list(config["auto_map"]) == ["AutoModelForCausalLM"]
    tensors = {}
    for path in folder.glob("*.safetensors"):
        tensors |= load_file(path)
    matrices = {name: tensor for name, tensor in tensors.items() if "R4" in name}
    assert list(matrices) == ["model.layers.0.mlp.down_proj.R4_input.weight"]
    (matrix,) = matrices.values()
    assert matrix.abs().eq(1).all()
    values = torch.randn(3, 96)
    by_matrix = (values.unflatten(-1, (-1, 32)) @ (matrix.float() / 32**0.5)).flatten(-2)
    torch.testing.assert_close(rotate_blocks(values, 32), by_matrix)


@pytest.mark.parametrize("size", [32, 128, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_code_gives_the_bits_that_the_engine_gives(size: int, dtype: torch.dtype) -> None:
    values = torch.randn(5, 7, 3 * size, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(rotate_blocks(values, size), hadamard_transform(values, HadamardOrder(1, size, 3)))


def test_a_run_measures_what_it_wrote(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    evaluation = {"dataset": "builtin", "seq_len": 64, "num_windows": 3}
    recipe = rotated_recipe(model, "llama", weights__format="int8", evaluation=evaluation)
    report = read_report(written(recipe, tmp_path / "out"))
    assert report is not None
    assert "loaded by transformers" in report["protocol"]["measured"]
    assert report["kl_divergence"] < 0.05


def test_an_adapter_stands_beside_the_rotation_not_behind_it(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    recipe = rotated_recipe(model, "llama", recovery={"kind": "lora", "rank": 8, "steps": 60})
    output = written(recipe, tmp_path / "out")
    expected = engine_logits(recipe, model, output)
    errors = {}
    for has_adapter in (True, False):
        logits = reloaded_logits(output, TOKENS, CPU, adapter=has_adapter)
        errors[has_adapter] = relative_error(torch.stack([logits(at) for at in range(len(TOKENS))]).float(), expected)
    assert errors[True] < 0.06 < errors[False]
