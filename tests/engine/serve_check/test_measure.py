"""What a runtime's script says, and how what goes wrong is told."""

from __future__ import annotations

from math import exp, log
from pathlib import Path
from typing import Any

import pytest

from dfrot_engine.errors import RunError
from dfrot_engine.resources import serve_check_path
from dfrot_engine.serve_check.measure import Measured, Refused, last_words, measure, script_command
from dfrot_engine.verdicts.table import Check, facts
from tests.engine.serve_check.runtimes import python_that

CHECK = Check(name="transformers", steps=(), num_bytes=0, environment={"A_VARIABLE": "7"})
HELLO: dict[str, Any] = {"visible": [], "packages": {"torch": "2.13.0"}}
LOADED = {"loaded": 1.5}
WINDOWS = [[1, 2, 3], [4, 5, 6]]


def window(nll: float) -> dict[str, Any]:
    return {"nll": nll, "tokens": 2, "seconds": 0.25}


def measured(python: Path, folder: Path, said: list[int] | None = None) -> Measured:
    return measure(CHECK, python, folder, WINDOWS, 1, (said if said is not None else []).append)


def test_windows_are_summed_up_and_told_one_by_one(tmp_path: Path) -> None:
    python = python_that(tmp_path, [HELLO, LOADED, window(2 * log(3.0)), window(2 * log(12.0))])
    said: list[int] = []
    found = measured(python, tmp_path, said)
    assert found.perplexity == pytest.approx(6.0)
    assert (found.tokens, found.num_windows, found.load_s, found.measure_s) == (4, 2, 1.5, 0.5)
    assert found.packages == {"torch": "2.13.0"}
    assert said == [0, 1, 2]


def test_a_broken_models_perplexity_is_still_a_number(tmp_path: Path) -> None:
    python = python_that(tmp_path, [HELLO, LOADED, window(5e3), window(5e3)])
    assert measured(python, tmp_path).perplexity == pytest.approx(exp(100))


def test_nan_is_said(tmp_path: Path) -> None:
    python = python_that(tmp_path, [HELLO, LOADED, window(float("nan")), window(1.0)])
    with pytest.raises(RunError, match="NaN or infinity"):
        measured(python, tmp_path)


def test_the_script_is_isolated_and_gets_the_tables_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    command = script_command(CHECK, Path("/env/python"), tmp_path, tmp_path / "w.json", 3)
    assert command[:4] == ["/env/python", "-I", str(serve_check_path()), "transformers"]
    assert command[-1] == "3"
    show = 'echo "ValueError: $A_VARIABLE $OMP_NUM_THREADS $HF_HUB_OFFLINE [$PYTHONPATH]" >&2; exit 1'
    with pytest.raises(Refused, match=r"ValueError: 7 1 1 \[\]"):
        measured(python_that(tmp_path, [HELLO], show), tmp_path)


def test_code_of_the_folder_runs_only_where_it_may(tmp_path: Path) -> None:
    python = python_that(tmp_path, [HELLO], 'echo "ValueError: [$*]" >&2; exit 1')
    for trusts in (False, True):
        with pytest.raises(Refused) as caught:
            measure(CHECK, python, tmp_path, WINDOWS, 1, lambda _done: None, trusts=trusts)
        assert ("--trust-remote-code]" in caught.value.message) is trusts


def test_float32_is_asked_for_by_a_switch(tmp_path: Path) -> None:
    python = python_that(tmp_path, [HELLO], 'echo "ValueError: [$*]" >&2; exit 1')
    for asked in (False, True):
        with pytest.raises(Refused) as caught:
            measure(CHECK, python, tmp_path, WINDOWS, 1, lambda _done: None, in_float32=asked)
        assert ("--float32]" in caught.value.message) is asked


def test_a_refusal_is_told_in_the_runtimes_own_words(tmp_path: Path) -> None:
    then = "printf 'Traceback:\\n  File x\\nNotImplementedError: no kernel for this\\nbye\\n' >&2; exit 1"
    with pytest.raises(Refused, match=r"does not load .*no kernel for this$"):
        measured(python_that(tmp_path, [HELLO], then), tmp_path)


def test_failing_while_measuring_is_no_refusal(tmp_path: Path) -> None:
    python = python_that(tmp_path, [HELLO, LOADED, window(1.0)], "echo 'RuntimeError: shapes' >&2; exit 1")
    with pytest.raises(RunError, match=r"failed while measuring\. It says: RuntimeError: shapes") as caught:
        measured(python, tmp_path)
    assert not isinstance(caught.value, Refused)


@pytest.mark.parametrize(
    ("said", "signal", "words"),
    [([], "KILL", "SIGKILL while it was loading"), ([LOADED], "SEGV", "SIGSEGV while it was measuring")],
)
def test_a_crash_is_a_sentence(tmp_path: Path, said: list[dict[str, Any]], signal: str, words: str) -> None:
    with pytest.raises(RunError, match=words) as caught:
        measured(python_that(tmp_path, [HELLO, *said], f"kill -{signal} $$"), tmp_path)
    assert ("memory" in caught.value.remedy) == (signal == "KILL")


def test_an_early_end_with_status_0_is_not_taken_for_a_result(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="failed while measuring"):
        measured(python_that(tmp_path, [HELLO, LOADED, window(1.0)]), tmp_path)


def test_an_environment_that_sees_this_program_proves_nothing(tmp_path: Path) -> None:
    python = python_that(tmp_path, [HELLO | {"visible": ["dfrot_engine"]}, LOADED, window(1.0), window(1.0)])
    with pytest.raises(RunError, match="can import dfrot_engine"):
        measured(python, tmp_path)


def test_an_environment_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--remove transformers"):
        measured(tmp_path / "gone", tmp_path)


def test_last_words() -> None:
    assert last_words("[rank0]:   File x\n[rank0]: AttributeError: no kernel\nbye") == "AttributeError: no kernel"
    assert last_words("a\nRuntimeError: first\n  File y\nvllm.errors.MyError: second\nbye") == (
        "vllm.errors.MyError: second"
    )
    assert last_words("one\n\ntwo\nthree\nfour\n") == "two / three / four"
    assert last_words("") == "nothing"
    assert len(last_words("ValueError: " + 1_000 * "x")) < 500


def test_every_runtime_of_the_table_has_a_loader_in_the_script() -> None:
    names: dict[str, Any] = {}
    source = serve_check_path().read_text(encoding="utf-8")
    exec(compile(source.replace("os.dup2(2, 1)", "pass"), "serve_check", "exec"), names)
    checks = [runtime.check for runtime in facts().runtimes if runtime.check]
    assert {check.name for check in checks} == set(names["LOADERS"])
    for check in checks:
        assert all("==" in package for step in check.steps for package in step), "every version is pinned"
        assert check.num_bytes > 1e8
