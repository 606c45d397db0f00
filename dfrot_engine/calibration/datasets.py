"""Named text and token windows: the same name and seed give the same batches.

Imports no torch, except that streaming C4 makes the datasets package load it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dfrot_engine.errors import DataError
from dfrot_engine.outside_files import home_path, is_file, load_json
from dfrot_engine.resources import builtin_text_path

Purpose = Literal["calibration", "evaluation"]

BUILTIN = "builtin"
HUB_DATASETS = ("wikitext-2", "c4")
FILE_SUFFIXES = (".txt", ".jsonl", ".parquet", ".raw")
# C4 is streamed; this is some four million tokens, more than any calibration here asks for by default.
C4_CHARACTERS = 16_000_000
BETWEEN_DOCUMENTS = "\n\n"


def dataset_file(dataset: str, purpose: Purpose) -> Path | None:
    """The file behind a dataset's name; None for those on the Hub.

    Raises:
        DataError: neither a known name nor a .txt, .jsonl, .parquet or .raw file that exists.
    """
    if dataset in HUB_DATASETS:
        return None
    field = f"{purpose}.dataset"
    path = builtin_text_path(purpose) if dataset == BUILTIN else home_path(dataset)
    if dataset != BUILTIN and path.suffix.lower() not in FILE_SUFFIXES:
        raise DataError(
            f"There is no dataset '{dataset}'.",
            f"Choose {BUILTIN}, {', '.join(HUB_DATASETS)}, or a {', '.join(FILE_SUFFIXES)} file.",
            field,
        )
    if not is_file(path):
        raise DataError(f"The text file {path} does not exist.", "Check the path, or choose 'builtin'.", field)
    return path


def load_text(dataset: str, purpose: Purpose) -> str:
    """The text of a dataset; documents are joined by an empty line.

    "wikitext-2" gives its train text for calibration and its test text for evaluation, its rows (one for each line,
    empty ones too) joined by empty lines, which is the text that GPTQ's and later papers measure on. WikiText's own
    file, wiki.test.raw, is read in the same way. "c4" gives the first C4_CHARACTERS of train or validation.

    Source: GPTQ (github.com/IST-DASLab/gptq, datautils.py).

    Raises:
        DataError: unknown name, missing or unreadable file, not UTF-8, no "text" in it, or no network.
    """
    path = dataset_file(dataset, purpose)
    try:
        text = _read_file(path) if path is not None else _read_hub(dataset, purpose)
    except DataError as error:
        raise DataError(error.message, error.remedy, f"{purpose}.dataset") from error.__cause__
    if not text.strip():
        raise DataError(f"The dataset '{dataset}' holds no text.", "Choose another one.", f"{purpose}.dataset")
    return text


def sample_batches(
    tokens: Sequence[int] | NDArray[np.integer], num_samples: int, seq_len: int, seed: int
) -> NDArray[np.int64]:
    """Windows of the text chosen by the seed, none overlapping another.

    Returns:
        int64 [B, T], B = num_samples and T = seq_len.
    Raises:
        DataError: the text is too short; says what to lower.
    """
    windows_WT = _windows(tokens, seq_len)
    if len(windows_WT) < num_samples:
        fits = (
            f"Lower the samples to {len(windows_WT)} or the length to {len(tokens) // num_samples}"
            if len(windows_WT)
            else f"Lower the length to {max(1, len(tokens) // num_samples)}"
        )
        raise DataError(
            f"The calibration text has {len(tokens):,} tokens; {num_samples:,} samples of {seq_len:,} tokens"
            f" need {num_samples * seq_len:,}.",
            f"{fits}, or choose a longer text.",
            "calibration.num_samples",
        )
    # random.sample is stable from one Python or numpy version to the next.
    chosen = random.Random(seed).sample(range(len(windows_WT)), num_samples)
    return windows_WT[chosen]


def evaluation_windows(
    tokens: Sequence[int] | NDArray[np.integer], seq_len: int, num_windows: int
) -> NDArray[np.int64]:
    """Consecutive windows from the start of the text, without overlap; the rest of the text is left out.

    The first token of a window only conditions; every other is predicted from those before it in the window. So do the
    papers from GPTQ on, with windows of 2,048; their tokenizers may put a start token in front of the whole text, which
    is not done here.

    Args:
        num_windows: at most this many; 0 for all there are.
    Returns:
        int64 [B, T], T = seq_len.
    Raises:
        DataError: the text has fewer tokens than one window.
    """
    windows_WT = _windows(tokens, seq_len)
    if not len(windows_WT):
        raise DataError(
            f"The evaluation text has {len(tokens):,} tokens; one window needs {seq_len:,}.",
            f"Lower the window to {len(tokens):,} or less, or choose a longer text.",
            "evaluation.seq_len",
        )
    return windows_WT[:num_windows] if num_windows else windows_WT


def _windows(tokens: Sequence[int] | NDArray[np.integer], seq_len: int) -> NDArray[np.int64]:
    count = len(tokens) // seq_len
    return np.asarray(tokens[: count * seq_len], dtype=np.int64).reshape(count, seq_len)


def _read_file(path: Path) -> str:
    try:
        if path.suffix.lower() == ".parquet":
            return _read_parquet(path)
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text (byte {error.start} does not fit).", "Save it as UTF-8 and try again."
        ) from None
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.", "Check its permissions.") from None
    if path.suffix.lower() == ".jsonl":
        return BETWEEN_DOCUMENTS.join(_jsonl_texts(text, path))
    if path.suffix.lower() == ".raw":
        return BETWEEN_DOCUMENTS.join(_wikitext_rows(text.replace("\r\n", "\n")))
    return text


def _wikitext_rows(text: str) -> Iterator[str]:
    """Rows as the Hub's dataset has them: a line with its line break, or nothing for one of spaces alone."""
    for line in text.removesuffix("\n").split("\n"):
        yield f"{line}\n" if line.strip() else ""


def _jsonl_texts(lines: str, path: Path) -> Iterator[str]:
    # Not splitlines(): JSON strings may hold U+2028 and its kin unescaped.
    for number, line in enumerate(lines.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            document = load_json(line.encode())
        except ValueError as error:
            raise DataError(f"Line {number} of {path} is not JSON: {error}.", "Correct or remove the line.") from None
        if not isinstance(document, dict) or not isinstance(document.get("text"), str):
            raise DataError(
                f'Line {number} of {path} has no "text".', 'Every line must be an object such as {"text": "…"}.'
            )
        yield document["text"]


def _read_parquet(path: Path) -> str:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        if "text" not in file.schema_arrow.names:
            raise DataError(
                f'{path} has no column "text".', f"Its columns are: {', '.join(file.schema_arrow.names[:20])}."
            )
        texts = file.read(columns=["text"]).column("text").to_pylist()
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is not a sound parquet file: {reason}.", "Download or write it again.") from None
    if not all(isinstance(text, str) for text in texts if text is not None):
        raise DataError(f'The column "text" of {path} holds no strings.', "Choose another file.")
    return BETWEEN_DOCUMENTS.join(text for text in texts if text is not None)


def _read_hub(dataset: str, purpose: Purpose) -> str:
    try:
        return _read_wikitext(purpose) if dataset == "wikitext-2" else _read_c4(purpose)
    except (OSError, ValueError, RuntimeError) as error:  # what datasets, fsspec and the Hub client raise offline
        reason = str(error).partition("\n")[0][:200]
        raise DataError(
            f"Cannot load '{dataset}' from the Hub: {reason}.",
            "Check the network connection, or choose 'builtin' or a text file of your own.",
        ) from error


def _read_wikitext(purpose: Purpose) -> str:
    from datasets import load_dataset

    split = "train" if purpose == "calibration" else "test"
    rows = load_dataset("Salesforce/wikitext", "wikitext-2-raw-v1", split=split)
    return BETWEEN_DOCUMENTS.join(rows["text"])


def _read_c4(purpose: Purpose) -> str:
    from datasets import load_dataset

    name = "train.00000-of-01024" if purpose == "calibration" else "validation.00000-of-00008"
    files = {purpose: f"en/c4-{name}.json.gz"}
    rows = load_dataset("allenai/c4", data_files=files, split=purpose, streaming=True)
    texts: list[str] = []
    characters = 0
    for row in rows:
        texts.append(row["text"])
        characters += len(texts[-1])
        if characters >= C4_CHARACTERS:
            break
    return BETWEEN_DOCUMENTS.join(texts)
