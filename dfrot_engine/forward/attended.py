"""What attention gave the linear behind it, kept so that the rest of a block is run without its attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

from torch import Tensor, nn

from dfrot_engine.forward.fake_quant import replace_linear
from dfrot_engine.forward.hidden_states import HiddenStates


class Attended:
    """Of one stream, the first sequences, as many as there is room for.

    Args:
        linear: name of the block's linear that reads what attention gives, o_proj; its module's last one.
        states: empty, [b, T, I].
    """

    def __init__(self, linear: str, states: HiddenStates) -> None:
        self._attention, _, self._linear = linear.rpartition(".")
        self._states = states
        self._kept = 0

    def add(self, read_BTI: Tensor) -> None:
        """What the linear reads of the next sequences, neither rotated nor rounded."""
        read_BTI = read_BTI[: len(self._states) - self._kept]
        self._states.append(read_BTI.cpu())
        self._kept += len(read_BTI)

    @contextmanager
    def stands_in(self, block: nn.Module, sequences: slice) -> Iterator[None]:
        """While it is open, these sequences go through the block without its attention, if all of them are kept.

        Args:
            block: any version of it whose linears of attention were those that gave what is kept, the last one aside.
        """
        if sequences.stop > self._kept:
            yield
            return
        attention = block.get_submodule(self._attention)
        stand_in = _StandIn(attention.get_submodule(self._linear), self._states[sequences])
        replace_linear(block, self._attention, stand_in)
        try:
            yield
        finally:
            replace_linear(block, self._attention, attention)


class AttendedStreams(NamedTuple):
    """Of both streams through a block, as far as anything was kept."""

    quantized: Attended | None = None
    exact: Attended | None = None

    def add(self, quantized_BTI: Tensor, exact_BTI: Tensor | None) -> None:
        """What the linear reads of the next sequences."""
        for attended, read_BTI in zip(self, (quantized_BTI, exact_BTI), strict=True):
            if attended is not None and read_BTI is not None:
                attended.add(read_BTI)


def without_attention(attended: Attended | None, block: nn.Module, sequences: slice) -> AbstractContextManager[None]:
    """`stands_in`, where anything was kept."""
    return nullcontext() if attended is None else attended.stands_in(block, sequences)


class _StandIn(nn.Module):
    """In the place of a decoder layer's attention; gives what that gives, and no attention weights."""

    def __init__(self, linear: nn.Module, read_BTI: Tensor) -> None:
        super().__init__()
        self.linear, self._read_BTI = linear, read_BTI

    def forward(self, *_args: object, **_kwargs: object) -> tuple[Tensor, None]:
        weight = self.linear.weight
        assert isinstance(weight, Tensor)
        return self.linear(self._read_BTI.to(weight)), None
