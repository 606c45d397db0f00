"""GPTQ of llm-compressor on a model, as `peers` of the accuracy benchmark: run by a Python that has it installed.

    PEER/bin/python tests/benchmarks/peers.py --model FOLDER --text TEXT --evaluate TEXT

Prints one JSON object. Group 64, symmetric, weights only, as the preset `w4a16`; lm_head is left alone. Perplexity is
taken as the engine's evaluation takes it: windows without overlap, the first token only conditions.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch


def main() -> int:
    asked = _parser().parse_args()
    from datasets import Dataset
    from llmcompressor import oneshot  # pyright: ignore[reportMissingImports]  # only where the peer is installed
    from llmcompressor.modifiers.quantization import (  # pyright: ignore[reportMissingImports]
        GPTQModifier,
        QuantizationModifier,
    )
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(asked.model)
    model = AutoModelForCausalLM.from_pretrained(asked.model, dtype=torch.bfloat16)
    windows = _windows(tokenizer, asked.evaluate, asked.seq_len)[: asked.windows]
    found: dict[str, Any] = {"original": _perplexity(model.float(), windows)}
    model = AutoModelForCausalLM.from_pretrained(asked.model, dtype=torch.bfloat16)
    calibration = _windows(tokenizer, asked.text, asked.seq_len)
    chosen = torch.tensor(_chosen(len(calibration), asked.samples, asked.seed))
    data = Dataset.from_dict({"input_ids": calibration[chosen].tolist()})
    modifier = {"gptq": GPTQModifier, "rtn": QuantizationModifier}[asked.solver]
    scheme = {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 64},
        }
    }
    started = time.monotonic()
    recipe = modifier(config_groups=scheme, ignore=["lm_head"])
    fed = {"dataset": data, "num_calibration_samples": asked.samples, "max_seq_length": asked.seq_len}
    oneshot(model=model, recipe=recipe, **(fed if asked.solver == "gptq" else {}))
    found["seconds"] = round(time.monotonic() - started, 1)
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found["perplexity"] = _perplexity(model.float(), windows)
    found["gap"] = math.log(found["perplexity"] / found["original"])
    print(json.dumps(found), file=sys.stdout)
    return 0


def _windows(tokenizer: Any, path: Path, seq_len: int) -> torch.Tensor:
    tokens = tokenizer(path.read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    return torch.tensor(tokens[: len(tokens) // seq_len * seq_len]).reshape(-1, seq_len)


def _chosen(count: int, wanted: int, seed: int) -> list[int]:
    """The sequences the engine calibrates on, see `sample_batches`."""
    import random

    return random.Random(seed).sample(range(count), wanted)


@torch.no_grad()
def _perplexity(model: Any, windows_BT: torch.Tensor) -> float:
    nll, count = 0.0, 0
    for tokens in windows_BT:
        logits = model(tokens[None], use_cache=False).logits[0, :-1].float()
        nll += float(torch.nn.functional.cross_entropy(logits, tokens[1:], reduction="sum"))
        count += len(tokens) - 1
    return math.exp(nll / count)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", type=Path, required=True, help="calibration text")
    parser.add_argument("--evaluate", type=Path, required=True, help="evaluation text")
    parser.add_argument("--solver", choices=("gptq", "rtn"), default="gptq")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
