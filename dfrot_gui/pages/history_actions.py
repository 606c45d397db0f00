"""What is done with past runs: reading one again, and deleting; both in the background, then told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMessageBox, QWidget

from dfrot_engine import DFRotError, RunInfo
from dfrot_engine.run_delete import Deletion, delete_run, deletion_of
from dfrot_engine.run_index import RunNote
from dfrot_gui.background import Latest
from dfrot_gui.quantities import format_bytes
from dfrot_gui.run_model import PastRun, read_past_run
from dfrot_gui.translation import tr

#: Asks with a title and what exactly would happen; True deletes.
ConfirmDelete = Callable[[QWidget, str, str], bool]
_MOST_NAMED = 8


class RunReader(QObject):
    """`read` carries a past run once its journal was replayed, for whatever it was wanted."""

    read = Signal(object, str)
    failed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._latest = Latest(self, parallel=1)
        self._latest.answered.connect(lambda answer: self.read.emit(*answer))
        self._latest.failed.connect(self.failed)

    def ask(self, run: RunInfo, purpose: str) -> None:
        def answer() -> tuple[PastRun, str]:
            return read_past_run(run.work_dir), purpose

        self._latest.ask(answer)


class RunDeleter(QObject):
    """Looks what would go, asks, deletes; `done` when the list is to be read again, `failed` with a sentence."""

    done = Signal()
    failed = Signal(object)

    def __init__(self, parent: QWidget, confirm: ConfirmDelete | None = None) -> None:
        super().__init__(parent)
        self._window = parent
        self._confirm = confirm or ask_to_delete
        self._looking, self._deleting = Latest(self, parallel=1), Latest(self, parallel=1)
        self._looking.answered.connect(self._ask)
        self._deleting.answered.connect(lambda _: self.done.emit())
        self._looking.failed.connect(self.failed)
        self._deleting.failed.connect(self._tell)

    def start(self, notes: Sequence[RunNote]) -> None:
        self._looking.ask(lambda: tuple(deletion_of(note) for note in notes))

    def _ask(self, deletions: tuple[Deletion, ...]) -> None:
        if deletions and self._confirm(self._window, question(deletions), details(deletions)):
            self._deleting.ask(lambda: [delete_run(deletion) for deletion in deletions])

    def _tell(self, error: DFRotError) -> None:
        self.failed.emit(error)
        self.done.emit()  # some may be gone


def question(deletions: Sequence[Deletion]) -> str:
    """ "Delete the run and 98 MB of files?"."""
    num_bytes = sum(deletion.num_bytes for deletion in deletions)
    if not any(deletion.paths for deletion in deletions):
        return tr("Take %n runs off the list?", len(deletions))
    return tr("Delete %n runs and {size} of files?", len(deletions), size=format_bytes(num_bytes))


def details(deletions: Sequence[Deletion]) -> str:
    """Which folders, and what stays."""
    folders = [str(folder) for deletion in deletions if deletion.paths for folder in deletion.folders]
    kept = [sentence for deletion in deletions for sentence in deletion.kept]
    parts = (
        [tr("These folders go, with everything that runs have written there:\n{lines}", lines=_lines(folders))]
        if folders
        else []
    )
    parts += [_lines(kept)] if kept else []
    return "\n\n".join(parts or [tr("No file is deleted.")])


def _lines(texts: Sequence[str]) -> str:
    more = [tr("and {number} more", number=len(texts) - _MOST_NAMED)] if len(texts) > _MOST_NAMED else []
    return "\n".join([*texts[:_MOST_NAMED], *more])


def ask_to_delete(parent: QWidget, title: str, text: str) -> bool:
    """Ask in a dialog whose default keeps everything."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setText(title)
    box.setInformativeText(text)
    delete = box.addButton(tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton(tr("Keep"), QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    box.exec()
    return box.clickedButton() is delete


def open_folder(run: RunInfo) -> None:
    """In the desktop's file manager: what was written, else the work folder."""
    folder = run.output_dir if run.output_dir.is_dir() else run.work_dir
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
