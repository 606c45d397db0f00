"""The low-rank factors that recovery has trained, as an adapter that PEFT loads on top of the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from dfrot_engine.adapter_folder import ADAPTER, ADAPTER_WEIGHTS
from dfrot_engine.forward.low_rank import FACTOR_PARTS
from dfrot_engine.job import Job
from dfrot_engine.recipe import LoRARecovery

_PREFIX = "base_model.model."


def factors_of(stored: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The factors of a stored block under PEFT's names.

    Args:
        prefix: of the block's tensors.
    """
    return {f"{_PREFIX}{prefix}{name}.weight": tensor for name, tensor in stored.items() if name.endswith(FACTOR_PARTS)}


def write_adapter(job: Job, factors: Mapping[str, Tensor], folder: Path) -> None:
    """Leaves `adapter/` in the folder, unless there are no factors.

    Args:
        factors: of all blocks, under PEFT's names; a few thousandths of the model.
    """
    recovery = job.recipe.recovery
    if not factors or not isinstance(recovery, LoRARecovery):
        return
    from peft import LoraConfig  # three seconds, which other runs need not wait

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recovery.rank,
        lora_alpha=recovery.rank,
        lora_dropout=0.0,
        bias="none",
        target_modules=_targets(job, factors),
        inference_mode=True,
    )
    config.save_pretrained(str(folder / ADAPTER))
    contiguous = {name: tensor.contiguous() for name, tensor in factors.items()}
    save_file(contiguous, folder / ADAPTER / ADAPTER_WEIGHTS, {"format": "pt"})


def _targets(job: Job, factors: Mapping[str, Tensor]) -> list[str]:
    """Names inside blocks where all blocks have factors, full names where some blocks were best without."""
    ending = f"{FACTOR_PARTS[0]}.weight"
    adapted = {name.removeprefix(_PREFIX).removesuffix(ending) for name in factors if name.endswith(ending)}
    prefixes = [job.architecture.block_prefix(index) for index in range(job.architecture.num_blocks)]
    inside = {name.removeprefix(prefix) for name in adapted for prefix in prefixes if name.startswith(prefix)}
    everywhere = {prefix + name for prefix in prefixes for name in inside}
    return sorted(inside if adapted == everywhere else adapted)
