"""What can be done with the files of a model on the Hub: download with a bar, pause, stop; delete from the cache."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QMessageBox, QProgressBar, QWidget

from dfrot_engine import DFRotError
from dfrot_gui.background import Latest
from dfrot_gui.download import Download, DownloadState
from dfrot_gui.hub_actions import HubActions
from dfrot_gui.quantities import about_text, format_bytes
from dfrot_gui.translation import tr
from dfrot_gui.widgets import Button, Notice, box, col, label, row

#: (parent, model, bytes) → whether to delete.
ConfirmDelete = Callable[[QWidget, str, int], bool]


class ModelDownload(QWidget):
    """Buttons for the chosen model, and the bar of the download that goes on, whichever model that is of."""

    files_changed = Signal()

    def __init__(
        self,
        download: Download,
        actions: HubActions,
        confirm: ConfirmDelete | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._download = download
        self._actions = actions
        self._confirm = confirm or ask_to_delete
        self._model, self._revision = "", "main"
        self._missing_bytes, self._is_kept = 0, False
        self._sizer = Latest(self)
        self._sizer.answered.connect(self._ask_to_delete)
        self._deleter = Latest(self)
        self._deleter.answered.connect(self._deleted)
        for worker in (self._sizer, self._deleter):
            worker.failed.connect(self._show_error)
            worker.busy_changed.connect(self._show)
        self._build()
        download.changed.connect(self._show)
        download.ended.connect(self._ended)
        self._show()

    def set_model(self, model: str, revision: str, missing_bytes: int, *, is_kept: bool) -> None:
        """The chosen model; "" for one that is not on the Hub.

        Args:
            missing_bytes: what a download would fetch; 0 where nothing is missing or known.
            is_kept: whether something of it lies in the cache.
        """
        if (model, revision) != (self._model, self._revision):
            self.notice.hide()
        self._model, self._revision = model, revision
        self._missing_bytes, self._is_kept = missing_bytes, is_kept
        self._show()

    def _build(self) -> None:
        self.download_button = Button(
            tr("Download"), "download-simple", tip=tr("A run downloads by itself; this is for before")
        )
        self.download_button.clicked.connect(lambda: self._download.start(self._model, self._revision))
        self.delete_button = Button(tr("Delete…"), "trash", "ghost", tip=tr("Remove this model from the Hub cache"))
        self.delete_button.clicked.connect(self._ask_for_size)
        self.pause_button = Button(tr("Pause"), "pause", "ghost", tip=tr("Hold the download; what is there stays"))
        self.pause_button.clicked.connect(self._pause_or_resume)
        self.cancel_button = Button(tr("Cancel"), "x", "ghost", tip=tr("Stop the download; finished files are kept"))
        self.cancel_button.clicked.connect(self._download.cancel)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.title = label("", "small", wrap=True)
        self.numbers = label("", "small", wrap=True)
        self.notice = Notice(tr("Try again"), tr("Close"), is_narrow=True)
        self.notice.activated.connect(self._try_again)
        buttons = row(self.pause_button, self.cancel_button, None, spacing=4)
        self.progress_box = box(col(self.title, self.bar, self.numbers, buttons, spacing=6))
        self.buttons_box = box(row(self.download_button, self.delete_button, None, spacing=6))
        outer = col(self.notice, self.progress_box, self.buttons_box, spacing=8)
        self.setLayout(outer)

    def _show(self) -> None:
        state = self._download.state
        self.progress_box.setVisible(state.is_active)
        is_mine = state.is_active and state.model == self._model
        can_download = bool(self._model) and self._missing_bytes > 0 and not is_mine
        self.download_button.setVisible(can_download)
        self.download_button.setText("\u2002" + tr("Download {size}", size=format_bytes(self._missing_bytes)))
        self.download_button.setEnabled(not state.is_active)
        self.delete_button.setVisible(bool(self._model) and self._is_kept and not is_mine)
        self.delete_button.setEnabled(not (self._sizer.is_busy or self._deleter.is_busy))
        self.buttons_box.setVisible(not self.download_button.isHidden() or not self.delete_button.isHidden())
        if state.is_active:
            self._show_progress(state)

    def _show_progress(self, state: DownloadState) -> None:
        self.title.setText(tr("Downloading {model}", model=state.model))
        self.bar.setValue(round(1000 * state.done_bytes / max(1, state.total_bytes)))
        text = progress_text(state)
        self.numbers.setText(text)
        self.bar.setAccessibleName(tr("Download of {model}: {text}", model=state.model, text=text))
        is_paused = state.status == "paused"
        name = tr("Resume") if is_paused else tr("Pause")
        self.pause_button.setText(f"\u2002{name}")
        self.pause_button.setAccessibleName(name)
        self.pause_button.setEnabled(state.status != "stopping")
        self.cancel_button.setEnabled(state.status != "stopping")

    def _pause_or_resume(self) -> None:
        if self._download.state.status == "paused":
            self._download.resume()
        else:
            self._download.pause()

    def _try_again(self) -> None:
        state = self._download.state
        self.notice.hide()
        self._download.start(state.model, state.revision)

    def _ended(self, state: DownloadState) -> None:
        if state.status == "failed" and state.error is not None:
            self.notice.show_message("bad", state.error.message, state.error.remedy)
        self.files_changed.emit()

    def _ask_for_size(self) -> None:
        model, cached_bytes = self._model, self._actions.cached_bytes
        self._sizer.ask(lambda: (model, cached_bytes(model)))

    def _ask_to_delete(self, answer: tuple[str, int]) -> None:
        model, num_bytes = answer
        if self._confirm(self, model, num_bytes):
            delete = self._actions.delete
            self._deleter.ask(lambda: (model, delete(model)))

    def _deleted(self, answer: tuple[str, int]) -> None:
        model, num_bytes = answer
        text = tr("{size} are free again.", size=format_bytes(num_bytes))
        self.notice.show_message("good", tr("{model} was deleted.", model=model), text, can_act=False)
        self.files_changed.emit()

    def _show_error(self, error: DFRotError) -> None:
        self.notice.show_message("bad", error.message, error.remedy, can_act=False)


def progress_text(state: DownloadState) -> str:
    """ "1.2 of 4.4 GB · 35 MB/s · about 2 min left"."""
    words = {"paused": tr("paused"), "stopping": tr("stopping…")}
    parts = (
        [tr("{done} of {total}", done=format_bytes(state.done_bytes), total=format_bytes(state.total_bytes))]
        if state.total_bytes
        else []
    )
    if state.status in words:
        parts.append(words[state.status])
    elif not parts:
        parts.append(tr("Asking the Hub…"))
    if state.bytes_per_s:
        parts.append(f"{format_bytes(state.bytes_per_s)}/s")
    if state.left_s is not None:
        parts.append(tr("{duration} left", duration=about_text(state.left_s)))
    return " · ".join(parts)


def ask_to_delete(parent: QWidget, model: str, num_bytes: int) -> bool:
    """Ask whether a model may be removed from the cache, with its size."""
    question = QMessageBox(parent)
    question.setIcon(QMessageBox.Icon.Question)
    question.setTextFormat(Qt.TextFormat.PlainText)
    question.setWindowTitle(tr("Delete a model"))
    question.setText(tr("Delete {model} from the Hub cache?", model=model))
    question.setInformativeText(
        tr(
            "{size} become free. Other programs that use the Hub's cache lose it as well, and a run "
            "that still needs it downloads it again.",
            size=format_bytes(num_bytes),
        )
    )
    delete = question.addButton(tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
    keep = question.addButton(tr("Keep"), QMessageBox.ButtonRole.RejectRole)
    question.setDefaultButton(keep)
    question.setEscapeButton(keep)
    question.exec()
    return question.clickedButton() is delete
