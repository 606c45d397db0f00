"""Keep a bounded number of rows of a site: every massive token, the others uniformly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dfrot_engine.whole_file import whole_file


@dataclass(frozen=True)
class RowSample:
    """Sampled tokens of one or many sites.

    Args:
        rows_ND: float32 tokens behind the norm, its gain left out.
        share_N: float32, how many tokens of its kind each row stands for.
        is_massive_N: bool.
        block_N, site_N, sample_N, position_N: int32, where each token was (site: index of the norm in its block).
        peak_N: float32, max|h| of the residual stream in front of the norm.
    """

    rows_ND: Tensor
    share_N: Tensor
    is_massive_N: Tensor
    block_N: Tensor
    site_N: Tensor
    sample_N: Tensor
    position_N: Tensor
    peak_N: Tensor

    def save(self, path: Path) -> None:
        tensors = {field.name: getattr(self, field.name).contiguous() for field in fields(self)}
        with whole_file(path, sum(tensor.nbytes for tensor in tensors.values())) as draft:
            save_file(tensors, draft)

    @staticmethod
    def load(path: Path) -> RowSample:
        return RowSample(**load_file(path))

    @staticmethod
    def join(parts: list[RowSample]) -> RowSample:
        return RowSample(
            **{field.name: torch.cat([getattr(part, field.name) for part in parts]) for field in fields(RowSample)}
        )


def sample_rows(
    rows_of: Callable[[Tensor], Tensor],
    is_massive_N: Tensor,
    peak_N: Tensor,
    *,
    num_tokens: int,
    block: int,
    site: int,
    quota: int,
    generator: torch.Generator,
) -> RowSample:
    """At most `quota` ordinary and `quota` massive rows of one site, each kind drawn uniformly.

    Args:
        rows_of: numbers of tokens → [n, D] these tokens of the site.
        is_massive_N, peak_N: for all its tokens.
        num_tokens: in each sequence.
    """
    kept, shares = [], []
    for kind in (is_massive_N, ~is_massive_N):
        candidates = kind.nonzero()[:, 0]
        order = torch.randperm(len(candidates), generator=generator)[:quota]
        chosen = candidates[order].sort().values
        kept.append(chosen)
        shares.append(torch.full((len(chosen),), len(candidates) / max(1, len(chosen))))
    index = torch.cat(kept)
    return RowSample(
        rows_ND=rows_of(index).float(),
        share_N=torch.cat(shares).float(),
        is_massive_N=is_massive_N[index],
        block_N=torch.full((len(index),), block, dtype=torch.int32),
        site_N=torch.full((len(index),), site, dtype=torch.int32),
        sample_N=(index // num_tokens).to(torch.int32),
        position_N=(index % num_tokens).to(torch.int32),
        peak_N=peak_N[index].float(),
    )


def spread_positions(is_massive_T: Tensor, most: int) -> Tensor:
    """At most `most` positions of a sequence, rising: all if they fit, else the massive ones and an even share."""
    length = len(is_massive_T)
    if length <= most:
        return torch.arange(length)
    even = torch.linspace(0, length - 1, max(1, most)).long()
    massive = is_massive_T.nonzero()[:, 0][:most]
    others = even[~torch.isin(even, massive)]
    wanted = most - len(massive)
    chosen = others[torch.linspace(0, len(others) - 1, min(wanted, len(others))).long()]
    return torch.cat([massive, chosen]).unique()
