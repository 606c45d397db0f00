"""The files of a model on the Hub, into the Hub's own cache; finished files survive a stop."""

from __future__ import annotations

import glob
from pathlib import Path

from huggingface_hub import snapshot_download

from dfrot_engine.checkpoint.download_progress import Meter, bar_class
from dfrot_engine.checkpoint.facts import COMPANIONS, Progress
from dfrot_engine.checkpoint.hub_cache import NOT_IN_SUBFOLDERS, cached_snapshot, sweep_incomplete
from dfrot_engine.checkpoint.hub_errors import endpoint
from dfrot_engine.checkpoint.hub_facts import TIMEOUT_S, explained, inspect_hub

CONNECTIONS = 4


def fetch_hub(model_id: str, revision: str, progress: Progress) -> Path:
    """Download what a run needs of a model, unless a complete copy is there; returns its folder.

    Raises:
        ModelError, HubError: as `inspect_hub`.
        DiskError: the cache's disk is full.
        BaseException: whatever `progress` raises; the download stops at the next piece of each connection.
    """
    snapshot = cached_snapshot(model_id, revision)
    if snapshot is not None:
        return snapshot
    facts = inspect_hub(model_id, revision)
    shards = {header.shard for header in facts.headers.values()}
    meter = Meter(facts.download_bytes, f"Downloading {model_id}", progress)
    meter.moved()
    try:
        with explained(model_id, revision):
            path = snapshot_download(
                model_id,
                # The branch and not the commit: the cache then knows which commit the branch was.
                revision=revision,
                endpoint=endpoint(),
                allow_patterns=[*COMPANIONS, *map(glob.escape, sorted(shards))],
                ignore_patterns=list(NOT_IN_SUBFOLDERS),
                tqdm_class=bar_class(meter),
                etag_timeout=TIMEOUT_S,
                max_workers=CONNECTIONS,
            )
    finally:
        sweep_incomplete(model_id)
        # The client may wrap or lose what a callback raised.
        if meter.stopped is not None:
            raise meter.stopped
    meter.finished()
    return Path(str(path))
