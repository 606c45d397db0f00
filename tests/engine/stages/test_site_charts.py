"""Errors by place and block, and of every token of the map, as a run leaves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dfrot_engine import DFRotError
from dfrot_engine.architectures.base import Block, Linear, Norm, Space
from dfrot_engine.calibration.samplers import RowSample, spread_positions
from dfrot_engine.charts import ActivationMap, TokenErrors
from dfrot_engine.site_charts import CellErrors, SiteErrors
from dfrot_engine.stages import calibrate
from dfrot_engine.stages.cell_errors import site_readers
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama-tied", tmp_path_factory.mktemp("model") / "tiny")


def test_errors_are_known_by_site_and_block_and_for_every_token_of_the_map(model: Path, tmp_path: Path) -> None:
    run_tiny(tiny_recipe(model), tmp_path / "out", keep_work=True)
    charts = tmp_path / "out.dfrot" / "charts"
    together = TokenErrors.load(charts / "token_error.npz").series
    rows, cells = SiteErrors.load(charts / "site_errors.npz"), CellErrors.load(charts / "cell_errors.npz")
    assert rows.sites == cells.sites == ("attention", "mlp")
    assert list(rows.errors) == list(cells.errors) == list(together)
    for kind, series in rows.at(None, None).series.items():
        assert series.mean == pytest.approx(together[kind].mean)
    places = [rows.at(site, block).series["hadamard"] for site in (0, 1) for block in (0, 1)]
    assert [one.rank[-1] for one in places] == [4 * 64] * 4
    assert np.mean([one.mean for one in places]) == pytest.approx(together["hadamard"].mean)
    assert len({one.mean for one in places}) == 4
    assert not rows.at(7, None).series
    # A token of the first sequence that was sampled as well has the same error in both files.
    sample = RowSample.load(tmp_path / "out.dfrot" / "calibrate" / "rows.safetensors")
    first = (sample.sample_N == 0).nonzero()[:, 0][:20].tolist()
    for row in first:
        place = (int(sample.site_N[row]), int(sample.block_N[row]), int(sample.position_N[row]))
        for kind, error in cells.of(*place).items():
            assert error == pytest.approx(float(rows.errors[kind][row]), rel=0.05, abs=0.002)
    assert first
    assert set(cells.of(1, 1, 63)) == set(together)
    assert cells.of(1, 1, 64) == {}


def test_the_map_is_known_in_front_of_every_site(model: Path, tmp_path: Path) -> None:
    run_tiny(tiny_recipe(model), tmp_path / "out")
    chart = ActivationMap.load(tmp_path / "out.dfrot" / "charts" / "activation_map.npz")
    assert chart.site_value.shape == chart.site_is_massive.shape == (2, 2, 64)
    assert np.allclose(chart.site_value[0], chart.value, rtol=0.01), "attention reads what enters the block"
    assert not np.allclose(chart.site_value[1], chart.value, rtol=0.01)


def test_where_room_is_short_some_tokens_are_kept(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(model)
    width = 64
    monkeypatch.setattr(calibrate, "FIRST_BYTES", 10 * 2 * 2 * width * 2)
    run_tiny(recipe, tmp_path / "out")
    cells = CellErrors.load(tmp_path / "out.dfrot" / "charts" / "cell_errors.npz")
    kept = np.isfinite(cells.errors["none"]).sum(axis=2)
    assert (kept > 0).all()
    assert (kept < 64).all()
    empty = np.argwhere(np.isnan(cells.errors["none"]))[0]
    assert cells.of(*empty.tolist()) == {}


def test_massive_tokens_are_kept_first() -> None:
    massive = torch.zeros(100, dtype=torch.bool)
    massive[[0, 37]] = True
    for most in (1, 2, 5, 20):
        chosen = spread_positions(massive, most).tolist()
        assert len(chosen) == most
        assert {0, 37} <= set(chosen) if most > 1 else chosen == [0]
    assert spread_positions(massive, 100).tolist() == list(range(100))
    assert max(spread_positions(massive, 20).tolist()) == 99


def test_a_tensor_that_feeds_both_says_so() -> None:
    linears = (Linear("q", Space.RESIDUAL, Space.QUERY), Linear("up", Space.RESIDUAL, Space.MLP_HIDDEN))
    assert site_readers(Block(linears, (Norm("ln", ("q", "up")),))) == ("attention, mlp",)
    assert site_readers(Block(linears, (Norm("b", ("up", "router")),), bare=(("q",),))) == ("mlp", "attention")


def test_files_of_earlier_versions_and_damaged_ones(tmp_path: Path) -> None:
    old = ActivationMap(np.ones((2, 3), np.float32), np.zeros((2, 3), np.bool_), np.array(["a", "b", "c"]))
    old.save(tmp_path / "old.npz")
    assert ActivationMap.load(tmp_path / "old.npz").site_value.size == 0
    for chart in (SiteErrors, CellErrors):
        with pytest.raises(DFRotError, match="missing or damaged"):
            chart.load(tmp_path / "old.npz")
