"""GPTQ of other programs on a model, one step a process: run by a Python that has the program installed.

    PEER/bin/python tests/benchmarks/peers.py quantize FOLDER --peer llm-compressor --model MODEL --text TEXT
    PEER/bin/python tests/benchmarks/peers.py evaluate FOLDER --peer llm-compressor --text TEXT

Each prints one JSON object, `tests.benchmarks.beside_peers` calls it. Group 64, symmetric, weights only, as the preset
`w4a16`; lm_head is left alone; the peers' own defaults otherwise. Perplexity is taken as the engine's evaluation takes
it: windows without overlap, the first token only conditions; in float32, from the folder that was saved. A checkpoint
of this program, or the original model, is evaluated as one of llm-compressor's: transformers loads all three.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

GROUP = 64


class Peer(NamedTuple):
    """How one program rounds and saves, and how it loads what it saved.

    Args:
        quantize: model folder, calibration tokens [samples, T], output folder.
        load: a folder → a module that takes tokens.
    """

    quantize: Callable[[str, torch.Tensor, Path], None]
    load: Callable[[Path], Any]


def _llm_compressor(model_dir: str, tokens_NT: torch.Tensor, output: Path) -> None:
    from datasets import Dataset
    from llmcompressor import oneshot  # pyright: ignore[reportMissingImports]  # only where the peer is installed
    from llmcompressor.modifiers.quantization import GPTQModifier  # pyright: ignore[reportMissingImports]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP}
    recipe = GPTQModifier(config_groups={"all": {"targets": ["Linear"], "weights": weights}}, ignore=["lm_head"])
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16)
    samples, seq_len = tokens_NT.shape
    data = Dataset.from_dict({"input_ids": tokens_NT.tolist()})
    oneshot(model=model, dataset=data, recipe=recipe, num_calibration_samples=samples, max_seq_length=seq_len)
    model.save_pretrained(output, save_compressed=True)
    AutoTokenizer.from_pretrained(model_dir).save_pretrained(output)


def _with_transformers(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def _gptqmodel(model_dir: str, tokens_NT: torch.Tensor, output: Path) -> None:
    from gptqmodel import GPTQModel, QuantizeConfig  # pyright: ignore[reportMissingImports]

    model = GPTQModel.load(model_dir, QuantizeConfig(bits=4, group_size=GROUP, sym=True), device="cpu")
    model.quantize([{"input_ids": tokens, "attention_mask": [1] * len(tokens)} for tokens in tokens_NT.tolist()])
    model.save(str(output))


def _with_gptqmodel(folder: Path) -> Any:
    """Its linears run in 16 bits only: the same weights, dequantized, as plain ones in float32."""
    from gptqmodel import BACKEND, GPTQModel  # pyright: ignore[reportMissingImports]

    model = GPTQModel.load(str(folder), device="cpu", backend=BACKEND.TORCH, dtype=torch.float16).model
    for name, module in list(model.named_modules()):
        if hasattr(module, "dequantize_weight"):
            weight_OI = module.dequantize_weight().T.float().contiguous()
            linear = torch.nn.Linear(weight_OI.shape[1], weight_OI.shape[0], bias=module.bias is not None)
            linear.weight.data = weight_OI
            if module.bias is not None:
                linear.bias.data = module.bias.data.float()
            model.set_submodule(name, linear)
    return model.float()


PEERS = {"llm-compressor": Peer(_llm_compressor, _with_transformers), "gptqmodel": Peer(_gptqmodel, _with_gptqmodel)}


def main() -> int:
    asked = _parser().parse_args()
    found = {"quantize": _quantize, "evaluate": _evaluate}[asked.step](asked)
    print(json.dumps(found), file=sys.stdout, flush=True)
    return 0


def _quantize(asked: argparse.Namespace) -> dict[str, Any]:
    windows = _windows(asked.model, asked.text, asked.seq_len)
    chosen = torch.tensor(_chosen(len(windows), asked.samples, asked.seed))
    started, before = time.monotonic(), time.process_time()
    PEERS[asked.peer].quantize(asked.model, windows[chosen], asked.folder)
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time() - before, 1),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


@torch.no_grad()
def _evaluate(asked: argparse.Namespace) -> dict[str, Any]:
    windows_BT = _windows(str(asked.folder), asked.text, asked.seq_len)[: asked.windows]
    model = PEERS[asked.peer].load(asked.folder)
    nll, count = 0.0, 0
    for tokens in windows_BT:
        logits = model(tokens[None], use_cache=False).logits[0, :-1].float()
        nll += float(torch.nn.functional.cross_entropy(logits, tokens[1:], reduction="sum"))
        count += len(tokens) - 1
    return {"perplexity": math.exp(nll / count)}


def _windows(model_dir: str, path: Path, seq_len: int) -> torch.Tensor:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    tokens = tokenizer(path.read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    return torch.tensor(tokens[: len(tokens) // seq_len * seq_len]).reshape(-1, seq_len)


def _chosen(count: int, wanted: int, seed: int) -> list[int]:
    """The sequences the engine calibrates on, see `sample_batches`."""
    import random

    return random.Random(seed).sample(range(count), wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("quantize", "evaluate"))
    parser.add_argument("folder", type=Path, help="what is written, or evaluated")
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--model", help="folder of the original")
    parser.add_argument("--text", type=Path, required=True, help="to calibrate, or evaluate, on")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
