"""Engine work beside the runs, for a result that is shown: its state behind Qt signals, gone when the window goes."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QObject, Signal

from dfrot_engine import Recipe
from dfrot_gui.engine_process import EngineProcess
from dfrot_gui.run_state import RunState
from dfrot_gui.translation import mark, tr

# Nothing of it is saved, so it may go soon.
GRACE_S = 2.0
END_MS = 5_000
AGAIN = mark("Try again; nothing was lost.")


class SideProcess(QObject):
    """One process at a time; panels listen to `changed` and read `state`.

    Args:
        engine: program and first arguments of the engine; the installed one by default.
        again: what to do after an end that the engine could not explain itself.
    """

    changed = Signal()
    ended = Signal()

    def __init__(
        self, engine: Sequence[str] = (), grace_s: float = GRACE_S, again: str = AGAIN, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._process = EngineProcess(engine, grace_s, again, self)
        self._process.state_changed.connect(self._set_state)
        self._process.ended.connect(self._end)
        self._is_wanted = True
        self.state = RunState()
        app = QCoreApplication.instance()
        assert app is not None
        app.aboutToQuit.connect(self.close)

    @property
    def is_active(self) -> bool:
        return self._process.is_active

    @property
    def fraction(self) -> float:
        """Share of the running stage that is done, 0 to 1."""
        running = [stage for stage in self.state.stages if stage.name == self.state.stage]
        return running[0].fraction if running else 0.0

    def start(self, command: str, flags: Sequence[str], recipe: Recipe | None = None) -> None:
        self._is_wanted = True
        self._process.start(command, recipe, flags, RunState(label=tr("Starting the engine")))

    def stop(self) -> None:
        self._process.send("cancel")

    def forget(self) -> None:
        """Stop, and show nothing of it any more."""
        self.stop()
        self._is_wanted = False
        self.state = RunState()
        self.changed.emit()

    def wait(self, timeout_ms: int) -> bool:
        """Block until the process has ended; False when it is still going."""
        return self._process.wait(timeout_ms)

    def close(self) -> None:
        """Stop and wait for the end."""
        if self.is_active:
            self.stop()
            self.wait(END_MS)

    def _set_state(self, state: RunState) -> None:
        if self._is_wanted:
            self.state = state
        self.changed.emit()

    def _end(self, _state: RunState) -> None:
        self.changed.emit()  # `is_active` is another one now
        if self._is_wanted:
            self.ended.emit()
