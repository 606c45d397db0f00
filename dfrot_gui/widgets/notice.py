"""A message with an icon, a remedy and, at wish, one thing to do about it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal

from dfrot_gui.widgets.basic import Button, Card, CardKind, IconLabel, box, col, label, row

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
        is_narrow: whether the buttons go below the text instead of beside it.
        dismissal: text of a second button that hides the message and emits `dismissed`; "" for none.
    """

    activated = Signal()
    dismissed = Signal()

    def __init__(self, action: str = "", dismissal: str = "", *, is_narrow: bool = False) -> None:
        super().__init__(kind="inset", margins=(12, 10, 12, 10), spacing=4)
        self._icon = IconLabel("info", 16)
        self._title = label("", "h2", wrap=True, selectable=True)
        self._text = label("", "small", wrap=True, selectable=True)
        self.button = Button(action, kind="ghost")
        self.button.clicked.connect(self.activated)
        buttons = row(*([self.button] if action else []), spacing=4)
        self._buttons = box(buttons)
        if dismissal:
            close = Button(dismissal, kind="ghost")
            close.clicked.connect(self.hide)
            close.clicked.connect(self.dismissed)
            buttons.addWidget(close)
        texts = col(self._title, self._text, spacing=2)
        line = row(spacing=8)
        line.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        line.addLayout(texts, 1)
        if is_narrow:
            buttons.addStretch(1)
            texts.addWidget(self._buttons)
        else:
            line.addWidget(self._buttons)
        self.add(line)
        self.hide()

    def show_message(self, kind: CardKind, title: str, text: str = "", *, can_act: bool = True) -> None:
        """`kind` colours it, "inset" is neutral; `can_act` shows its buttons."""
        self._buttons.setVisible(can_act)
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
