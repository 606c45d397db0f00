"""Choose a model: search the Hub, take one that is downloaded, open a folder or a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QLineEdit, QWidget

from dfrot_engine import DFRotError
from dfrot_engine.architectures.families import FAMILIES, family_title
from dfrot_gui import icons
from dfrot_gui.download import Download
from dfrot_gui.hub_actions import HubActions
from dfrot_gui.hub_search import Filters, HubSearch, ModelRow
from dfrot_gui.pages.account_dialog import Account, AccountDialog
from dfrot_gui.pages.model_download import ConfirmDelete, ModelDownload
from dfrot_gui.pages.model_facts import LookAt, ModelFactsPanel
from dfrot_gui.pages.model_list import ModelList, ModelRows
from dfrot_gui.pages.revision_choice import MAIN
from dfrot_gui.recipe_form.editors import ChoiceEditor
from dfrot_gui.settings import Settings
from dfrot_gui.theme import px
from dfrot_gui.translation import mark, tr
from dfrot_gui.widgets import Button, Card, Notice, Page, box, col, label, row
from dfrot_gui.widgets.flow import FlowLayout

STOP_S = 2.0
HINT = (
    mark("New here? Two clicks are enough for a first run"),
    mark(
        "Press “Use this model” for the small model that comes with the program, then “Start run” on the next page. "
        "The settings are fine as they are; the results open when the run has ended."
    ),
)
_BILLION = 10**9
ANY_SIZE, UP_TO = mark("Any size"), mark("Up to {size} B")
SIZES = (1, 3, 8, 14, 32, 70)
SORTS = {
    "downloads": mark("Most downloads"),
    "likes": mark("Most likes"),
    "newest": mark("Newest"),
    "smallest": mark("Smallest"),
}


class ModelPage(Page):
    """`model_used` carries the Hub id, path or "sample" the user has settled on, and the revision."""

    model_used = Signal(str, str)
    opened = Signal(str)

    def __init__(
        self,
        search: HubSearch,
        look_at: LookAt,
        memory_bytes: int,
        settings: Settings,
        actions: HubActions,
        confirm_delete: ConfirmDelete | None = None,
    ) -> None:
        self.account_button = Button(tr("Sign in…"), "user-circle", tip=tr("For gated and private models"))
        folder_button = Button(tr("Open folder…"), "folder-open", tip=tr("Open a folder with safetensors (Ctrl+O)"))
        folder_button.setShortcut("Ctrl+O")
        file_button = Button(tr("Open GGUF…"), "file", tip=tr("Open a GGUF file"))
        super().__init__(
            tr("Choose a model"),
            tr("Search the Hugging Face Hub, or open a model you already have."),
            (self.account_button, file_button, folder_button),
        )
        self._search = search
        self._settings = settings
        self._is_started = False
        self._wanted = settings.last_model or "sample"
        self.setAcceptDrops(True)
        folder_button.clicked.connect(self._choose_folder)
        file_button.clicked.connect(self._choose_file)
        self._actions = actions
        self._shown_name = ""
        self.downloads = Download(actions.fetch, self)
        files = ModelDownload(self.downloads, actions, confirm_delete)
        files.files_changed.connect(self._files_changed)
        self.account = Account(actions, self)
        self.account.changed.connect(self._show_account)
        self.account.failed.connect(self._account_failed)
        self.account_button.clicked.connect(self.sign_in)
        self.facts = ModelFactsPanel(look_at, memory_bytes, actions, files)
        self.facts.sign_in_requested.connect(self.sign_in)
        self.facts.setFixedWidth(px(348))
        self.facts.used.connect(self._use)
        left = box(col(self._build_search(), self._build_chips(), 2, (self._build_list(), 1), spacing=10))
        self.hint = Notice(dismissal=tr("Got it"))
        self.hint.dismissed.connect(settings.close_hint)
        if settings.is_new_here:
            self.hint.show_message("inset", *map(tr, HINT))
        self.add(self.hint)
        self.add(row((left, 1), self.facts, spacing=18), 1)
        search.set_opened(settings.recent_models)
        search.rows_changed.connect(self._show_rows)
        search.busy_changed.connect(self._show_rows)
        self._show_rows()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        super().showEvent(event)
        if not self._is_started:
            self._is_started = True
            self._search.start()
            self.account.ask()
            self.search_edit.setFocus()

    def open_path(self, path: str) -> None:
        """Add a folder or GGUF file and look at it."""
        self._settings.add_recent_model(path)
        self._settings.model_folder = str(Path(path).parent)
        self._wanted = path
        self._search.open(path)
        self.opened.emit(path)

    def stop(self) -> None:
        """Stop a download before the window closes; finished files are kept."""
        self.downloads.cancel()
        self.downloads.wait(STOP_S)

    def sign_in(self) -> None:
        """Show the dialog for the Hub's account."""
        AccountDialog(self.account, self._actions, self).open()

    def _build_search(self) -> QLineEdit:
        self.search_edit = QLineEdit()
        self.search_edit.setPlaceholderText(tr("Search models, for example “llama 1b”"))
        self.search_edit.setAccessibleName(tr("Search models"))
        self.search_edit.setClearButtonEnabled(True)
        position = QLineEdit.ActionPosition.LeadingPosition
        self.search_edit.addAction(icons.icon("magnifying-glass", "faint"), position)
        self.search_edit.textChanged.connect(lambda text: self._filter(query=text.strip()))
        self.search_edit.returnPressed.connect(self._go_to_list)
        return self.search_edit

    def _build_chips(self) -> QWidget:
        sizes = {None: tr(ANY_SIZE), **{size * _BILLION: tr(UP_TO, size=size) for size in SIZES}}
        families = {None: tr("All families"), **{family: tr(family_title(family)) for family in FAMILIES}}
        self.family_choice = _choice(families, tr("Family"), tr("Families of models whose tensors are known"))
        self.family_choice.edited.connect(lambda family: self._filter(family=family))
        self.size_choice = _choice(
            sizes, tr("Size"), tr("By number of parameters; models of unknown size are left out")
        )
        self.size_choice.edited.connect(lambda most: self._filter(max_parameters=most))
        self.fits_chip = Button(
            tr("Fits this computer"), kind="chip", tip=tr("The weights fit into this computer's memory")
        )
        self.fits_chip.clicked.connect(lambda is_on: self._filter(fitting_only=is_on))
        self.downloaded_chip = Button(tr("Downloaded"), kind="chip", tip=tr("Needs no network"))
        self.downloaded_chip.clicked.connect(lambda is_on: self._filter(downloaded_only=is_on))
        layout = FlowLayout()
        for editor in (self.family_choice, self.size_choice):
            layout.addWidget(editor)
        for chip in (self.fits_chip, self.downloaded_chip):
            centred = box(row(chip))
            centred.setMinimumHeight(self.family_choice.sizeHint().height())
            layout.addWidget(centred)
        return box(layout)

    def _build_list(self) -> Card:
        card = Card(margins=(10, 14, 10, 8), spacing=8)
        self.count = label("", "small")
        self.activity = label("", "small")
        self.sort_choice = _choice(
            {sort: tr(words) for sort, words in SORTS.items()}, tr("Order"), tr("What is on this computer comes first")
        )
        self.sort_choice.edited.connect(lambda sort: self._filter(sort=sort))
        card.add(row(self.count, None, self.activity, self.sort_choice, margins=(8, 0, 8, 0)))
        self.notice = Notice(tr("Try again"))
        self.notice.activated.connect(self._search.search_now)
        card.add(row(self.notice, margins=(4, 0, 4, 0)))
        self.rows = ModelRows()
        self.list = ModelList(self._search.fits)
        self.list.setModel(self.rows)
        self.list.selectionModel().currentChanged.connect(self._row_chosen)
        self.list.doubleClicked.connect(lambda _: self.facts.use())
        self.list.activated.connect(lambda _: self.facts.use())
        card.add(self.list, 1)
        return card

    def _filter(self, **changes: object) -> None:
        self._search.set_filters(replace(self._search.filters, **changes))  # pyright: ignore[reportArgumentType]

    def _show_rows(self) -> None:
        rows = self._search.rows()
        was_focused = self.list.hasFocus()
        self.rows.set_rows(rows)
        index = self.rows.find(self._wanted)
        if not index.isValid() and rows and not self._search.is_busy:
            index = self.rows.index(0, 0)
        if index.isValid():
            self.list.setCurrentIndex(index)
        elif not rows:
            self._show_facts(None)
        if was_focused:
            self.list.setFocus()
        self.count.setText(tr("%n models", len(rows)))
        self.activity.setText(tr("Searching the Hub…") if self._search.is_busy else "")
        self._show_notice(rows)

    def _show_notice(self, rows: tuple[ModelRow, ...]) -> None:
        error = self._search.error
        if error is not None:
            self.notice.show_message("warn", error.message, error.remedy)
        elif not rows and not self._search.is_busy:
            has_filters = replace(self._search.filters, query="", sort="downloads") != Filters()
            hint = tr("Switch off a filter or use other words.") if has_filters else tr("Use other or fewer words.")
            self.notice.show_message("inset", tr("No model matches"), hint, can_act=False)
        else:
            self.notice.hide()

    def _row_chosen(self, current: QModelIndex, _previous: QModelIndex) -> None:
        model = current.data(Qt.ItemDataRole.UserRole) if current.isValid() else None
        if model is not None:
            self._wanted = model.source
            self._show_facts(model)

    def _show_facts(self, model: ModelRow | None) -> None:
        if model != self.facts.model:
            is_last = model is not None and model.source == self._settings.last_model
            self.facts.show_row(model, self._settings.last_revision if is_last else MAIN)

    def _files_changed(self) -> None:
        self._search.list_local()
        self.facts.look_again()

    def _show_account(self) -> None:
        name = self.account.name
        if name == self._shown_name:
            return
        self._shown_name = name
        self.account_button.setText(f"\u2002{name or tr('Sign in…')}")
        self.account_button.setAccessibleName(tr("Signed in as {name}", name=name) if name else tr("Sign in"))
        self._search.search_now()
        self.facts.look_again()

    def _account_failed(self, error: DFRotError) -> None:
        self.account_button.setToolTip(f"{error.message} {error.remedy}")

    def _go_to_list(self) -> None:
        if self.rows.rowCount():
            self.list.setFocus(Qt.FocusReason.TabFocusReason)

    def _use(self, source: str, revision: str) -> None:
        self._settings.last_model, self._settings.last_revision = source, revision
        self.hint.hide()
        self.model_used.emit(source, revision)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Open a model's folder"), self._settings.model_folder)
        if path:
            self.open_path(path)

    def _choose_file(self) -> None:
        folder = self._settings.model_folder
        path, _ = QFileDialog.getOpenFileName(self, tr("Open a GGUF file"), folder, tr("GGUF files (*.gguf)"))
        if path:
            self.open_path(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if _dropped_model(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        if path := _dropped_model(event):
            event.acceptProposedAction()
            self.open_path(path)


def _choice(choices: Mapping[Any, str], name: str, tip: str) -> ChoiceEditor:
    editor = ChoiceEditor(choices)
    editor.setAccessibleName(name)
    editor.setToolTip(tip)
    return editor


def _dropped_model(event: QDropEvent) -> str:
    """The folder or .gguf file that is dragged; "" for anything else."""
    for url in event.mimeData().urls():
        path = Path(url.toLocalFile())
        if url.isLocalFile() and (path.is_dir() or (path.suffix.lower() == ".gguf" and path.is_file())):
            return str(path)
    return ""
