from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfrot_engine import DataError
from dfrot_engine.calibration import datasets
from dfrot_engine.calibration.datasets import dataset_file, evaluation_windows, load_text, sample_batches
from tests.fake_hub import FakeHub


def test_plain_text_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "prose.TXT"
    path.write_bytes("One\r\ntwo\n\n «größe»\n".encode())
    assert load_text(str(path), "calibration") == "One\r\ntwo\n\n «größe»\n"
    path.write_bytes("\ufeffwith a mark".encode())
    assert load_text(str(path), "evaluation") == "with a mark"


def test_jsonl_documents_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "prose.jsonl"
    path.write_text('{"text": "one\u2028still one", "id": 1}\n\n{"text": "two"}\r\n', encoding="utf-8")
    assert load_text(str(path), "calibration") == "one\u2028still one\n\ntwo"


def test_parquet_documents_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "prose.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["one", None, "two"], "id": [1, 2, 3]}), path)
    assert load_text(str(path), "calibration") == "one\n\ntwo"


def test_own_texts_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for purpose in ("calibration", "evaluation"):
        (tmp_path / f"{purpose}.txt").write_text(f"text for {purpose}")
    monkeypatch.setattr(datasets, "builtin_text_path", lambda purpose: tmp_path / f"{purpose}.txt")
    assert load_text("builtin", "calibration") == "text for calibration"
    assert load_text("builtin", "evaluation") == "text for evaluation"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"caf\xe9", "not UTF-8 text \\(byte 3"),
        ("a.txt", b"  \n", "holds no text"),
        ("a.jsonl", b"\xff", "not UTF-8"),
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "Line 2 of .*a.jsonl is not JSON"),
        ("a.jsonl", b'{"txt": "x"}', 'Line 1 of .*a.jsonl has no "text"'),
        ("a.jsonl", b'{"text": 5}', 'has no "text"'),
        ("a.jsonl", b'["text"]', 'has no "text"'),
        ("a.parquet", b"PAR1 and then nothing", "not a sound parquet file"),
        ("a.parquet", b"", "not a sound parquet file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        load_text(str(tmp_path / name), "evaluation")
    assert caught.value.field == "evaluation.dataset"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("columns", "words"), [({"body": ["x"]}, 'no column "text"'), ({"text": [1, 2]}, "holds no strings")]
)
def test_parquet_of_other_things(tmp_path: Path, columns: dict[str, list[object]], words: str) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(DataError, match=words):
        load_text(str(path), "calibration")


def test_wikitexts_own_file_has_the_rows_of_the_hub(tmp_path: Path) -> None:
    path = tmp_path / "wiki.test.raw"
    path.write_text(" \n = A Title = \n \n Some text . \n", encoding="utf-8")
    # As the Hub's dataset: a row for each line, empty ones without their line break.
    rows = ["", " = A Title = \n", "", " Some text . \n"]
    assert load_text(str(path), "evaluation") == "\n\n".join(rows)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_text(str(path), "evaluation") == "\n\n".join(rows)


@pytest.mark.parametrize("dataset", ["", "nonsense", "wikitext", "model.gguf", "folder/"])
def test_unknown_names_list_the_known_ones(dataset: str) -> None:
    with pytest.raises(DataError, match="There is no dataset") as caught:
        dataset_file(dataset, "calibration")
    assert "builtin, wikitext-2, c4" in caught.value.remedy
    assert caught.value.field == "calibration.dataset"


def test_missing_file() -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_text("/no/such/text.txt", "calibration")


LOAD = """
import sys
from dfrot_engine.calibration.datasets import load_text
from dfrot_engine.errors import DataError
for dataset, purpose in (("wikitext-2", "calibration"), ("wikitext-2", "evaluation"), ("c4", "calibration")):
    if dataset == "c4":
        print(sorted(sys.modules.keys() & {"torch", "transformers"}))
    try:
        print(repr(load_text(dataset, purpose)))
    except DataError as error:
        print(error.field, error.message, error.remedy)
"""


def load_in_child(hub_url: str, home: Path, offline: str = "0") -> list[str]:
    """The lines LOAD prints; `datasets` reads its settings when it is imported, so it gets a process of its own."""
    environment = os.environ | {"HF_ENDPOINT": hub_url, "HF_HOME": str(home), "HF_HUB_OFFLINE": offline}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_named_datasets_come_from_the_hub_and_stay(tmp_path: Path) -> None:
    wikitext = tmp_path / "hub" / "datasets" / "Salesforce" / "wikitext"
    (wikitext / "wikitext-2-raw-v1").mkdir(parents=True)
    for split in ("train", "test"):
        table = pyarrow.table({"text": [f"{split} one", "", f"{split} two"]})
        name = f"{split}-00000-of-00001.parquet"
        pyarrow.parquet.write_table(table, wikitext / "wikitext-2-raw-v1" / name)
    card = "---\nconfigs:\n- config_name: wikitext-2-raw-v1\n  data_files:\n"
    card += "".join(f"  - split: {s}\n    path: wikitext-2-raw-v1/{s}-*\n" for s in ("train", "test"))
    (wikitext / "README.md").write_text(card + "---\n")
    c4 = tmp_path / "hub" / "datasets" / "allenai" / "c4" / "en"
    c4.mkdir(parents=True)
    documents = "".join(json.dumps({"text": f"document {number}"}) + "\n" for number in range(3))
    (c4 / "c4-train.00000-of-01024.json.gz").write_bytes(gzip.compress(documents.encode()))
    with FakeHub(tmp_path / "hub") as hub:
        lines = load_in_child(hub.url, tmp_path / "home")
    assert lines == [
        repr("train one\n\n\n\ntrain two"),
        repr("test one\n\n\n\ntest two"),
        "[]",
        repr("document 0\n\ndocument 1\n\ndocument 2"),
    ]
    assert load_in_child("http://127.0.0.1:9", tmp_path / "home", offline="1")[:2] == lines[:2]


def test_named_datasets_without_network(tmp_path: Path) -> None:
    lines = load_in_child("http://127.0.0.1:9", tmp_path / "home", offline="1")
    assert lines.pop(2) == "[]"
    for line, (dataset, field) in zip(
        lines, [("wikitext-2", "calibration"), ("wikitext-2", "evaluation"), ("c4", "calibration")], strict=True
    ):
        assert line.startswith(f"{field}.dataset Cannot load '{dataset}' from the Hub")
        assert "builtin" in line


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 200), st.integers(0, 2**31 - 1))
def test_samples_are_distinct_windows_of_the_text(num_samples: int, seq_len: int, extra: int, seed: int) -> None:
    tokens = np.arange(num_samples * seq_len + extra)
    batch = sample_batches(tokens, num_samples, seq_len, seed)
    assert batch.dtype == np.int64
    assert batch.shape == (num_samples, seq_len)
    assert len(np.unique(batch)) == batch.size
    assert (batch[:, 0] % seq_len == 0).all()
    assert (np.diff(batch, axis=1) == 1).all()
    assert np.array_equal(batch, sample_batches(tokens.tolist(), num_samples, seq_len, seed))


def test_seed_chooses() -> None:
    tokens = np.arange(1000)
    starts = {tuple(sample_batches(tokens, 4, 10, seed)[:, 0]) for seed in range(20)}
    assert len(starts) == 20


def test_choice_is_pinned() -> None:
    # The same recipe must give the same checkpoint in every later version.
    assert sample_batches(np.arange(100), 3, 10, 0)[:, 0].tolist() == [60, 90, 0]


def test_text_too_short_for_the_samples() -> None:
    with pytest.raises(DataError, match=r"has 5,000 tokens; 8 samples of 1,024 tokens need 8,192") as caught:
        sample_batches(np.zeros(5000, np.int64), 8, 1024, 0)
    assert "samples to 4" in caught.value.remedy
    assert "length to 625" in caught.value.remedy
    assert caught.value.field == "calibration.num_samples"
    sample_batches(np.zeros(5000, np.int64), 4, 1024, 0)
    sample_batches(np.zeros(5000, np.int64), 8, 625, 0)


def test_text_too_short_for_one_sample() -> None:
    with pytest.raises(DataError) as caught:
        sample_batches(np.zeros(10, np.int64), 1, 16, 0)
    assert "Lower the length to 10" in caught.value.remedy


def test_evaluation_windows_follow_each_other() -> None:
    tokens = list(range(35))
    assert evaluation_windows(tokens, 10, 0).tolist() == [list(range(n, n + 10)) for n in (0, 10, 20)]
    assert evaluation_windows(tokens, 10, 2).shape == (2, 10)
    assert evaluation_windows(tokens, 10, 99).shape == (3, 10)
    assert evaluation_windows(tokens, 35, 0).dtype == np.int64


def test_text_too_short_for_one_window() -> None:
    with pytest.raises(DataError, match="has 9 tokens; one window needs 10") as caught:
        evaluation_windows(list(range(9)), 10, 0)
    assert caught.value.field == "evaluation.seq_len"
