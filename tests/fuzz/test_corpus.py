"""Every input that fuzzing found worth keeping, once more: a result or a sentence, in little memory and time."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from tests.fuzz.targets import CORPUS, MOST_BYTES, MOST_MEMORY_BYTES, MOST_S, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_read_or_refused(name: str, tmp_path: Path) -> None:
    target, folder = TARGETS[name], tmp_path / "in"
    folder.mkdir()
    inputs = sorted((CORPUS / name).iterdir())
    refused = []
    tracemalloc.start()
    for path in inputs:
        data = path.read_bytes()
        assert len(data) <= MOST_BYTES, path
        began = time.monotonic()
        try:
            refused.append(target.try_out(data, folder) is not None)
        except Exception as fault:
            pytest.fail(f"{path}: {fault!r}")
        assert time.monotonic() - began < MOST_S, path
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_MEMORY_BYTES
    assert any(refused), "something in it is refused"
    assert not all(refused), "and something is read"


def test_there_is_no_corpus_without_a_reader() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
