from __future__ import annotations

import torch

from dfrot_engine.recipe import Hadamard, Householder
from dfrot_engine.rotations import BUILDERS
from dfrot_engine.rotations.householder import principal_component, reflect
from dfrot_engine.rotations.random import random_orthogonal
from tests.engine.rotations.planted import WIDTH, data_of, deviation


def test_maps_the_principal_component_onto_the_constant_vector() -> None:
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(WIDTH, generator=generator)
    data = data_of(torch.randn(500, WIDTH, generator=generator) + 3 * common)
    rotation = next(BUILDERS[Householder](Householder(), WIDTH, data)).rotation_DD
    image = principal_component(data.rows_ND, data.share_N) @ rotation
    assert torch.allclose(image, torch.full_like(image, WIDTH**-0.5), atol=1e-10)


def test_helps_an_asymmetric_grid_where_tokens_share_an_offset() -> None:
    generator = torch.Generator().manual_seed(0)
    offset = 4 * torch.randn(WIDTH, generator=generator)
    data = data_of(torch.randn(500, WIDTH, generator=generator) + offset, symmetric=False)
    errors = []
    for section in (Hadamard(), Householder()):
        rotated = data.rows_ND @ next(BUILDERS[type(section)](section, WIDTH, data)).rotation_DD.float()
        errors.append(float((data.quantize(rotated) - rotated).square().sum()))
    assert errors[1] < 0.7 * errors[0]


def test_a_reflection_of_a_vector_onto_itself_is_nothing() -> None:
    rotation = random_orthogonal(WIDTH, 0)
    unit = torch.ones(WIDTH, dtype=torch.float64) / WIDTH**0.5
    assert torch.equal(reflect(rotation, unit, unit), rotation)
    assert deviation(reflect(rotation, unit, -unit)) < 1e-12
