"""Plausible arrays of a run's charts."""

from __future__ import annotations

import numpy as np

from dfrot_engine.charts import ActivationMap, ErrorSeries, TokenErrors
from dfrot_engine.site_charts import CellErrors, SiteErrors

NUM_BLOCKS, NUM_TOKENS = 30, 512
MASSIVE_POSITIONS = (0, 28, 144, 311, 403)
KINDS = {"none": (0.165, 0.26), "random-orthogonal": (0.098, 0.59), "hadamard": (0.094, 0.49), "dfrot": (0.087, 0.15)}


def token_errors(seed: int = 0) -> TokenErrors:
    """1,200 sorted points per rotation, standing for 131,072 tokens of which 0.4 % are massive."""
    random = np.random.default_rng(seed)
    series = {}
    for kind, (mean, massive_mean) in KINDS.items():
        ordinary = np.sort(mean * np.exp(random.normal(0, 0.45 if kind == "none" else 0.07, 130_560)))[::-1]
        massive = np.sort(np.clip(massive_mean * np.exp(random.normal(0, 0.35, 512)), 0, 1))[::-1]
        everything = np.sort(np.concatenate([ordinary, massive]))[::-1]
        picked = np.unique(np.geomspace(1, len(everything), 1_200).astype(np.int64))
        massive_rank = np.searchsorted(-everything, -massive, side="left") + 1
        blocks = mean * (1 + 0.25 * np.sin(np.arange(NUM_BLOCKS) / 5)) * random.uniform(0.95, 1.05, NUM_BLOCKS)
        series[kind] = ErrorSeries(
            rank=picked.astype(np.float64),
            error=everything[picked - 1].astype(np.float32),
            massive_rank=massive_rank[::8].astype(np.float64),
            massive_error=massive[::8].astype(np.float32),
            block_mean=blocks.astype(np.float32),
            mean=float(everything.mean()),
            p999=float(everything[131]),
            massive_mean=float(massive.mean()),
        )
    return TokenErrors(series)


def activation_map(seed: int = 0) -> ActivationMap:
    """A few massive tokens standing out of the noise by two orders of magnitude."""
    random = np.random.default_rng(seed)
    value = random.gamma(2.0, 1.5, (NUM_BLOCKS, NUM_TOKENS)) * np.linspace(0.6, 2, NUM_BLOCKS)[:, None]
    is_massive = np.zeros(value.shape, dtype=bool)
    for position in MASSIVE_POSITIONS:
        is_massive[3:28, position] = True
        value[3:28, position] = (3_900 if position == 0 else 640) * random.uniform(0.9, 1.1, 25)
    words = ["<s>", " the", " cat", ".", "\n", " rotation", " of", " <b>"]
    tokens = np.array([words[0]] + [words[1 + index % 7] for index in range(NUM_TOKENS - 1)])
    value = value.astype(np.float32)
    return ActivationMap(value, is_massive, tokens, np.stack([value, 1.2 * value]), np.stack([is_massive] * 2))


def site_errors(seed: int = 0) -> SiteErrors:
    """Two inputs of every block, 40 tokens of each, a tenth of them massive; the MLP's are half as large again."""
    random = np.random.default_rng(seed)
    site, block, row = (grid.ravel() for grid in np.meshgrid(range(2), range(NUM_BLOCKS), range(40), indexing="ij"))
    is_massive = row < 4
    errors = {
        kind: (np.where(is_massive, massive, mean) * (1 + 0.5 * site) * random.uniform(0.9, 1.1, len(row)))
        for kind, (mean, massive) in KINDS.items()
    }
    return SiteErrors(
        ("attention", "mlp"),
        {kind: error.astype(np.float32) for kind, error in errors.items()},
        np.full(len(row), 50.0, np.float32),
        is_massive,
        block.astype(np.int32),
        site.astype(np.int32),
    )


def cell_errors() -> CellErrors:
    """The errors of every token of the map; position 5 was not kept."""
    is_massive = activation_map().site_is_massive
    errors = {kind: np.where(is_massive, massive, mean).astype(np.float32) for kind, (mean, massive) in KINDS.items()}
    for error in errors.values():
        error[1] *= 1.5
        error[:, :, 5] = np.nan
    return CellErrors(("attention", "mlp"), errors)
