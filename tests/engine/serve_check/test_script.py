"""The script itself: a tiny quantized model by this interpreter's transformers, where our package is not to be seen."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from math import exp
from pathlib import Path

import pytest
import torch

from dfrot_engine.errors import RunError
from dfrot_engine.report_file import read_report
from dfrot_engine.serve_check.checkpoint import Text, read_checkpoint
from dfrot_engine.serve_check.environments import environment
from dfrot_engine.serve_check.measure import measure
from dfrot_engine.serve_check.reference import reloaded_perplexity
from tests.engine.runs import run_tiny, tiny_recipe
from tests.tiny_models import save_tiny_model

CHECK = environment("transformers").check


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run has written, without its work folder."""
    place = tmp_path_factory.mktemp("served")
    model = save_tiny_model("llama", place / "tiny")
    ended, _ = run_tiny(tiny_recipe(model, rotation__r1__kind="hadamard", solver__kind="rtn"), place / "out")
    assert ended.status == "finished", ended
    return place / "out"


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with this one's packages, but without what was installed into it as a link to the checkout."""
    folder = tmp_path_factory.mktemp("bare") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    # A folder that a .pth file names is searched, but its own .pth files, the checkout's link among them, are not read.
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "python"


def test_transformers_gives_the_numbers_of_the_report(output: Path, bare_python: Path) -> None:
    checkpoint = read_checkpoint(output)
    assert checkpoint.text is not None
    windows = checkpoint.windows(checkpoint.text)
    assert (len(windows), len(windows[0])) == (3, 64)
    found = measure(CHECK, bare_python, output, windows, 1, lambda _done: None)
    report = read_report(output)
    assert report is not None
    assert found.perplexity == pytest.approx(report["perplexity_quantized"], rel=1e-3)
    assert found.tokens == report["protocol"]["tokens"]
    assert found.packages["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


def test_it_says_so_where_our_package_is_to_be_seen(output: Path, bare_python: Path) -> None:
    packages = next(bare_python.parents[1].glob("lib/python3*/site-packages"))
    link = packages / "checkout.pth"
    link.write_text(str(Path(__file__).parents[3]))
    try:
        with pytest.raises(RunError, match="can import dfrot_engine, dfrot_gui"):
            measure(CHECK, bare_python, output, [[1, 2, 3]], 1, lambda _done: None)
    finally:
        link.unlink()


def test_what_transformers_refuses_is_told_in_its_words(output: Path, bare_python: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises(RunError, match=r"does not load .*no-such-model"):
        measure(CHECK, bare_python, tmp_path, [[1, 2, 3]], 1, lambda _done: None)


def test_reloading_here_with_and_without_rounded_activations(output: Path) -> None:
    windows = read_checkpoint(output).windows(Text(seq_len=64, num_windows=3))
    rounded = reloaded_perplexity(output, windows, 1)
    report = read_report(output)
    assert report is not None
    assert rounded == pytest.approx(report["perplexity_quantized"], rel=1e-3)
    alone = reloaded_perplexity(output, windows, 1, has_activations=False)
    assert abs(alone / rounded - 1) > 0.003
    assert alone < exp(20)
