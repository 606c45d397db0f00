"""One model for all tests of this folder, which nothing may ever change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def _stamps(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in folder.iterdir()
    }
