"""The whole model's loss under R1 and its gradient by R1, with one block in memory at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor, nn

from dfrot_engine.checkpoint.reader import CheckpointReader, read_block
from dfrot_engine.errors import RunError
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.rounded_block import QuantizerOf, fill_rounded_block
from dfrot_engine.forward.stream import batches, embed, run_block
from dfrot_engine.job import Job
from dfrot_engine.outer import final_norm_parts, finish_logits, head_weight
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.grid import round_straight_through

_CHUNK_TOKENS = 256

#: Rounding passes gradients straight through; the scale, which follows the largest value, has its true slope.
straight_through: QuantizerOf = partial(activation_quantizer, rounding=round_straight_through)


class NetworkLoss:
    """What rounding activations under R1 does to the model's predictions, in nats per token.

    "cross-entropy" is how surprised the rounded model is by the text; "kl-divergence" how far its predictions are from
    the original's, for which the original goes through all sequences once.

    Weights, the inputs of o_proj and down_proj and the KV cache stay exact, since R1 does not change what rounding
    does to them; so do the head's inputs, which few recipes round. A gradient goes through the model three
    times: forward, forward again block by block, and backward.

    Args:
        reader: open for as long as losses are asked for.
        tokens_BT: the calibration sequences.
        kind: which loss.
        between: called after each batch of each block with the gradients finished so far and the block's index; what
            it raises ends the work.
        quantizer_of: what rounding is.
    """

    def __init__(
        self,
        job: Job,
        reader: CheckpointReader,
        tokens_BT: Tensor,
        *,
        kind: Literal["kl-divergence", "cross-entropy"],
        between: Callable[[int, int], None] = lambda _finished, _index: None,
        quantizer_of: QuantizerOf = straight_through,
    ) -> None:
        self.num_sequences = len(tokens_BT)
        self._tokens_BT, self._kind = tokens_BT, kind
        self._job, self._reader, self._between, self._quantizer_of = job, reader, between, quantizer_of
        self._factory = BlockFactory(job.model_dir, job.device)
        self._norm = self._factory.fill_final_norm(final_norm_parts(job.architecture, reader))
        self._head_VD = head_weight(job, reader).to(job.device, self._factory.dtype)
        self._num_gradients = 0

    @torch.no_grad()
    def loss(self, rotation_DD: Tensor, which_B: Tensor) -> float:
        """Nats per token over the sequences with these numbers.

        Raises:
            RunError: the loss is NaN or infinite.
        """
        last = deque(self._stream(self._placed(rotation_DD), which_B), maxlen=1).pop()
        rows_ND, targets = _predicting(last), self._targets(which_B)
        pairs = zip(rows_ND.split(_CHUNK_TOKENS), targets.split(_CHUNK_TOKENS), strict=True)
        return _finite(sum(float(self._summed(rows, target)) for rows, target in pairs) / len(targets))

    def loss_and_gradient(self, rotation_DD: Tensor, which_B: Tensor) -> tuple[float, Tensor]:
        """The same loss, and [D, D] float32 its gradient by the entries of R1, on the job's device.

        Raises:
            RunError: the loss is NaN or infinite.
        """
        turn = self._placed(rotation_DD).requires_grad_()
        targets = self._targets(which_B)
        *inputs, last = self._stream(turn, which_B)
        loss, slope = self._head_slope(last, targets)
        gradient = torch.zeros_like(turn, requires_grad=False)
        for index in reversed(range(self._job.architecture.num_blocks)):
            slope, part = self._back(index, turn, inputs.pop(), slope)
            gradient += part
        self._num_gradients += 1
        return loss, gradient

    def _placed(self, rotation_DD: Tensor) -> Tensor:
        return rotation_DD.detach().to(self._factory.device, self._factory.dtype, copy=True)

    def _block(self, index: int, turn: Tensor) -> nn.Module:
        tensors = read_block(self._reader, self._job.architecture, index)
        return fill_rounded_block(self._factory, self._job, index, tensors, turn, self._quantizer_of)

    def _say(self, index: int) -> None:
        self._between(self._num_gradients, index)

    @cached_property
    def _original(self) -> Tensor:
        """[B, T, D] hidden states behind the original's last block, all sequences."""
        hidden = embed(self._reader, self._job.architecture, self._tokens_BT)
        for index in range(self._job.architecture.num_blocks):
            block = self._factory.fill(index, read_block(self._reader, self._job.architecture, index))
            hidden = run_block(self._factory, block, index, hidden, between=partial(self._say, index))
        return hidden

    def _targets(self, which_B: Tensor) -> Tensor:
        """What each predicting token is held against: the next token, or [N, D] the original's hidden state."""
        if self._kind == "cross-entropy":
            return self._tokens_BT[which_B, 1:].flatten()
        return _predicting(self._original[which_B])

    def _stream(self, turn: Tensor, which_B: Tensor) -> Iterator[Tensor]:
        """Hidden states in front of each block, then behind the last."""
        hidden = embed(self._reader, self._job.architecture, self._tokens_BT[which_B])
        yield hidden
        for index in range(self._job.architecture.num_blocks):
            block = self._block(index, turn)
            hidden = run_block(self._factory, block, index, hidden, between=partial(self._say, index))
            yield hidden

    def _back(self, index: int, turn: Tensor, hidden_BTD: Tensor, slope_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """The loss's slope by a block's output → its slope by the block's input, and the block's part by R1."""
        block = self._block(index, turn)
        slopes: list[Tensor] = []
        gradient = torch.zeros_like(turn, requires_grad=False)
        for batch, slope in zip(batches(hidden_BTD), batches(slope_BTD), strict=True):
            entered = batch.to(self._factory.device).requires_grad_()
            left = self._factory.run_with_gradient(block, index, entered)
            by_input, by_turn = torch.autograd.grad(
                left, (entered, turn), slope.to(left), allow_unused=True, materialize_grads=True
            )
            slopes.append(by_input.to(hidden_BTD.device))
            gradient += by_turn
            self._say(index)
        return torch.cat(slopes), gradient

    def _head_slope(self, hidden_BTD: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        """The loss and its slope by the last hidden states; the last token of a sequence predicts nothing."""
        total, slopes = 0.0, []
        for rows, target in zip(
            _predicting(hidden_BTD).split(_CHUNK_TOKENS), targets.split(_CHUNK_TOKENS), strict=True
        ):
            entered = rows.detach().requires_grad_()
            summed = self._summed(entered, target)
            total += float(summed.detach())
            slopes.append(torch.autograd.grad(summed, entered)[0] / len(targets))
        slope_BTD = torch.cat(slopes).unflatten(0, (hidden_BTD.shape[0], -1))
        return _finite(total / len(targets)), nn.functional.pad(slope_BTD, (0, 0, 0, 1))

    def _summed(self, rows_ND: Tensor, targets: Tensor) -> Tensor:
        """The loss of these rows against their targets, not divided."""
        logits = self._logits(rows_ND)
        if self._kind == "cross-entropy":
            return nn.functional.cross_entropy(logits, targets.to(logits.device), reduction="sum")
        with torch.no_grad():
            original = self._logits(targets).log_softmax(-1)
        return nn.functional.kl_div(logits.log_softmax(-1), original, reduction="sum", log_target=True)

    def _logits(self, rows_ND: Tensor) -> Tensor:
        return finish_logits(self._norm(rows_ND.to(self._head_VD)) @ self._head_VD.T, self._job.architecture)


def _predicting(hidden_BTD: Tensor) -> Tensor:
    """[N, D] hidden states that predict a token of their sequence."""
    return hidden_BTD[:, :-1].flatten(0, 1)


def _finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise RunError(
            "The model's loss on the calibration text is not a number.",
            "The weights are damaged, or the model needs another precision; choose another R1 or download it again.",
            "rotation.r1.kind",
        )
    return loss
