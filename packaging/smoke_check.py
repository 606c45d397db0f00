"""Before and after the smoke test, in an environment with the program and its tests.

python packaging/smoke_check.py make FOLDER                # a tiny random model
python packaging/smoke_check.py check FOLDER OUTPUT        # what became of it, loaded by transformers alone
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

#: Of what a model that knows nothing is off; 4 bits lose a part, a wrong fold all of it.
MUCH = 2
TEXT = "A rotation is an exact change of coordinates inside the model: its output stays the same."


def make(folder: Path) -> None:
    from tests.tiny_models import save_tiny_model

    # As wide and as long as the default recipe wants it, so that nothing has to be set.
    sizes = {"hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 1_024}
    save_tiny_model("llama", folder, **sizes)


def check(original: Path, output: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(output)(TEXT, return_tensors="pt")
    with torch.no_grad():
        models = [AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32) for path in (original, output)]
        was, now = (model(**tokens).logits.log_softmax(-1) for model in models)
    kl = torch.nn.functional.kl_div(now, was, log_target=True, reduction="none").sum(-1).mean().item()
    flat = torch.zeros_like(was).log_softmax(-1)
    nothing_learned = torch.nn.functional.kl_div(flat, was, log_target=True, reduction="none").sum(-1).mean().item()
    print(
        f"{output.name}: KL divergence {kl:.2e} from the original (a model that knows nothing: {nothing_learned:.2e})"
    )
    if not kl < nothing_learned / MUCH:
        sys.exit("The output is not the model that went in.")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](*map(Path, sys.argv[2:]))
