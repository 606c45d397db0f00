from __future__ import annotations

from pathlib import Path

import torch

from dfrot_engine.calibration.samplers import RowSample, sample_rows


def sample(quota: int) -> RowSample:
    rows = torch.arange(40.0).reshape(20, 2)
    massive = torch.zeros(20, dtype=torch.bool)
    massive[[0, 10]] = True
    generator = torch.Generator().manual_seed(0)
    return sample_rows(
        rows.__getitem__,
        massive,
        rows.amax(1),
        num_tokens=10,
        block=3,
        site=1,
        quota=quota,
        generator=generator,
    )


def test_massive_tokens_are_all_kept_and_shares_add_up() -> None:
    kept = sample(quota=6)
    assert kept.is_massive_N.sum() == 2
    assert len(kept.rows_ND) == 8
    assert torch.allclose(kept.share_N.sum(), torch.tensor(20.0))
    assert torch.allclose(kept.share_N[kept.is_massive_N], torch.ones(2))


def test_every_row_knows_where_it_came_from() -> None:
    kept = sample(quota=20)
    first_value = (kept.sample_N * 10 + kept.position_N) * 2
    assert torch.equal(kept.rows_ND[:, 0], first_value.float())
    assert set(kept.block_N.tolist()) == {3}
    assert set(kept.site_N.tolist()) == {1}


def test_comes_back_from_its_file(tmp_path: Path) -> None:
    kept = RowSample.join([sample(4), sample(5)])
    kept.save(tmp_path / "rows.safetensors")
    loaded = RowSample.load(tmp_path / "rows.safetensors")
    assert all(torch.equal(value, getattr(loaded, name)) for name, value in vars(kept).items())
