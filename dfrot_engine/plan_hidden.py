"""What hidden states and the batches that go through a block take in memory and on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfrot_engine.memory import BATCH_TOKENS, split_budget

if TYPE_CHECKING:
    from dfrot_engine.plan_estimates import Workload

# Of the queries whose capped scores are computed at once (forward/attention.py), and how often they lie in memory.
CAPPED_QUERIES, CAPPED_COPIES = 512, 4


def held_bytes(work: Workload, wanted: int) -> int:
    """RAM for hidden states of so many bytes in all, and for blocks that are read ahead or wait to be written."""
    overlaps, budget = _budget(work)
    return min(wanted, budget) + (2 * work.block_bytes if overlaps else 0)


def spilled_bytes(work: Workload, wanted: int) -> int:
    """Disk for what the budget does not hold."""
    return max(0, wanted - _budget(work)[1])


def room_beside(work: Workload, wanted: int) -> int:
    """What hidden states of so many bytes leave of the budget."""
    return max(0, _budget(work)[1] - wanted)


def batch_bytes(work: Workload, seq_len: int, tokens: int) -> int:
    """Activations of one batch inside a block: attention's heads and mask, or the MLP's branches and their product.

    Args:
        tokens: that there are in all.
    """
    sizes = work.architecture
    in_batch = min(tokens, max(BATCH_TOKENS, seq_len))
    heads = (2 * sizes.num_heads + 2 * sizes.num_kv_heads) * sizes.head_size
    mask = seq_len**2 * _mask_bytes(work)
    attention = 4 * in_batch * heads + mask
    if work.facts.config.get("attn_logit_softcapping"):
        attention += CAPPED_COPIES * 4 * (in_batch // max(1, seq_len)) * sizes.num_heads * CAPPED_QUERIES * seq_len
    return 4 * in_batch * 3 * sizes.hidden_size + max(attention, 4 * in_batch * 3 * max(sizes.mlp_widths))


def _mask_bytes(work: Workload) -> int:
    """For each pair of tokens: one where a window limits what they see; causal attention needs no mask."""
    return 1 if work.facts.config.get("sliding_window") else 0


def _budget(work: Workload) -> tuple[bool, int]:
    return split_budget(work.memory_budget, work.block_bytes)
