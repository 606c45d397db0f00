"""NVFP4 and MXFP4 in a checkpoint: the engine's codes, the scale of the inputs, as transformers loads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from dfrot_engine import Recipe, RunOptions
from dfrot_engine.evaluation.models import quantized_logits
from dfrot_engine.forward.quantized_block import block_schemes, stored_weight
from dfrot_engine.forward.stored_clips import INPUT_GLOBAL_SCALE
from dfrot_engine.job import Job
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.work_dir import WorkDir
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

TOKENS = torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(4))
BLOCKS = (("nvfp4", False), ("nvfp4", True), ("mxfp4", False), ("mxfp4", True))


def recipe_of(model: Path, fmt: str, has_activations: bool, **fields: Any) -> Recipe:
    usual: dict[str, Any] = {
        "weights": {"format": fmt},
        "activations": {"format": fmt} if has_activations else None,
        "rotation__r1__kind": "hadamard",
        "overrides": [],
        "solver": {"kind": "rtn"},
        "evaluation": None,
    }
    return tiny_recipe(model, "w4a16", **(usual | fields))


def finished(recipe: Recipe, model: Path, output: Path) -> tuple[Job, WorkDir]:
    ended, _ = run_tiny(recipe, output, keep_work=True)
    assert ended.status == "finished", ended
    job = Job.prepare(recipe, RunOptions(output_dir=output, device="cpu"), "tiny", model)
    return job, WorkDir(output.with_name(f"{output.name}.dfrot"))


def tensors_of(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in folder.glob("*.safetensors"):
        found |= load_file(path)
    return found


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


@pytest.fixture(scope="module", params=["llama", "phi3"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """float16, which 4-bit floats are not unpacked to, and widths that groups of 32 divide."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    return save_tiny_model(request.param, folder, hidden_size=64, dtype=torch.float16)


@pytest.mark.parametrize(("fmt", "has_activations"), BLOCKS)
def test_transformers_computes_what_the_engine_does(
    fmt: str, has_activations: bool, model: Path, tmp_path: Path
) -> None:
    job, work = finished(recipe_of(model, fmt, has_activations), model, tmp_path / "out")
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert loaded.dtype is torch.bfloat16
    expected = quantized_logits(job, work, RotationSet.load(work.rotations), TOKENS)
    wanted = torch.stack([expected(at) for at in range(len(TOKENS))])
    with torch.no_grad():
        logits = loaded(TOKENS, use_cache=False).logits
    assert relative_error(logits, wanted) < (0.6 if has_activations else 0.03)
    # In bfloat16 many values fall to another of so few codes; what is left of that with exact weights is what differs.
    torch.nn.Module.float(loaded)  # its own method refuses
    for index in range(job.architecture.num_blocks):
        stored, _ = work.load_block("quantize", f"{index:05}")
        for name, schemes in block_schemes(job, index).items():
            linear = loaded.get_submodule(job.architecture.block_prefix(index) + name)
            weight = stored_weight(stored, name, schemes)
            assert isinstance(weight, QuantizedWeight)
            assert torch.equal(linear.weight, weight.dequantize().bfloat16().float()), name
            linear.weight.data = weight.dequantize()
    with torch.no_grad():
        logits = loaded(TOKENS, use_cache=False).logits
    assert relative_error(logits, wanted) < 1e-2


@pytest.mark.parametrize("solver", ["rtn", "qronos"])
def test_the_inputs_scale_is_measured_and_travels(solver: str, model: Path, tmp_path: Path) -> None:
    recipe = recipe_of(model, "nvfp4", True, solver={"kind": solver}, skip=[])
    job, work = finished(recipe, model, tmp_path / "out")
    written = tensors_of(tmp_path / "out")
    for index in range(job.architecture.num_blocks):
        stored, _ = work.load_block("quantize", f"{index:05}")
        by_input = {}
        for shared in job.architecture.block_at(index).shared_inputs():
            scales = {float(stored[name + INPUT_GLOBAL_SCALE]) for name in shared}
            assert len(scales) == 1
            by_input[shared] = scales.pop()
            for name in shared:
                tensor = written[f"{job.architecture.block_prefix(index)}{name}{INPUT_GLOBAL_SCALE}"]
                assert tensor.shape == (1,)
                assert float(tensor) == by_input[shared]
        assert len(set(by_input.values())) == len(by_input)
    assert written["lm_head.input_global_scale"].shape == (1,)
    assert written["lm_head.weight_global_scale"].dtype is torch.float32


def test_experts_are_measured_with_scales_of_their_own(tmp_path: Path) -> None:
    model = save_tiny_model("qwen3_moe", tmp_path / "model")
    job, work = finished(recipe_of(model, "nvfp4", True, exports=[]), model, tmp_path / "out")
    stored, _ = work.load_block("quantize", "00001")
    names = [linear.name for linear in job.architecture.block_at(1).linears if linear.expert is not None]
    scales = {name: float(stored[name + INPUT_GLOBAL_SCALE]) for name in names}
    assert len({scale for name, scale in scales.items() if name.endswith("down_proj")}) == 4


def test_the_layout_is_that_of_compressed_tensors(model: Path, tmp_path: Path) -> None:
    finished(recipe_of(model, "mxfp4", True), model, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    quantization = config["quantization_config"]
    (group,) = quantization["config_groups"].values()
    assert quantization["format"] == group["format"] == "mxfp4-pack-quantized"
    assert (group["weights"]["group_size"], group["weights"]["scale_dtype"]) == (32, "torch.uint8")
    assert group["input_activations"]["dynamic"] is True
    written = tensors_of(tmp_path / "out")
    packed = written["model.layers.0.mlp.down_proj.weight_packed"]
    assert (packed.dtype, packed.shape) == (torch.uint8, (64, 48))
    scale = written["model.layers.0.mlp.down_proj.weight_scale"]
    assert (scale.dtype, scale.shape) == (torch.uint8, (64, 3))
    assert torch.float16 not in {tensor.dtype for tensor in written.values()}
