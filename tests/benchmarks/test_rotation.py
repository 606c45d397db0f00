"""The benchmark itself, on a few rows."""

from __future__ import annotations

import json

import pytest
import torch

from dfrot_engine.rotations.random import random_hadamard
from tests.benchmarks.activations import synthetic
from tests.benchmarks.grids import GRIDS, paper_loss, paper_quantizer
from tests.benchmarks.measuring import squared_errors
from tests.benchmarks.methods import METHODS, Problem, alternate
from tests.benchmarks.rotation import main

WIDTH, ROWS = 48, 3_000
CPU = torch.device("cpu")


def problem(gamma: float = 10.0) -> Problem:
    found = synthetic(WIDTH, ROWS, device=CPU)
    return Problem(
        rows_ND=found.rows_ND,
        weight_N=torch.where(found.is_massive_N, gamma**2, 1.0),
        start_DD=random_hadamard(WIDTH, 0).matrix(),
        grid=GRIDS["paper"],
        iterations=100,
    )


def test_ours_end_no_higher_than_the_plain_loop() -> None:
    asked = problem()
    losses = {}
    for name, method in METHODS.items():
        error_N = squared_errors(asked.rows_ND, method(asked).rotation_DD, asked.grid.quantize)
        losses[name] = float((asked.weight_N * error_N).sum())
    assert losses["dfrot"] <= 1.005 * losses["plain"]


def test_plain_loop_reports_the_loss_of_all_rows() -> None:
    asked = problem()
    _, losses = alternate(asked.rows_ND.double(), asked.weight_N, asked.start_DD, asked.grid.quantize, iterations=2)
    error_N = squared_errors(asked.rows_ND, asked.start_DD, asked.grid.quantize)
    assert losses[0] == pytest.approx(float((asked.weight_N * error_N).sum()), rel=1e-6)
    assert losses[1] < losses[0]


def test_gradient_of_the_paper_grid_is_the_slope_between_jumps() -> None:
    values = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = 1e-7 * torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    loss, gradient = paper_loss(values)
    rise = paper_loss(values + step)[0] - paper_loss(values - step)[0]
    torch.testing.assert_close(rise, 2 * (gradient * step).sum(-1), rtol=1e-5, atol=1e-12)
    torch.testing.assert_close(loss, (paper_quantizer(values) - values).square().sum(-1))


def test_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--model", "synthetic", "--width", "32", "--rows", "1000", "--iterations", "5", "--device", "cpu"]
    assert main([*command, "--methods", "dfrot", "plain", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["method"] for one in found["methods"]] == ["dfrot", "plain"]
    for one in found["methods"]:
        assert one["loss"] < found["methods"][1]["losses"][0]
        assert one["deviation"] < 1e-10
    assert found["activations"]["massive"] == 10
    assert set(found["against_plain"]) == {"dfrot"}
    assert main([*command, "--methods", "dfrot"]) == 0
    assert "dfrot" in capsys.readouterr().out
