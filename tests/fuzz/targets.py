"""What is fuzzed: name → the reader, the file it is given, and words that such files are made of.

A reader may return or raise an error of ours. Everything else is a finding: another exception, an error that names
neither the file nor a field, more memory or time than a small file may take.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfrot_engine.architectures import architecture_of
from dfrot_engine.checkpoint.gguf_file import inspect_gguf
from dfrot_engine.checkpoint.headers import INDEX, SINGLE_SHARD, read_headers, read_metadata, read_shard_headers
from dfrot_engine.checkpoint.local import inspect_folder
from dfrot_engine.checkpoint.tokenizer import Tokenizer
from dfrot_engine.cli_show import _print_run
from dfrot_engine.errors import DFRotError
from dfrot_engine.events import JOURNAL, read_events
from dfrot_engine.options import RunOptions
from dfrot_engine.plan import make_plan
from dfrot_engine.recipe import Recipe
from dfrot_engine.rotation_file import find_rotation
from dfrot_engine.run_record import read_run
from dfrot_gui.run_state import replay
from tests.engine.hostile.asking import Silent, shard

CORPUS = Path(__file__).parent / "corpus"
#: The longest input; all that is repeated in longer files is in these.
MOST_BYTES = 4_096
#: Of what the readers take for so small a file.
MOST_MEMORY_BYTES = 300_000_000
MOST_S = 10.0


@dataclass(frozen=True)
class Target:
    """One reader.

    Args:
        file: what the input is called; it is written into a folder of its own, beside `beside`.
        read: takes the folder.
        words: what a mutation may put in.
        beside: files that are sound: name → content.
        also: words that say as clearly as the file's name what is meant.
    """

    file: str
    read: Callable[[Path], Any]
    words: tuple[str, ...] = ()
    beside: Mapping[str, bytes] | None = None
    also: tuple[str, ...] = ()

    def try_out(self, data: bytes, folder: Path) -> DFRotError | None:
        """Give the reader these bytes; the error of ours that it ended with, if it did.

        Raises:
            AssertionError: that error tells nobody what is wrong.
            Exception: whatever else the reader raised, which is a finding.
        """
        for name, content in (self.beside or {}).items():
            if not (folder / name).is_file():
                (folder / name).write_bytes(content)
        path = folder / self.file
        path.write_bytes(data)
        self._renew(path)
        try:
            self.read(folder)
        except DFRotError as error:
            self._check(error)
            return error
        return None

    def _check(self, error: DFRotError) -> None:
        text = str(error)
        assert text.encode(), "it cannot be written down"
        assert len(text) < 20_000, "endless"
        assert error.remedy, f"no remedy: {text}"
        names = [self.file, *self.also, *([error.field] if error.field else [])]
        assert any(name in text for name in names), f"names neither the file nor a field: {text}"

    @staticmethod
    def _renew(path: Path) -> None:
        """Readers keep their answers until a file changes: no two inputs have the same time."""
        global _TIME_NS  # noqa: PLW0603
        _TIME_NS += 1_000
        os.utime(path, ns=(_TIME_NS, _TIME_NS))


_TIME_NS = 10**18


def _read_shard(folder: Path) -> None:
    headers = read_shard_headers(folder / "hostile.safetensors")
    read_metadata(folder / "hostile.safetensors")
    size = (folder / "hostile.safetensors").stat().st_size
    assert all(header.offset + header.num_bytes <= size for header in headers.values())


def _read_config(folder: Path) -> None:
    found = architecture_of(inspect_folder(folder, model_id="x").config)
    assert found.num_blocks <= 10_000
    found.linear_names()
    recipe = Recipe.preset("w4a4").with_field("model.id_or_path", str(folder))
    make_plan(recipe, RunOptions(output_dir=folder.with_name("out"), device="cpu"))


def _read_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    tokens = tokenizer.encode("Some text, 12 numbers and an é.")
    tokenizer.decode(tokens.tolist())
    tokenizer.token_text(0)


def _read_recipe(folder: Path) -> None:
    found = Recipe.load(folder / "hostile.toml")
    found.save(folder / "again.toml")
    assert Recipe.load(folder / "again.toml") == found


def _read_journal(folder: Path) -> None:
    record = read_run(folder)
    if record is not None:
        _print_run(record, Silent())  # pyright: ignore[reportArgumentType]
    replay(folder)
    list(read_events(folder))


#: One tensor of one number.
_SHARD = shard({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"1234")


_HEADER = (
    "dtype",
    "shape",
    "data_offsets",
    "__metadata__",
    "BF16",
    "F32",
    "F4",
    "F6_E2M3",
    "[0,4]",
    "9223372036854775807",
)
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size")
_SIZES += ("intermediate_size", "tie_word_embeddings", "num_experts", "text_config", "layer_types", "rope_scaling")
_SIZES += ("model_type", "llama", "qwen3_moe", "gemma3", "cohere2", "llava", "sliding_window", "quantization_config")
_EVENTS = ("run_started", "stage_started", "stage_advanced", "stage_finished", "measured", "run_ended", "evaluated")
_EVENTS += ("warned", "proved", "chart_saved", "pause_changed", "block_quantized", "remaining_time", "text_written")
_EVENTS += ("event", "time", "stage", "steps", "value", "2026-01-01T00:00:00Z", '"status":"finished"', "\\n")
_RECIPE = ("rotation", "weights", "activations", "kv_cache", "solver", "exports", "overrides", "kind", "format", "int4")
_RECIPE += (
    "[rotation.r1]",
    "[[overrides]]",
    "group_size",
    "clip_ratio",
    '"search"',
    "calibration",
    "evaluation",
    "tasks",
)
_TOKENIZER = (
    "model",
    "vocab",
    "merges",
    "added_tokens",
    "pre_tokenizer",
    "normalizer",
    "decoder",
    "post_processor",
    "BPE",
)
_TOKENIZER += ("Unigram", "WordPiece", "ByteLevel", "Split", "Regex", "Sequence", "Metaspace", "TemplateProcessing")
_GGUF = (
    "GGUF",
    "general.architecture",
    "llama",
    "llama.block_count",
    "general.alignment",
    "token_embd.weight",
    "general.license",
)
_GGUF += (
    "llama.attention.head_count",
    "blk.0.attn_q.weight",
    "output.weight",
    "llama.rope.scaling.type",
    "rope_freqs.weight",
)
_ARRAY = ("descr", "fortran_order", "shape", "<f8", "<f4", "O", "True", "False", "(4, 4)", "|V9", "\\x93NUMPY")

_BESIDE = {SINGLE_SHARD: _SHARD, "tokenizer.json": b"{}"}

TARGETS: dict[str, Target] = {
    "safetensors": Target("hostile.safetensors", _read_shard, _HEADER),
    "index": Target(
        INDEX, read_headers, ("weight_map", SINGLE_SHARD, "metadata", "../"), {SINGLE_SHARD: _SHARD}, ("shard",)
    ),
    "config": Target("config.json", _read_config, _SIZES, _BESIDE, ("architecture", "text model")),
    "gguf": Target("hostile.gguf", lambda folder: inspect_gguf(folder / "hostile.gguf", model_id="x"), _GGUF),
    "tokenizer": Target("tokenizer.json", _read_tokenizer, _TOKENIZER),
    "recipe": Target("hostile.toml", _read_recipe, _RECIPE),
    "journal": Target(JOURNAL, _read_journal, _EVENTS),
    "array": Target("hostile.npy", lambda folder: find_rotation(str(folder / "hostile.npy"), 4), _ARRAY),
}
