"""Experts' weights in one tensor for all of them, as transformers holds them in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from dfrot_engine.checkpoint.blocks import PACKED

_PACKED_IN = {linear: ending.rpartition(".")[2] for ending, linears in PACKED.items() for linear in linears}
_EXPERT = re.compile(r"(?P<experts>.*experts[.])(?P<number>[0-9]+)[.](?P<linear>gate_proj|up_proj|down_proj)[.]weight")


def pack_experts(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A block's tensors with experts' weights packed; other tensors as they are.

    Args:
        tensors: by name; of experts either all of a kind or none.
    """
    packed: dict[str, list[Tensor]] = {}
    others: dict[str, Tensor] = {}
    for name, tensor in sorted(tensors.items(), key=lambda item: _in_packed_order(item[0])):
        found = _EXPERT.fullmatch(name)
        if found is None:
            others[name] = tensor
        else:
            packed.setdefault(found["experts"] + _PACKED_IN[found["linear"]], []).append(tensor)
    for name, parts in packed.items():
        linears = next(linears for ending, linears in PACKED.items() if name.endswith(ending))
        rows = [torch.cat(parts[at : at + len(linears)]) for at in range(0, len(parts), len(linears))]
        others[name] = torch.stack(rows)
    return others


def _in_packed_order(name: str) -> tuple[int, str]:
    """Experts by their number, gate_proj before up_proj."""
    found = _EXPERT.fullmatch(name)
    return (int(found["number"]) if found else -1, name)
