"""What R2 and R4 learn from: a bounded number of tokens of one block, where they enter o_proj and down_proj."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dfrot_engine.architectures.base import Architecture, Space

VALUE, ATTENDED, HIDDEN, ENERGY = "value", "attended", "hidden", "energy"


@contextmanager
def picked_rows(
    block: nn.Module,
    sizes: Architecture,
    *,
    num_tokens: int,
    value_rows: int,
    hidden_rows: int,
    generator: torch.Generator,
    before: int = 0,
) -> Iterator[dict[str, Tensor]]:
    """Rows of the block's inner activations while the context is open; complete when it closes.

    Args:
        num_tokens: how many tokens will pass, in batches, in order; here, and where others have a part of them.
        value_rows, hidden_rows: how many to keep at o_proj and at down_proj; 0 keeps none.
        generator: draws which ones.
        before: how many tokens pass elsewhere that come before those that pass here.
    Yields:
        A dictionary that holds on exit, on the CPU in bfloat16: "value" [N, K·S] the values, "attended" [N, H·S]
        what o_proj read, "hidden" [M, I] what down_proj read; and in float32 "energy.value" [N] and "energy.hidden"
        [M], ‖h‖² of the residual stream behind the block for the same tokens.
    """
    pickers: dict[str, _Picker] = {}
    handles = []
    chosen_value, chosen_hidden = (_draw(num_tokens, rows, generator) for rows in (value_rows, hidden_rows))
    for linear in sizes.block.linears:
        written = dict(sizes.row_ranges(linear))
        if Space.VALUE in written and value_rows:
            pickers[VALUE] = _Picker(chosen_value, before, columns=written[Space.VALUE])
            handles.append(block.get_submodule(linear.name).register_forward_hook(pickers[VALUE].take_output))
        if linear.reads is Space.VALUE and value_rows:
            pickers[ATTENDED] = _Picker(chosen_value, before)
            handles.append(block.get_submodule(linear.name).register_forward_pre_hook(pickers[ATTENDED].take_input))
        if linear.reads is Space.MLP_HIDDEN and hidden_rows:
            assert linear.expert is None, "experts see a part of the tokens; the plan refuses to learn from them"
            pickers[HIDDEN] = _Picker(chosen_hidden, before)
            handles.append(block.get_submodule(linear.name).register_forward_pre_hook(pickers[HIDDEN].take_input))
    for kind, chosen in ((VALUE, chosen_value), (HIDDEN, chosen_hidden)):
        if len(chosen):
            pickers[f"{ENERGY}.{kind}"] = picker = _Picker(chosen, before, energy=True)
            handles.append(block.register_forward_hook(picker.take_output))
    # A batch that runs out of memory inside the block goes through it again: it counts when it has left the block.
    handles.append(block.register_forward_pre_hook(lambda _block, _args: _each(pickers, _Picker.begin)))
    handles.append(block.register_forward_hook(lambda _block, _args, _output: _each(pickers, _Picker.end)))
    kept: dict[str, Tensor] = {}
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()
    kept |= {name: picker.joined() for name, picker in pickers.items()}


def _each(pickers: dict[str, _Picker], do: Callable[[_Picker], None]) -> None:
    for picker in pickers.values():
        do(picker)


def _draw(num_tokens: int, rows: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(num_tokens, generator=generator)[:rows].sort().values


class _Picker:
    """Takes the chosen tokens out of batches that pass in order, all their columns or a range of them."""

    def __init__(self, chosen_N: Tensor, before: int, *, columns: slice = slice(None), energy: bool = False) -> None:
        self._chosen, self._columns, self._energy = chosen_N, columns, energy
        self._seen, self._passing = before, 0
        self._parts: list[Tensor] = []
        self._taken: list[Tensor] = []

    def begin(self) -> None:
        self._taken.clear()

    def end(self) -> None:
        self._parts += self._taken
        self._seen += self._passing

    def take_input(self, _module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._take(args[0])

    def take_output(self, _module: nn.Module, _args: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
        self._take(output[0] if isinstance(output, tuple) else output)

    def _take(self, values_BTC: Tensor) -> None:
        rows = values_BTC.detach().flatten(0, 1)
        first, last = torch.searchsorted(self._chosen, torch.tensor([self._seen, self._seen + len(rows)])).tolist()
        picked = rows[(self._chosen[first:last] - self._seen).to(rows.device), self._columns]
        self._taken.append(picked.float().square().sum(1).cpu() if self._energy else picked.to("cpu", torch.bfloat16))
        self._passing = len(rows)

    def joined(self) -> Tensor:
        return torch.cat(self._parts)
