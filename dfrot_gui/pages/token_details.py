"""One token of the activation map in full: where it is, its neighbours, and its error under each rotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from PySide6.QtCore import Qt, Signal

from dfrot_gui.run_tables import shown_text
from dfrot_gui.theme import Theme, series_color, series_label
from dfrot_gui.translation import mark, num, tr
from dfrot_gui.widgets import Button, Card, col, label, row

#: Tokens on either side.
CONTEXT = 8
NOT_MEASURED = mark("Its errors appear here once the rotations have been compared.")
NOT_KEPT = mark("Calibration has not kept this token, so its errors are not known.")
OLD_RUN = mark("This run was made before errors of single tokens were kept.")
HEAD = mark("Block {block} · position {position} · largest |h| {value:,.1f}")
MASSIVE_HEAD = mark("Block {block} · position {position} · largest |h| {value:,.1f} · massive")


@dataclass(frozen=True)
class Token:
    """A cell of the map.

    Args:
        errors: by site, then by rotation kind.
        note: why there are none.
    """

    block: int
    position: int
    value: float
    is_massive: bool
    texts: Sequence[str]
    errors: Mapping[str, Mapping[str, float]]
    own: str = ""
    note: str = ""

    @property
    def head(self) -> str:
        template = MASSIVE_HEAD if self.is_massive else HEAD
        return tr(template, block=self.block, position=self.position, value=self.value)

    @property
    def context(self) -> tuple[str, str, str]:
        """What stands before the token, the token, what follows; line ends made visible."""
        first = max(0, self.position - CONTEXT)
        before, after = self.texts[first : self.position], self.texts[self.position + 1 : self.position + 1 + CONTEXT]
        ends = "… " if first else "", " …" if self.position + 1 + CONTEXT < len(self.texts) else ""
        shown = ["".join(text.replace("\n", "⏎").replace("\t", "⇥") for text in part) for part in (before, after)]
        return ends[0] + shown[0], shown_text(self.texts[self.position]), shown[1] + ends[1]


class TokenDetails(Card):
    """Hidden until there is a token; `closed` is emitted by its button."""

    closed = Signal()

    def __init__(self) -> None:
        super().__init__(kind="inset", margins=(12, 8, 8, 10), spacing=4)
        self._token: Token | None = None
        self._head = label("", "small", selectable=True)
        self._context, self._errors = (label("", wrap=True, selectable=True) for _ in range(2))
        for text in (self._context, self._errors):
            text.setTextFormat(Qt.TextFormat.RichText)
        self.close_button = Button("", "x", "ghost", tip=tr("Close (Escape)"))
        self.close_button.setAccessibleName(tr("Close the token"))
        self.close_button.clicked.connect(self.closed)
        line = row((col(self._head, self._context, self._errors, spacing=4), 1), spacing=8)
        line.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        self.add(line)
        Theme.get().changed.connect(self._show)
        self.hide()

    @property
    def token(self) -> Token | None:
        return self._token

    def set_token(self, token: Token | None) -> None:
        self._token = token
        self._show()

    def _show(self, *_: object) -> None:
        token = self._token
        self.setVisible(token is not None)
        if token is None:
            return
        t = Theme.get().t
        before, own, after = map(escape, token.context)
        marked = f"<span style='background:{t.accent_soft};color:{t.accent};font-weight:600'>&nbsp;{own}&nbsp;</span>"
        self._head.setText(token.head)
        self._context.setText(f"{before}{marked}{after}")
        lines = [_errors_html(site, errors, token.own) for site, errors in token.errors.items()]
        self._errors.setText("<br>".join(lines) or f"<span style='color:{t.muted}'>{escape(token.note)}</span>")
        spoken = [f"{site}: {_spoken(errors)}" for site, errors in token.errors.items()] or [token.note]
        self.setAccessibleName(". ".join([token.head, tr("Token {text}", text=token.context[1]), *spoken]))


def _errors_html(site: str, errors: Mapping[str, float], own: str) -> str:
    t = Theme.get().t
    best = min(errors.values(), default=0.0)
    parts = []
    for kind, error in errors.items():
        number = num(f"{error:.4f}")
        number = f"<b>{number}</b>" if error == best else number
        name = tr("{name} (this run)", name=series_label(kind)) if kind == own else series_label(kind)
        name = escape(name).replace(" ", "&nbsp;")
        parts.append(f"<span style='color:{series_color(t, kind)}'>■</span>&nbsp;{name}&nbsp;{number}")
    return f"<span style='color:{t.muted}'>{escape(site)}</span> &nbsp; " + " &nbsp; ".join(parts)


def _spoken(errors: Mapping[str, float]) -> str:
    return ", ".join(f"{series_label(kind)} {num(f'{error:.4f}')}" for kind, error in errors.items())
