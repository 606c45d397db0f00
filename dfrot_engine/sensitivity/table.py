"""The result of a sensitivity pass as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from dfrot_engine.sensitivity.types import Proposal, SensitivityResult

_SHOWN = 20


def print_sensitivity(result: SensitivityResult, console: Console) -> None:
    """The worst linears, sums for each kind and each block, and the proposal."""
    table = Table("Rounded alone", "Bits", "KL divergence")
    for row in result.rows[:_SHOWN]:
        table.add_row(row.name, "–" if row.bits is None else str(row.bits), f"{row.kl:.6f}")
    console.print(table)
    if len(result.rows) > _SHOWN:
        console.print(f"{len(result.rows) - _SHOWN:,} more rows; --json lists them all.")
    sums = Table("Sum over the blocks", "KL divergence")
    for kind, kl in result.by_kind.items():
        sums.add_row(kind, f"{kl:.5f}")
    console.print(sums)
    blocks = Table("Sum in block (from 0)", "KL divergence")
    for index, kl in enumerate(result.by_block):
        blocks.add_row(str(index), f"{kl:.5f}")
    console.print(blocks)
    console.print(
        f"KL(original ‖ model) in nats per token over {result.tokens:,} tokens ({result.num_samples:,} sequences of "
        f"{result.seq_len:,}), each with one linear rounded and everything else exact.",
        soft_wrap=True,
    )
    for note in result.notes:
        console.print(note, soft_wrap=True, markup=False)
    if result.proposal is not None:
        _print_proposal(result, result.proposal, console)


def _print_proposal(result: SensitivityResult, proposal: Proposal, console: Console) -> None:
    console.print(
        f"For {proposal.bits_wanted:g} bits: {len(proposal.raised):,} linears get 8 bits, "
        f"{proposal.bits_before:.2f} → {proposal.bits_after:.2f} bits a weight on average, scales not counted.",
        style="bold",
        soft_wrap=True,
    )
    blocks: dict[str, list[int]] = {}
    for row in sorted(result.rows, key=lambda row: row.block):
        if row.name in proposal.raised:
            blocks.setdefault(row.linear, []).append(row.block)
    for kind, numbers in blocks.items():
        console.print(f"  {kind}, blocks {_ranges(numbers)}", soft_wrap=True)
    if proposal.kl_before is not None and proposal.kl_after is not None:
        console.print(
            f"The whole model rounded to nearest, on the same tokens: KL {proposal.kl_before:.4f} without the "
            f"proposal, {proposal.kl_after:.4f} with it.",
            soft_wrap=True,
        )
    else:
        console.print("What it gains was not measured; --check does.")
    if proposal.out:
        console.print(f"Recipe: {proposal.out}", soft_wrap=True, markup=False)


def _ranges(numbers: Sequence[int]) -> str:
    """[0, 2, 3, 4] → "0, 2–4"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
