"""Choose a model: search the Hub, take one that is downloaded, open a folder or a GGUF file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QLineEdit, QWidget

from dfrot_gui import icons
from dfrot_gui.hub_search import Filters, HubSearch, ModelRow
from dfrot_gui.pages.model_facts import LookAt, ModelFactsPanel
from dfrot_gui.pages.model_list import ModelList, ModelRows
from dfrot_gui.settings import Settings
from dfrot_gui.widgets import Button, Card, Notice, Page, box, col, label, row
from dfrot_gui.widgets.flow import FlowLayout

FAMILIES = {"llama": "Llama", "qwen": "Qwen", "mistral": "Mistral"}


class ModelPage(Page):
    """`model_used` carries the Hub id, path or "sample" the user has settled on."""

    model_used = Signal(str)

    def __init__(self, search: HubSearch, look_at: LookAt, memory_bytes: int, settings: Settings) -> None:
        folder_button = Button("Open folder…", "folder-open", tip="Open a folder with safetensors (Ctrl+O)")
        folder_button.setShortcut("Ctrl+O")
        file_button = Button("Open GGUF…", "file", tip="Open a GGUF file")
        super().__init__(
            "Choose a model",
            "Search the Hugging Face Hub, or open a model you already have.",
            (file_button, folder_button),
        )
        self._search = search
        self._settings = settings
        self._is_started = False
        self._wanted = settings.last_model or "sample"
        self.setAcceptDrops(True)
        folder_button.clicked.connect(self._choose_folder)
        file_button.clicked.connect(self._choose_file)
        self.facts = ModelFactsPanel(look_at, memory_bytes)
        self.facts.setFixedWidth(348)
        self.facts.used.connect(self._use)
        left = box(col(self._build_search(), self._build_chips(), 2, (self._build_list(), 1), spacing=10))
        self.add(row((left, 1), self.facts, spacing=18), 1)
        search.rows_changed.connect(self._show_rows)
        search.busy_changed.connect(self._show_rows)
        self._show_rows()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        super().showEvent(event)
        if not self._is_started:
            self._is_started = True
            self._search.start()
            self.search_edit.setFocus()

    def open_path(self, path: str) -> None:
        """Add a folder or GGUF file and look at it."""
        self._settings.model_folder = str(Path(path).parent)
        self._wanted = path
        self._search.open(path)

    def _build_search(self) -> QLineEdit:
        self.search_edit = QLineEdit()
        self.search_edit.setPlaceholderText("Search models, for example “llama 1b”")
        self.search_edit.setAccessibleName("Search models")
        self.search_edit.setClearButtonEnabled(True)
        position = QLineEdit.ActionPosition.LeadingPosition
        self.search_edit.addAction(icons.icon("magnifying-glass", "faint"), position)
        self.search_edit.textChanged.connect(lambda text: self._filter(query=text.strip()))
        self.search_edit.returnPressed.connect(self._go_to_list)
        return self.search_edit

    def _build_chips(self) -> QWidget:
        self.family_chips = {family: Button(text, kind="chip") for family, text in FAMILIES.items()}
        for family, chip in self.family_chips.items():
            chip.clicked.connect(lambda is_on, family=family: self._choose_family(family if is_on else None))
        self.small_chip = Button("Under 2 B", kind="chip", tip="At most two billion parameters")
        self.small_chip.clicked.connect(lambda is_on: self._filter(small_only=is_on))
        self.fits_chip = Button("Fits this computer", kind="chip", tip="The weights fit into this computer's memory")
        self.fits_chip.clicked.connect(lambda is_on: self._filter(fitting_only=is_on))
        self.downloaded_chip = Button("Downloaded", kind="chip", tip="Needs no network")
        self.downloaded_chip.clicked.connect(lambda is_on: self._filter(downloaded_only=is_on))
        chips = (*self.family_chips.values(), self.small_chip, self.fits_chip, self.downloaded_chip)
        layout = FlowLayout()
        for chip in chips:
            layout.addWidget(chip)
        return box(layout)

    def _build_list(self) -> Card:
        card = Card(margins=(10, 14, 10, 8), spacing=8)
        self.count = label("", "small")
        self.activity = label("", "small")
        card.add(row(self.count, None, self.activity, margins=(8, 0, 8, 0)))
        self.notice = Notice("Try again")
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

    def _choose_family(self, family: str | None) -> None:
        for name, chip in self.family_chips.items():
            chip.setChecked(name == family)
        self._filter(family=family)

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
        self.count.setText(f"{len(rows)} model{'s' if len(rows) != 1 else ''}")
        self.activity.setText("Searching the Hub…" if self._search.is_busy else "Sorted by downloads")
        self._show_notice(rows)

    def _show_notice(self, rows: tuple[ModelRow, ...]) -> None:
        error = self._search.error
        if error is not None:
            self.notice.show_message("warn", error.message, error.remedy)
        elif not rows and not self._search.is_busy:
            has_filters = replace(self._search.filters, query="") != Filters()
            hint = "Switch off a filter or use other words." if has_filters else "Use other or fewer words."
            self.notice.show_message("inset", "No model matches", hint, can_act=False)
        else:
            self.notice.hide()

    def _row_chosen(self, current: QModelIndex, _previous: QModelIndex) -> None:
        model = current.data(Qt.ItemDataRole.UserRole) if current.isValid() else None
        if model is not None:
            self._wanted = model.source
            self._show_facts(model)

    def _show_facts(self, model: ModelRow | None) -> None:
        if model != self.facts.model:
            self.facts.show_row(model)

    def _go_to_list(self) -> None:
        if self.rows.rowCount():
            self.list.setFocus(Qt.FocusReason.TabFocusReason)

    def _use(self, source: str) -> None:
        self._settings.last_model = source
        self.model_used.emit(source)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a model's folder", self._settings.model_folder)
        if path:
            self.open_path(path)

    def _choose_file(self) -> None:
        folder = self._settings.model_folder
        path, _ = QFileDialog.getOpenFileName(self, "Open a GGUF file", folder, "GGUF files (*.gguf)")
        if path:
            self.open_path(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if _dropped_model(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        if path := _dropped_model(event):
            event.acceptProposedAction()
            self.open_path(path)


def _dropped_model(event: QDropEvent) -> str:
    """The folder or .gguf file that is dragged; "" for anything else."""
    for url in event.mimeData().urls():
        path = Path(url.toLocalFile())
        if url.isLocalFile() and (path.is_dir() or (path.suffix.lower() == ".gguf" and path.is_file())):
            return str(path)
    return ""
