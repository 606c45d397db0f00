"""One engine process at a time behind Qt signals: what runs, trials and other engine work have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTemporaryDir, Signal, Slot

from dfrot_engine import Recipe
from dfrot_gui.run_exit import RESUME
from dfrot_gui.run_state import RunState
from dfrot_gui.run_worker import CANCEL_GRACE_S, Command, RunThread, engine_command


class EngineProcess(QObject):
    """Starts `dfrot <command> [RECIPE] …` in a thread of its own and hands on the states it emits.

    Args:
        engine: program and first arguments of the engine; the installed one by default.
        cancel_grace_s: seconds a stopped engine may take to save its work before it is killed.
        again: what to do after an end that the engine could not explain itself.
    """

    state_changed = Signal(object)
    ended = Signal(object)

    def __init__(
        self,
        engine: Sequence[str] = (),
        cancel_grace_s: float = CANCEL_GRACE_S,
        again: str = RESUME,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = tuple(engine) or engine_command()
        self._grace_s = cancel_grace_s
        self._again = again
        self._thread: RunThread | None = None
        self._recipe_folder: QTemporaryDir | None = None

    @property
    def is_active(self) -> bool:
        return self._thread is not None

    def start(self, command: str, recipe: Recipe | None, flags: Sequence[str], state: RunState) -> None:
        """Start; `state` is what is known before the first event, and None is for commands that take no recipe."""
        assert not self.is_active, "one process at a time"
        line = [*self._engine, command, *self._saved(recipe), *flags, "--json", "--stdin-commands"]
        self._thread = RunThread(line, state, self._grace_s, self._again, self)
        self._thread.state_changed.connect(self._on_state)
        self._thread.finished.connect(self._on_finished)
        self.state_changed.emit(self._thread.state)
        self._thread.start()

    def _saved(self, recipe: Recipe | None) -> tuple[str, ...]:
        if recipe is None:
            return ()
        self._recipe_folder = QTemporaryDir()
        recipe_path = Path(self._recipe_folder.path()) / "recipe.toml"
        recipe.save(recipe_path)
        return (str(recipe_path),)

    def send(self, command: Command) -> None:
        if self._thread:
            self._thread.send(command)

    def wait(self, timeout_ms: int) -> bool:
        """Block until the process has ended, for closing the window; False when it is still going."""
        if self._thread is None:
            return True
        if not self._thread.wait(timeout_ms):
            return False
        self._finish(self._thread)
        return True

    @Slot(object)
    def _on_state(self, state: RunState) -> None:
        if self.sender() is self._thread:
            self.state_changed.emit(state)

    @Slot()
    def _on_finished(self) -> None:
        if self._thread is not None and self.sender() is self._thread:
            self._finish(self._thread)

    def _finish(self, thread: RunThread) -> None:
        self._thread = None
        self._recipe_folder = None
        thread.wait()
        thread.deleteLater()
        self.state_changed.emit(thread.state)
        self.ended.emit(thread.state)
