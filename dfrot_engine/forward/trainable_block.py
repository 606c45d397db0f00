"""A quantized block that autograd can follow to what recovery trains: scales and norm gains, or low-rank factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dfrot_engine.forward.attention import KVQuantizer
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear, replace_linear
from dfrot_engine.forward.low_rank import AdaptedLinear, takes_factors
from dfrot_engine.forward.quantized_block import block_schemes, fill_quantized_block, kv_quantizer, stored_weight
from dfrot_engine.job import Job
from dfrot_engine.quantizers.formats import FORMATS
from dfrot_engine.quantizers.grid import Grid, dequantize, round_straight_through
from dfrot_engine.quantizers.weight import QuantizedWeight, grouped, round_scale
from dfrot_engine.recipe import LoRARecovery
from dfrot_engine.rotations.rotation_set import RotationSet


class ScaledLinear(nn.Module):
    """Takes the place of a QuantizedLinear: weight = (codes − zero-point) · scale · (1 + change), change is trained.

    Relative changes let one learning rate serve scales of any size.

    Args:
        weight: of a format whose scales are free floats.
        plain: what is replaced; its dense weight is not kept.
    """

    def __init__(self, weight: QuantizedWeight, plain: QuantizedLinear) -> None:
        super().__init__()
        self.quantized = weight
        self.change_OG = nn.Parameter(torch.zeros_like(weight.scale_OG, dtype=plain.weight.dtype))
        self._input = QuantizedLinear(plain.weight.new_empty(0), plain.bias, plain.quantize_input, plain.online)

    def scale(self) -> Tensor:
        return self.quantized.scale_OG.to(self.change_OG.dtype) * (1 + self.change_OG)

    def forward(self, x: Tensor) -> Tensor:
        weight, dtype = self.quantized, self.change_OG.dtype
        zero_point = None if weight.zero_point_OG is None else weight.zero_point_OG.to(dtype)[..., None]
        codes = grouped(weight.codes_OI.to(dtype), weight.group_size)
        dense = dequantize(codes, Grid(self.scale()[..., None], zero_point)).flatten(1)
        return nn.functional.linear(self._input.read(x), dense, self._input.bias)


@dataclass(frozen=True)
class TrainableBlock:
    """
    Args:
        module: the block, on the factory's device.
        kv: what attention does to query, key and value.
        parameters: what is trained.
        trained: the stored block → the same with what was trained as it is now, in the dtypes it is stored in.
    """

    module: nn.Module
    kv: KVQuantizer | None
    parameters: list[nn.Parameter]
    trained: Callable[[dict[str, Tensor]], dict[str, Tensor]]


def fill_trainable_block(
    factory: BlockFactory, job: Job, index: int, stored: dict[str, Tensor], rotations: RotationSet
) -> TrainableBlock:
    """The block as the quantized model runs it; rounding of activations and of the KV cache passes gradients through.

    Args:
        stored: a rounded block; not modified.
    """
    module = fill_quantized_block(factory, job, index, stored, rotations, rounding=round_straight_through)
    kv = kv_quantizer(job, rotations, stored, rounding=round_straight_through)
    make = _train_factors if isinstance(job.recipe.recovery, LoRARecovery) else _train_scales
    parameters, trained = make(module, job, index, stored)
    return TrainableBlock(module, kv, parameters, torch.no_grad()(trained))


#: What is trained, and how it goes into the stored block.
_Trained = tuple[list[nn.Parameter], Callable[[dict[str, Tensor]], dict[str, Tensor]]]


def _train_scales(module: nn.Module, job: Job, index: int, stored: dict[str, Tensor]) -> _Trained:
    """Scales that are free floats, those of NVFP4 and MXFP4 not, and the gains of the norms in front of linears."""
    linears: dict[str, ScaledLinear] = {}
    for name, schemes in block_schemes(job, index).items():
        weight = stored_weight(stored, name, schemes)
        if isinstance(weight, QuantizedWeight) and FORMATS[weight.format].scales == "free":
            plain = module.get_submodule(name)
            assert isinstance(plain, QuantizedLinear)
            linears[name] = ScaledLinear(weight, plain)
            replace_linear(module, name, linears[name])
    gains: dict[str, nn.Parameter] = {}
    for norm in job.architecture.block_at(index).norms:
        weight = module.get_submodule(norm.name).weight
        assert isinstance(weight, nn.Parameter)
        # The block's own tensor may be the stored one.
        weight.data = weight.data.clone()
        weight.requires_grad_()
        gains[f"{norm.name}.weight"] = weight

    def trained(stored: dict[str, Tensor]) -> dict[str, Tensor]:
        result = dict(stored)
        for name, linear in linears.items():
            old = stored[f"{name}.scale"]
            result[f"{name}.scale"] = round_scale(linear.scale(), old.dtype).to(old.device)
        return result | {name: gain.detach().to(stored[name], copy=True) for name, gain in gains.items()}

    return [*(linear.change_OG for linear in linears.values()), *gains.values()], trained


def _train_factors(module: nn.Module, job: Job, index: int, _stored: dict[str, Tensor]) -> _Trained:
    """Low-rank factors beside every linear that is rounded."""
    recovery = job.recipe.recovery
    assert isinstance(recovery, LoRARecovery)
    generator = torch.Generator().manual_seed(job.recipe.calibration.seed + index)
    adapted: dict[str, AdaptedLinear] = {}
    schemes = block_schemes(job, index)
    for linear in job.architecture.block_at(index).linears:
        if takes_factors(linear, schemes[linear.name]):
            plain = module.get_submodule(linear.name)
            assert isinstance(plain, QuantizedLinear)
            adapted[linear.name] = AdaptedLinear.starting(plain, recovery.rank, generator).requires_grad_()
            plain.requires_grad_(False)
            replace_linear(module, linear.name, adapted[linear.name])

    def trained(stored: dict[str, Tensor]) -> dict[str, Tensor]:
        result = dict(stored)
        for name, linear in adapted.items():
            for part, factor in linear.factors().items():
                result[name + part] = factor.to(job.checkpoint_dtype, copy=True)
        return result

    return [factor for linear in adapted.values() for factor in (linear.a_RI, linear.b_OR)], trained
