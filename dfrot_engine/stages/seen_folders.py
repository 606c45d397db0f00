"""Which ranks see the folders that the first one has written: on the same computer, or on a shared disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfrot_engine.distributed import Ranks


def share_of_seen(ranks: Ranks, folders: Sequence[Path], number: int) -> slice:
    """This rank's part of so many things that need these folders; none where they are not the first rank's."""
    if ranks.is_alone:
        return slice(0, number)
    listings = ranks.all_facts([_listing(folder) for folder in folders])
    seeing = [rank for rank, listing in enumerate(listings) if listing == listings[0]]
    if ranks.rank not in seeing:
        return slice(0, 0)
    place = seeing.index(ranks.rank)
    return slice(place * number // len(seeing), (place + 1) * number // len(seeing))


def _listing(folder: Path) -> dict[str, list[int]]:
    """File → size and time of change."""
    try:
        files = [(path.relative_to(folder).as_posix(), path.stat()) for path in sorted(folder.rglob("*"))]
    except OSError:
        return {}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in files}
