"""Help on every page: what the page does, what the charts mean, which preset to take, common questions."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QTextBlockFormat, QTextCursor
from PySide6.QtWidgets import QComboBox, QDialog, QListWidget, QTextBrowser, QWidget

from dfrot_gui.about import show_about
from dfrot_gui.help_texts import help_sections
from dfrot_gui.settings import Settings
from dfrot_gui.theme import px
from dfrot_gui.translation import LANGUAGES, SYSTEM, tr
from dfrot_gui.widgets import Button, col, label, row

LINE_PERCENT = 120


class HelpBox(QDialog):
    """Opens at the section of a page; the window goes on meanwhile."""

    def __init__(self, product: str, settings: Settings, section: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._product, self._settings = product, settings
        self.setWindowTitle(tr("Help"))
        self.resize(px(880), px(620))
        self._sections = help_sections()
        self.topics = QListWidget()
        self.topics.setObjectName("topics")
        self.topics.setAccessibleName(tr("Topics"))
        self.topics.addItems(list(self._sections))
        self.topics.setMinimumWidth(self.topics.sizeHintForColumn(0) + px(44))
        self.text = QTextBrowser()
        self.text.setObjectName("article")
        self.text.document().setDocumentMargin(px(16))
        self.text.setOpenExternalLinks(True)
        self.text.setAccessibleName(tr("Help"))
        self.topics.currentRowChanged.connect(self._show)
        self.about_button = Button(tr("About and this computer…"), "info", tip=tr("Version, diagnostics, licences"))
        self.about_button.clicked.connect(self._show_about)
        close = Button(tr("Close"), kind="primary")
        close.clicked.connect(self.accept)
        buttons = row(self.about_button, 12, *self._language(), None, close)
        self.setLayout(
            col((row(self.topics, (self.text, 1), spacing=12), 1), buttons, spacing=14, margins=(20, 18, 20, 18))
        )
        self.topics.setCurrentRow(section)

    def _language(self) -> tuple[QWidget, QWidget]:
        self.language = QComboBox()
        for code, name in {SYSTEM: tr("As the system"), **LANGUAGES}.items():
            self.language.addItem(name, code)
        self.language.setCurrentIndex(self.language.findData(self._settings.language))
        self.language.setAccessibleName(tr("Language"))
        self.language.setToolTip(tr("Takes effect at the next start"))
        self.language.activated.connect(self._set_language)
        caption = label(tr("Language"), "small")
        caption.setBuddy(self.language)
        return caption, self.language

    def _set_language(self) -> None:
        self._settings.language = self.language.currentData()
        self._settings.sync()
        self.setWindowTitle(tr("Help: the language changes at the next start"))

    def _show(self, number: int) -> None:
        name, text = list(self._sections.items())[number]
        self.text.setMarkdown(f"## {name}\n\n{text}")
        cursor = QTextCursor(self.text.document())
        cursor.select(QTextCursor.SelectionType.Document)
        roomy = QTextBlockFormat()
        roomy.setBottomMargin(px(7))
        roomy.setLineHeight(LINE_PERCENT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        cursor.mergeBlockFormat(roomy)

    def _show_about(self) -> None:
        show_about(self._product, Path(self._settings.output_root), self)


def show_help(product: str, settings: Settings, section: int, parent: QWidget) -> HelpBox:
    """Open the help over the window."""
    box = HelpBox(product, settings, section, parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.open()
    return box
