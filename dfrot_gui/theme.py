"""Design tokens → palette, style sheet and chart colours."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QEvent, QObject, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontInfo, QPainter, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from dfrot_gui.style_sheet import style_sheet
from dfrot_gui.tokens import DARK, LIGHT, Tokens
from dfrot_gui.translation import mark, tr

Mode = Literal["system", "light", "dark"]
#: Of the design, whose sizes grow with the desktop's font.
TEXT_PX = 13


# The engine's rotation kinds → the letters of the DFRot paper, and the token that colours them.
SERIES_LABELS = {
    "none": "NR",
    "random-orthogonal": "RO",
    "hadamard": "RH",
    "householder": "Householder",
    "dfrot": "DFRot",
    "descent": mark("Descent"),
    "whip": "Whip",
    "cayley": "Cayley",
    "from-file": mark("From file"),
}
# A run has one rotation of its own beside the three it is compared with, so those share a colour.
SERIES_TOKENS = dict.fromkeys(SERIES_LABELS, "dfrot") | {"none": "nr", "random-orthogonal": "ro", "hadamard": "rh"}

#: Runs side by side: colours that stay apart for colour-blind eyes as well, and 3:1 on `card`.
RUN_TOKENS = ("run_1", "run_2", "run_3", "run_4", "run_5", "run_6")


def series_color(tokens: Tokens, kind: str) -> str:
    """The colour of a rotation kind in charts, legends and cards."""
    return tokens.color(SERIES_TOKENS.get(kind, "accent"))


def series_label(kind: str) -> str:
    """The short name of a rotation kind; an unknown kind keeps its own."""
    return tr(SERIES_LABELS.get(kind, kind))


class FocusVisible(QObject):
    """Marks a widget with the property `kbd` while it holds focus that the keyboard gave it.

    Style sheets have no :focus-visible. Only the window's own input events are watched: an application-wide
    filter would call Python for every event.
    """

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._by_keyboard = False
        app.focusChanged.connect(self._moved)

    def watch(self, window: QWidget) -> None:
        """Call once the top-level window is shown."""
        handle = window.windowHandle()
        if handle is not None:
            handle.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.KeyPress:
            self._by_keyboard = True
        elif event.type() == QEvent.Type.MouseButtonPress:
            self._by_keyboard = False
        return False

    def _moved(self, old: QWidget | None, new: QWidget | None) -> None:
        for widget, is_on in ((old, False), (new, self._by_keyboard)):
            if widget is not None and bool(widget.property("kbd")) != is_on:
                set_property(widget, "kbd", is_on)


def set_property(widget: QWidget, name: str, value: object) -> None:
    """Set a property that the style sheet selects on, and restyle the widget."""
    widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)
    widget.update()


class Theme(QObject):
    """The colours in use; `changed` is emitted with the new tokens."""

    changed = Signal(object)
    _instance: Theme | None = None

    @classmethod
    def get(cls) -> Theme:
        if cls._instance is None:
            cls._instance = Theme()
        return cls._instance

    def __init__(self) -> None:
        super().__init__()
        self.mode: Mode = "system"
        self.t = LIGHT
        self.scale = 1.0
        self.mono_family = "monospace"
        self.focus: FocusVisible | None = None
        self._app: QApplication | None = None

    def install(self, app: QApplication, mode: Mode = "system", scale: float = 0.0) -> None:
        """Style the application and follow the system's colour scheme from now on.

        Args:
            scale: size of text and everything around it, 1 for the design's own; 0 takes the desktop's font.
        """
        if self._app is not app:
            self._app = app
            app.setStyle("Fusion")
            self.mono_family = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()
            self.focus = FocusVisible(app)
            app.styleHints().colorSchemeChanged.connect(lambda _: self._apply())
        self.scale = scale or _system_scale()
        app.setFont(_ui_font(self.scale))
        self.set_mode(mode)

    def set_mode(self, mode: Mode) -> None:
        self.mode = mode
        if self._app is None:
            return
        scheme = {"system": Qt.ColorScheme.Unknown, "light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}[mode]
        self._app.styleHints().setColorScheme(scheme)
        self._apply()

    def _apply(self) -> None:
        if self._app is None:
            return
        # A desktop without the setting reports Unknown, which is treated as light.
        is_system_dark = self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
        tokens = DARK if self.mode == "dark" or (self.mode == "system" and is_system_dark) else LIGHT
        sheet = style_sheet(tokens, self.mono_family, self.scale)
        if tokens is self.t and sheet == self._app.styleSheet():
            return
        self.t = tokens
        self._app.setPalette(_palette(tokens))
        self._app.setStyleSheet(sheet)
        self.changed.emit(tokens)


def px(size: float) -> int:
    """A size of the design in the pixels it takes with the user's font."""
    return round(size * Theme.get().scale)


def ui_font(size: int, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """The application's font at another size of the design, for axes and the like."""
    return design_font(px(size), weight)


def design_font(size: int, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """The application's font at a size of the design, for painters that are scaled."""
    font = QFont(QApplication.font())
    font.setPixelSize(size)
    font.setWeight(weight)
    return font


def scaled(painter: QPainter, rect: QRect) -> QRectF:
    """Let a painter draw in sizes of the design; the rectangle in them."""
    scale = Theme.get().scale
    painter.scale(scale, scale)
    return QRectF(rect.x() / scale, rect.y() / scale, rect.width() / scale, rect.height() / scale)


def _system_scale() -> float:
    """How much larger than the design's the desktop's font is; a smaller one changes nothing."""
    return max(1.0, QFontInfo(QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)).pixelSize() / TEXT_PX)


def _ui_font(scale: float) -> QFont:
    family = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family()
    if family.lower() in {"", "sans", "sans serif", "sans-serif", "dejavu sans"}:  # no desktop named a font of its own
        installed = set(QFontDatabase.families())
        family = next((name for name in ("Inter", "Noto Sans", "Cantarell", "Ubuntu") if name in installed), family)
    font = QFont(family)
    font.setPixelSize(round(TEXT_PX * scale))
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


def _palette(t: Tokens) -> QPalette:
    role = QPalette.ColorRole
    colors = {
        role.Window: t.window,
        role.Base: t.card,
        role.AlternateBase: t.inset,
        role.Text: t.text,
        role.WindowText: t.text,
        role.Button: t.card,
        role.ButtonText: t.text,
        role.Highlight: t.accent,
        role.HighlightedText: t.on_accent,
        role.ToolTipBase: t.raised,
        role.ToolTipText: t.text,
        role.PlaceholderText: t.faint,
        role.Link: t.accent,
        role.Light: t.raised,
        role.Midlight: t.line,
        role.Mid: t.line,
        role.Dark: t.line_strong,
        role.Shadow: "#000000",
        role.Accent: t.accent,
    }
    palette = QPalette()
    for name, color in colors.items():
        palette.setColor(name, QColor(color))
    for name in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, name, QColor(t.faint))
    return palette
