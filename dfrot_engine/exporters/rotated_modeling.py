"""Applies R4, the rotation of what down_proj reads, while a model runs in transformers.

A checkpoint with R4 carries a copy of this code, with a class for its architecture at the end, and names that class in
config.json ("auto_map"). `from_pretrained(..., trust_remote_code=True)` runs it; nothing but torch and transformers is
needed. What it does stands in config.json as data: "rotation_config" is a copy of the transform that vLLM reads
in "quantization_config". A Hadamard matrix multiplies each block of `head_dim` channels; its inverse is in down_proj's
weights, so that without it the model would talk nonsense.
"""

# What the class at the end stands in front of is known in a checkpoint only.
# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportMissingImports=false

from __future__ import annotations

import copy
import re

import torch
from torch import Tensor, nn

try:
    from fast_hadamard_transform import hadamard_transform
except ImportError:
    hadamard_transform = None

# How the name of the matrix ends, which vLLM wants as a tensor; the code below builds it as it goes.
MATRIX = "R4_input.weight"
# Loaders that know nothing of R4 refuse a key they do not know, instead of leaving R4 out.
GUARD = "needs_trust_remote_code"


def rotate_blocks(values: Tensor, size: int) -> Tensor:
    """Each block of `size` channels, a power of two, times the orthogonal Hadamard matrix of that size."""
    blocks = values.unflatten(-1, (-1, size))
    if hadamard_transform is not None and values.is_cuda:
        return hadamard_transform(blocks.contiguous(), scale=size**-0.5).flatten(-2)
    blocks = blocks.to(torch.promote_types(values.dtype, torch.float32))
    step = 1
    while step < size:  # sums and differences of halves, then of quarters: n log n instead of n² operations
        left, right = blocks.unflatten(-1, (-1, 2, step)).unbind(-2)
        blocks = torch.stack((left + right, left - right), -2).flatten(-3)
        step *= 2
    return (blocks * size**-0.5).flatten(-2).to(values.dtype)


def rotate_inputs(model: nn.Module, rotation_config: dict) -> None:
    """Put R4 in front of every linear that the config names; activations are quantized behind it."""
    for scheme in rotation_config["config_groups"].values():
        size = scheme["head_dim"]
        places = [place for place in scheme["apply"] if place["location"] == "input"]
        patterns = [one.removeprefix("re:") for place in places for one in place["targets"]]

        def rotate(_linear: nn.Module, args: tuple, size: int = size) -> tuple:
            return (rotate_blocks(args[0], size), *args[1:])

        for name, linear in model.named_modules():
            if any(re.match(pattern, name) for pattern in patterns):
                linear.register_forward_pre_hook(rotate)


def without_guard(config):
    """A copy of the model's config that compressed-tensors accepts."""
    config = copy.deepcopy(config)
    for group in config.quantization_config["config_groups"].values():
        group.pop(GUARD, None)
    return config


class RotatesInputs:
    """In front of a model class of transformers: the same model, with R4."""

    def __init__(self, config, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        ignored = self._keys_to_ignore_on_load_unexpected or ()
        self._keys_to_ignore_on_load_unexpected = {*ignored, re.escape(MATRIX) + "$"}
        rotate_inputs(self, config.rotation_config)

    @classmethod
    def from_pretrained(cls, folder, *args, config=None, **kwargs):
        if config is None:
            config = cls.config_class.from_pretrained(folder)
        return super().from_pretrained(folder, *args, config=without_guard(config), **kwargs)
