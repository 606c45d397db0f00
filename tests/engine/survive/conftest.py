"""One warm process and one model for all tests of this folder; nothing may ever change the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.survive.killing import arguments
from tests.engine.survive.warm import Warm, warm_process
from tests.tiny_models import save_tiny_model


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "tiny"
    return save_tiny_model("llama-tied", folder, intermediate_size=128)


@pytest.fixture
def model(source: Path) -> Iterator[Path]:
    """The model, which is compared with itself after the test."""
    before = _stamps(source)
    yield source
    assert _stamps(source) == before


@pytest.fixture(scope="session")
def warm(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with warm_process(arguments("qronos", source, tmp_path_factory.mktemp("warm") / "out")) as warm:
        yield warm


def _stamps(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in folder.iterdir()
    }
