from __future__ import annotations

import threading

from dfrot_engine import DFRotError
from dfrot_gui.background import Latest


def test_the_answer_arrives(qtbot) -> None:
    latest = Latest()
    with qtbot.waitSignal(latest.answered) as signal:
        latest.ask(lambda: 7)
    assert signal.args == [7]
    assert not latest.is_busy


def test_an_error_arrives(qtbot) -> None:
    def fail() -> None:
        raise DFRotError("Wrong.", "Do it right.")

    latest = Latest()
    with qtbot.waitSignal(latest.failed) as signal:
        latest.ask(fail)
    assert signal.args[0].remedy == "Do it right."


def test_a_fault_of_ours_is_reported_not_swallowed(qtbot) -> None:
    latest = Latest()
    with qtbot.waitSignal(latest.failed) as signal:
        latest.ask(lambda: 1 // 0)
    assert "Unexpected fault" in signal.args[0].message


def test_an_overtaken_answer_is_dropped(qtbot) -> None:
    gate = threading.Event()
    latest = Latest()
    answers: list[str] = []
    latest.answered.connect(answers.append)

    def slow() -> str:
        gate.wait(10)
        return "old"

    latest.ask(slow)
    with qtbot.waitSignal(latest.answered):
        latest.ask(lambda: "new")
    gate.set()
    qtbot.waitUntil(lambda: latest._running == 0)
    assert answers == ["new"]


def test_of_those_that_wait_only_the_newest_is_asked(qtbot) -> None:
    gate = threading.Event()
    latest = Latest(parallel=1)
    asked: list[int] = []
    latest.ask(lambda: gate.wait(10))
    for number in range(5):
        latest.ask(lambda number=number: asked.append(number))
    with qtbot.waitSignal(latest.answered):
        gate.set()
    assert asked == [4]
