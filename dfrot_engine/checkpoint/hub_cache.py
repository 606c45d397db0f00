"""The Hub client's cache on this computer, shared with every other program that uses it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from huggingface_hub import HFCacheInfo, constants, scan_cache_dir, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import CacheNotFound, HFValidationError

from dfrot_engine.checkpoint.facts import COMPANIONS, ModelFile
from dfrot_engine.checkpoint.hub_errors import explain
from dfrot_engine.checkpoint.local import CONFIG, TOKENIZER_FILES, has_weights
from dfrot_engine.errors import DiskError

NOT_IN_SUBFOLDERS = ("*/*",)


def cache_folder() -> Path:
    return Path(constants.HF_HUB_CACHE)


def cached_snapshot(model_id: str, revision: str) -> Path | None:
    """The folder of a model whose download is complete; asks no network.

    Raises:
        ModelError: the id is not one the Hub could have.
    """
    try:
        path = snapshot_download(
            model_id,
            revision=revision,
            allow_patterns=list(COMPANIONS),
            ignore_patterns=list(NOT_IN_SUBFOLDERS),
            local_files_only=True,
        )
    except HFValidationError as error:
        raise explain(error, model_id, revision) from None
    except OSError:  # not there, or known to be incomplete
        return None
    folder = Path(str(path))
    # The client knows what is missing only when it made the listing itself; older caches have none.
    has_tokenizer = any((folder / name).is_file() for name in TOKENIZER_FILES)
    return folder if (folder / CONFIG).is_file() and has_tokenizer and has_weights(folder) else None


def is_downloaded(model_id: str) -> bool:
    """Whether config and weights of the main branch are there; cheap enough for every line of a search."""
    try:
        config = try_to_load_from_cache(model_id, CONFIG)
    except HFValidationError:  # an answer may hold anything
        return False
    return isinstance(config, str) and has_weights(Path(config).parent)


def missing_bytes(model_id: str, commit: str, files: tuple[ModelFile, ...]) -> int:
    """Bytes of the files that are not in the cache yet."""
    return sum(
        file.bytes
        for file in files
        if not isinstance(try_to_load_from_cache(model_id, file.name, revision=commit), str)
    )


def scan() -> HFCacheInfo | None:
    """What the cache holds; None where there is none yet or it cannot be read."""
    try:
        return scan_cache_dir(cache_folder())
    except (CacheNotFound, ValueError, OSError):
        return None


def cached_bytes(model_id: str) -> int:
    """What a model takes in the cache, with all its revisions."""
    cache = scan()
    repos = cache.repos if cache is not None else ()
    return sum(repo.size_on_disk for repo in repos if (repo.repo_type, repo.repo_id) == ("model", model_id))


def delete_cached(model_id: str) -> int:
    """Remove a model with all its revisions from the cache; returns the bytes that are free again.

    Raises:
        DiskError: files of it cannot be removed.
    """
    cache = scan()
    if cache is None:
        return 0
    mine = [repo for repo in cache.repos if (repo.repo_type, repo.repo_id) == ("model", model_id)]
    strategy = cache.delete_revisions(*(revision.commit_hash for repo in mine for revision in repo.revisions))
    strategy.execute()
    left = [repo.repo_path for repo in mine if repo.repo_path.exists()]
    if left:  # the client only logs what it could not remove
        raise DiskError(f"'{model_id}' could not be deleted.", f"Check who may write in {left[0]}.", "model.id_or_path")
    return strategy.expected_freed_size


def sweep_incomplete(model_id: str) -> None:
    """Remove what a broken or stopped download left, but nothing that another program is still writing.

    Every download of the client goes into a file of its own, so that none is ever taken up again. While it writes one
    it holds the lock of what the file becomes.
    """
    room = f"models--{model_id.replace('/', '--')}"
    for path in (cache_folder() / room / "blobs").glob("*.incomplete"):
        lock = FileLock(cache_folder() / ".locks" / room / f"{path.name.rsplit('.', 2)[0]}.lock", mode=0o664)
        with suppress(Timeout, OSError), lock.acquire(timeout=0):
            path.unlink(missing_ok=True)
