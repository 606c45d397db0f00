"""A checkpoint folder on this computer: is it one, and what is in it."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from dfrot_engine.checkpoint.facts import COMPANIONS, ModelFacts, ModelFile, has_pickles, license_of
from dfrot_engine.checkpoint.headers import INDEX, read_headers, read_weight_map, shards_of
from dfrot_engine.checkpoint.json_files import MODEL_FIELD, read_json_object
from dfrot_engine.errors import ModelError

CONFIG = "config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")

Signature = tuple[tuple[str, int, int], ...]


def inspect_folder(folder: Path, *, model_id: str, revision: str = "") -> ModelFacts:
    """Facts of a checkpoint folder; the answer is kept until a file of the folder changes.

    Raises:
        ModelError: not a folder, no config.json, no or broken safetensors; says what to choose instead.
    """
    return _facts(folder, _signature(folder), model_id, revision)


def check_tokenizer(folder: Path) -> None:
    """Raises: ModelError: the folder has no tokenizer."""
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(
            f"{folder} has no tokenizer ({', '.join(TOKENIZER_FILES)}).",
            "Copy the tokenizer's files of the original model beside the weights.",
            MODEL_FIELD,
        )


def has_weights(folder: Path) -> bool:
    """Whether every safetensors shard is there; says nothing about what is in them."""
    try:
        index = folder / INDEX
        shards = shards_of(folder, read_weight_map(read_json_object(index)) if index.is_file() else None)
    except ModelError:
        return False
    return all((folder / shard).is_file() for shard in shards)


@lru_cache(maxsize=16)
def _facts(folder: Path, signature: Signature, model_id: str, revision: str) -> ModelFacts:
    sizes = {name: num_bytes for name, num_bytes, _ in signature}
    _check_contents(folder, set(sizes))
    _check_links(folder, sizes)
    config = read_json_object(folder / CONFIG)
    headers = read_headers(folder)
    shards = {header.shard for header in headers.values()}
    files = tuple(
        ModelFile(name, sizes[name])
        for name in sorted(sizes)
        if name in shards or any(fnmatchcase(name, pattern) for pattern in COMPANIONS)
    )
    return ModelFacts(
        id=model_id,
        revision=revision,
        config=config,
        headers=headers,
        files=files,
        folder=folder,
        download_bytes=0,
        license=license_of(folder),
        gated=False,
    )


def _signature(folder: Path) -> Signature:
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        stats = [(path.name, path.stat()) for path in paths]
    except OSError as error:
        raise ModelError(
            f"Cannot read the folder {folder}: {error.strerror}.", "Check the path and its permissions.", MODEL_FIELD
        ) from None
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _check_links(folder: Path, names: Iterable[str]) -> None:
    """Small files travel with the result: a link must not fetch somebody's own files into it. Weights may be links."""
    home = folder.resolve()
    # The Hub's cache keeps the files themselves beside its snapshots.
    allowed = (home, home.parent.parent / "blobs") if home.parent.name == "snapshots" else (home,)
    for name in names:
        path = folder / name
        if not path.is_symlink() or not any(fnmatchcase(name, pattern) for pattern in COMPANIONS):
            continue
        target = path.resolve()
        if not any(target.is_relative_to(one) for one in allowed):
            raise ModelError(
                f"{path} is a link to {target}, outside the model's folder.",
                "Copy the file itself into the folder, if you know that it belongs there.",
                MODEL_FIELD,
            )


def _check_contents(folder: Path, names: set[str]) -> None:
    if any(name.endswith(".safetensors") for name in names) and CONFIG in names:
        return
    if not names:
        reason, remedy = "has no files", "Choose the folder that holds config.json and the .safetensors files."
    elif "adapter_config.json" in names:
        reason, remedy = "holds an adapter, not a model", "Merge it into its base model first, then choose the result."
    elif any(name.endswith(".gguf") for name in names):
        reason, remedy = "holds GGUF files", "Choose the .gguf file itself."
    elif CONFIG not in names:
        reason, remedy = f"has no {CONFIG}", "Choose the folder that holds config.json and the .safetensors files."
    elif has_pickles(names):
        reason, remedy = (
            "holds its weights only as pickles (.bin, .pt), which can run code when they are opened",
            "Convert them to safetensors first, or choose a model published as safetensors.",
        )
    else:
        reason, remedy = "holds no safetensors file", "Copy the .safetensors files beside config.json."
    raise ModelError(f"The folder {folder} {reason}.", remedy, MODEL_FIELD)
