"""Signing in to the Hub: a token is checked and handed to the Hub's client, and kept nowhere else."""

from __future__ import annotations

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QLineEdit, QWidget

from dfrot_engine import DFRotError
from dfrot_gui.background import Latest
from dfrot_gui.hub_actions import HubActions
from dfrot_gui.theme import px
from dfrot_gui.translation import tr
from dfrot_gui.widgets import Button, Notice, col, label, row

TOKEN_PAGE = "settings/tokens"


class Account(QObject):
    """Who is signed in, asked and changed in the background."""

    changed = Signal()
    failed = Signal(object)  # DFRotError

    def __init__(self, actions: HubActions, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._actions = actions
        self.name = ""
        self._worker = Latest(self)
        self._worker.answered.connect(self._take)
        self._worker.failed.connect(self._fail)
        self.busy_changed = self._worker.busy_changed

    @property
    def is_busy(self) -> bool:
        return self._worker.is_busy

    def ask(self) -> None:
        self._worker.ask(self._actions.user)

    def sign_in(self, token: str) -> None:
        sign_in = self._actions.sign_in
        self._worker.ask(lambda: sign_in(token))

    def sign_out(self) -> None:
        sign_out = self._actions.sign_out

        def leave() -> str:
            sign_out()
            return ""

        self._worker.ask(leave)

    def _take(self, name: str) -> None:
        self.name = name
        self.changed.emit()

    def _fail(self, error: DFRotError) -> None:
        self.failed.emit(error)


class AccountDialog(QDialog):
    """Closes by itself once the token was accepted."""

    def __init__(self, account: Account, actions: HubActions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Hugging Face account"))
        self.setMinimumWidth(px(460))
        self._account = account
        title = tr("Signed in as {name}", name=account.name) if account.name else tr("Sign in to Hugging Face")
        text = tr(
            "Gated and private models need an access token with the right to read. "
            "It is kept by the Hub's own client, as `hf auth login` does, and nowhere else."
        )
        self.token_edit = QLineEdit()
        self.token_edit.setEchoMode(QLineEdit.EchoMode.Password)
        self.token_edit.setPlaceholderText("hf_…")
        self.token_edit.setAccessibleName(tr("Access token"))
        self.token_edit.textChanged.connect(self._show)
        self.notice = Notice()
        self.page_button = Button(
            tr("Make a token…"), "arrow-square-out", "ghost", tip=tr("Open the Hub's page of tokens")
        )
        self.page_button.clicked.connect(lambda: open_page(actions.page(TOKEN_PAGE)))
        self.out_button = Button(tr("Sign out"), "sign-out", tip=tr("The Hub's client forgets its tokens"))
        self.out_button.setVisible(bool(account.name))
        self.out_button.clicked.connect(self._sign_out)
        self.in_button = Button(tr("Sign in"), "sign-in", "primary")
        self.in_button.clicked.connect(self._sign_in)
        self.in_button.setDefault(True)
        for button in (self.page_button, self.out_button):
            button.setAutoDefault(False)
        buttons = row(self.page_button, None, self.out_button, self.in_button)
        head = (label(title, "h2"), label(text, "small", wrap=True))
        self.setLayout(col(*head, self.token_edit, self.notice, buttons, spacing=12, margins=(20, 18, 20, 18)))
        account.changed.connect(self.accept)
        account.failed.connect(self._show_error)
        account.busy_changed.connect(self._show)
        self._show()

    def _sign_in(self) -> None:
        if self.in_button.isEnabled():
            self._account.sign_in(self.token_edit.text())
            self.token_edit.clear()

    def _sign_out(self) -> None:
        self._account.sign_out()

    def _show(self) -> None:
        is_busy = self._account.is_busy
        self.in_button.setEnabled(bool(self.token_edit.text().strip()) and not is_busy)
        self.out_button.setEnabled(not is_busy)
        if is_busy:
            self.notice.show_message("inset", tr("Asking the Hub…"), can_act=False)

    def _show_error(self, error: DFRotError) -> None:
        self.notice.show_message("bad", error.message, error.remedy, can_act=False)


def open_page(address: str) -> None:
    """Show a page in the browser."""
    QDesktopServices.openUrl(QUrl(address))
