"""A block of the original that rounds what R1 reaches as if R1 were folded in, and that autograd can follow to R1."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import replace_linear
from dfrot_engine.forward.quantized_block import block_schemes
from dfrot_engine.job import Job
from dfrot_engine.recipe import ActivationScheme
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.rotation_set import RotationSet

#: scheme → rows → dequantized rows
QuantizerOf = Callable[[ActivationScheme], Callable[[Tensor], Tensor]]


class RotatedRounding(nn.Module):
    """x → Q(x·R)·Rᵀ: a linear W that reads this computes what the folded W·R computes from Q(x·R).

    Args:
        turn_DD: R1, one tensor for all sites; gradients gather there.
        quantize: rows → dequantized rows.
    """

    def __init__(self, turn_DD: Tensor, quantize: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.turn_DD, self.quantize = turn_DD, quantize

    def forward(self, x: Tensor) -> Tensor:
        return self.quantize(x @ self.turn_DD) @ self.turn_DD.T


def fill_rounded_block(
    factory: BlockFactory, job: Job, index: int, tensors: dict[str, Tensor], turn_DD: Tensor, quantizer_of: QuantizerOf
) -> nn.Module:
    """The block with exact weights, its inputs of linears that read the residual stream rounded under R1.

    What o_proj and down_proj read stays exact: R1 does not reach it.

    Args:
        tensors: the original's, by name relative to the block; not modified.
        turn_DD: in the factory's dtype, on its device.
    """
    # With the norms' gains in the linears, the quantizer sees tokens without gain, as it will behind R1.
    placed = {name: tensor.to(factory.device) for name, tensor in tensors.items()}
    folded = fold_block(placed, job.architecture, RotationSet(), index, fold_norms=True)
    block = factory.fill(index, folded)
    schemes = block_schemes(job, index)
    routers = {router.name for router in job.architecture.block_at(index).routers}
    for norm in job.architecture.block_at(index).norms:
        activations = {linear: schemes[linear].activations for linear in norm.feeds if linear not in routers}
        # A router beside them reads what is not rounded.
        if len(set(activations.values())) == 1 and routers.isdisjoint(norm.feeds):
            _append(block, norm.name, _rounding(activations[norm.feeds[0]], turn_DD, quantizer_of))
            continue
        for linear, scheme in activations.items():
            replace_linear(
                block, linear, nn.Sequential(_rounding(scheme, turn_DD, quantizer_of), block.get_submodule(linear))
            )
    return block


def _append(block: nn.Module, name: str, module: nn.Module) -> None:
    replace_linear(block, name, nn.Sequential(block.get_submodule(name), module))


def _rounding(scheme: ActivationScheme | None, turn_DD: Tensor, quantizer_of: QuantizerOf) -> nn.Module:
    return nn.Identity() if scheme is None else RotatedRounding(turn_DD, quantizer_of(scheme))
