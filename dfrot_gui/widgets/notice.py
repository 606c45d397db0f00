"""A message with an icon, a remedy and, at wish, one thing to do about it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal

from dfrot_gui.widgets.basic import Button, Card, CardKind, IconLabel, col, label, row

_ICONS: dict[CardKind, tuple[str, str]] = {
    "inset": ("info", "muted"),
    "true": ("info", "muted"),
    "good": ("check-circle", "good"),
    "warn": ("warning", "warn"),
    "bad": ("x-circle", "bad"),
}


class Notice(Card):
    """Hidden until `show_message`; `activated` is emitted by its button.

    Args:
        action: text of the button; "" for none.
        dismissal: text of a second button that hides the message and emits `dismissed`; "" for none.
    """

    activated = Signal()
    dismissed = Signal()

    def __init__(self, action: str = "", dismissal: str = "") -> None:
        super().__init__(kind="inset", margins=(12, 10, 12, 10), spacing=4)
        self._icon = IconLabel("info", 16)
        self._title = label("", "h2", wrap=True, selectable=True)
        self._text = label("", "small", wrap=True, selectable=True)
        self.button = Button(action, kind="ghost")
        self.button.setVisible(bool(action))
        self.button.clicked.connect(self.activated)
        line = row(spacing=8)
        line.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        line.addLayout(col(self._title, self._text, spacing=2), 1)
        line.addWidget(self.button, 0, Qt.AlignmentFlag.AlignVCenter)
        if dismissal:
            close = Button(dismissal, kind="ghost")
            close.clicked.connect(self.hide)
            close.clicked.connect(self.dismissed)
            line.addWidget(close, 0, Qt.AlignmentFlag.AlignVCenter)
        self.add(line)
        self.hide()

    def show_message(self, kind: CardKind, title: str, text: str = "") -> None:
        """`kind` colours it; "inset" is neutral."""
        name, color = _ICONS[kind]
        self._icon.set_icon(name, color)
        self._title.setText(title)
        self._text.setText(text)
        self._text.setVisible(bool(text))
        self.set_kind(kind)
        self.setAccessibleName(f"{title} {text}".strip())
        self.show()

    @property
    def text(self) -> str:
        """Title and text as they are shown."""
        return f"{self._title.text()} {self._text.text()}".strip()
