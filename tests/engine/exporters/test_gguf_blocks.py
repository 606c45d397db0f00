"""Codes in GGUF's blocks, read back with the gguf package."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants

from dfrot_engine.errors import RunError
from dfrot_engine.exporters.gguf_blocks import as_type, interleaved_rows, pack_codes, take_rows
from dfrot_engine.exporters.gguf_table import CODE_TYPES, code_type
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.quantizers.weight import QuantizedWeight, grouped
from dfrot_engine.recipe import WeightScheme

SCHEMES = [WeightScheme(format=name, symmetric=symmetric, group_size=32) for name, symmetric in CODE_TYPES]  # pyright: ignore[reportArgumentType]


def rounded(scheme: WeightScheme, *, size: float = 1.0) -> QuantizedWeight:
    weight = size * torch.randn(24, 96, generator=torch.Generator().manual_seed(0))
    weight[3, :32] = 0
    weight[4, 32:64] = weight[4, 32:64].abs()  # all on one side of zero
    return solve_rtn(weight, scheme, scale_dtype=torch.float16)


def read_back(weight: QuantizedWeight, kind: str) -> torch.Tensor:
    return torch.from_numpy(quants.dequantize(pack_codes(weight, kind), GGMLQuantizationType[kind]))


@pytest.mark.parametrize("scheme", SCHEMES, ids=code_type)
@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_codes_come_back(scheme: WeightScheme, size: float) -> None:
    """Bit for bit; the minima of Q4_1 are float16, so that values shift by a 136th of a step at most."""
    weight = rounded(scheme, size=size)
    kind = code_type(scheme)
    assert kind is not None
    error = (read_back(weight, kind) - weight.dequantize()).abs()
    if scheme.symmetric:
        assert not error.any()
    else:
        steps = grouped(error, 32) / weight.scale_OG.float()[..., None]
        assert 0 < steps.max() < 1 / 136
    assert weight.codes_OI.min() == (-8 if scheme.format == "int4" else -128)


def test_small_weights_keep_their_bits() -> None:
    """At 8 bits their scales lie among float16's subnormal numbers."""
    weight = 1e-3 * torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    scheme = WeightScheme(format="int8", group_size=32, clip_ratio=1.0)
    error = (solve_rtn(weight, scheme, scale_dtype=torch.float16).dequantize() - weight).norm() / weight.norm()
    assert error < 0.01


@pytest.mark.parametrize(
    "scheme",
    [
        WeightScheme(group_size=64),
        WeightScheme(granularity="per-channel"),
        WeightScheme(format="int8", symmetric=False, group_size=32),
        WeightScheme(format="int3", group_size=32),
        WeightScheme(format="mxfp4"),
    ],
)
def test_other_codes_have_no_type(scheme: WeightScheme) -> None:
    assert code_type(scheme) is None


def test_rows_are_reordered_as_llama_cpp_wants_them() -> None:
    """Rows i and i + half of each head become neighbours; a weight's parts stay together."""
    assert interleaved_rows(8, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    weight = rounded(WeightScheme(symmetric=False, group_size=32))
    rows = interleaved_rows(24, 3)
    taken = take_rows(weight, rows)
    assert isinstance(taken, QuantizedWeight)
    assert torch.equal(taken.dequantize(), weight.dequantize()[rows])


def test_numbers_beyond_float16_are_refused() -> None:
    assert as_type(torch.tensor([1.0, 70_000.0]), "F32", "a").dtype == np.float32
    with pytest.raises(RunError, match=r"'embed' holds numbers beyond"):
        as_type(torch.tensor([[1.0, 70_000.0]]), "F16", "embed")
