"""A written checkpoint, block by block, gives what transformers gives when it has loaded it whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.checkpoint.local import inspect_folder
from dfrot_engine.errors import ModelError
from dfrot_engine.evaluation.models import reloaded_logits
from dfrot_engine.evaluation.streamed import streamed_logits
from dfrot_engine.forward.hidden_states import HiddenStore
from dfrot_engine.forward.room import BatchSize, Room
from dfrot_engine.report_file import read_report
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

TOKENS = torch.randint(0, 256, (3, 32), generator=torch.Generator().manual_seed(0))

#: (tiny model, preset, what differs); head rounded, kinds of attention, fused linears, plain 8-bit codes,
#: LayerNorm, a model that sees, no codes
CASES = [
    ("llama-tied", "w4a16", {"skip": []}),
    ("gemma2", "w8a8", {"rotation__r1__kind": "none", "rotation__r2__kind": "hadamard"}),
    ("phi3", "w4a4", {}),
    ("qwen3", "w8a8", {"weights__format": "fp8", "activations__format": "fp8"}),
    ("cohere", "w4a16", {}),
    ("gemma3", "w4a16", {"rotation__r1__kind": "none"}),
    ("granite", "w4a16", {"exports": [{"kind": "rotated-bf16"}]}),
]


def table_of(folder: Path) -> Architecture:
    facts = inspect_folder(folder, model_id="tiny")
    return architecture_of(facts.config, facts.headers)


@pytest.mark.parametrize(("name", "preset", "fields"), CASES, ids=[case[0] for case in CASES])
def test_streamed_is_reloaded(name: str, preset: str, fields: dict, tmp_path: Path) -> None:
    model, output = save_tiny_model(name, tmp_path / "model"), tmp_path / "out"
    fields = {"solver__kind": "rtn", "evaluation": None} | fields
    ended, _ = run_tiny(tiny_recipe(model, preset, **fields), output)
    assert ended.status == "finished", ended
    architecture = table_of(model)
    room = Room(HiddenStore(tmp_path / "spill", 0), BatchSize(tokens=32))
    said: list[int] = []
    streamed = streamed_logits(output, architecture, TOKENS, torch.device("cpu"), room, said.append)
    reloaded = reloaded_logits(output, TOKENS, torch.device("cpu"))
    assert said == [0, 0, 0, 1, 1, 1]
    for window in range(3):
        assert streamed(window).shape == reloaded(window).shape
        # Capped scores are computed by other code, in the same precision; all else is the same to the bit.
        difference = (streamed(window) - reloaded(window)).norm() / reloaded(window).norm()
        assert difference <= (0.02 if name == "gemma2" else 0), name


def test_a_missing_block_is_said(tmp_path: Path) -> None:
    folder = save_tiny_model("llama", tmp_path / "model")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file({name: one for name, one in tensors.items() if ".layers.1." not in name}, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"no tensors 'model\.layers\.1\."):
        streamed_logits(folder, table_of(folder), TOKENS, torch.device("cpu"), Room.unlimited(), lambda _index: None)


def test_experts_that_do_not_fit_are_measured_by_the_engine(tmp_path: Path) -> None:
    """Their files are laid out in another way than the modules of transformers."""
    recipe = tiny_recipe(save_tiny_model("mixtral", tmp_path / "model"), "w4a16")
    perplexity = {}
    for name, memory in (("whole", "auto"), ("streamed", 0)):
        ended, _ = run_tiny(recipe, tmp_path / name, memory=memory)
        assert ended.status == "finished", ended
        report = read_report(tmp_path / name)
        assert report is not None
        perplexity[report["protocol"]["measured"]] = report["perplexity_quantized"]
    whole, streamed = "compressed-tensors, loaded by transformers", "the engine's quantized forward"
    assert perplexity[streamed] == pytest.approx(perplexity[whole], rel=0.05)
