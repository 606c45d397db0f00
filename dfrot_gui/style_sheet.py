"""The one style sheet, written over the theme's tokens."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from PySide6.QtCore import QStandardPaths

if TYPE_CHECKING:
    from dfrot_gui.tokens import Tokens

# Lines of one and two pixels stay as they are, and so do corners, which Qt squares where they are too round.
_SIZE = re.compile(r"(?<!border-radius: )\b([3-9]|\d\d+)px")
# Style sheets cannot recolour an image, so these two marks are written once per colour into the cache folder.
_MARKS = {"check": "M4 8.5 7 11.5 12.5 5", "chevron": "M3.5 6 8 10.5 12.5 6"}


def style_sheet(tokens: Tokens, mono_family: str, scale: float = 1.0) -> str:
    """The application's style sheet in the given colours; lines keep their width at any scale."""
    values = {key: str(value) for key, value in asdict(tokens).items()}
    values |= {
        "mono": mono_family,
        "check": _mark("check", tokens.on_accent),
        "chevron": _mark("chevron", tokens.muted),
    }
    sheet = _SIZE.sub(lambda found: f"{round(int(found[1]) * scale)}px", _SURFACES + _BUTTONS + _FIELDS + _VIEWS)
    return Template(sheet).substitute(values)


def _mark(name: str, color: str) -> str:
    folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.CacheLocation)) / "marks"
    path = folder / f"{name}-{color.lstrip('#')}.svg"
    if not path.exists():
        line = f'fill="none" stroke="{color}" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="{_MARKS[name]}" {line}/></svg>'
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(svg, encoding="utf-8")
        except OSError:  # a full or read-only cache costs a tick mark, not the window
            return ""
    return path.as_posix()


_SURFACES = """
QToolTip {
    background: $raised; color: $text; border: 1px solid $line_strong; padding: 5px 8px; border-radius: 6px;
}
#sidebar { background: $sidebar; border-right: 1px solid $line; }
#page, #scrollbody { background: $window; }
#scrollcard { background: $card; }
QScrollArea { border: 0; background: $window; }
QScrollArea#oncard { background: $card; }
QLabel { background: transparent; }
QLabel[role="h1"] { font-size: 22px; font-weight: 600; letter-spacing: -0.3px; color: $text; }
QLabel[role="h2"] { font-size: 14px; font-weight: 600; color: $text; }
QLabel[role="sub"], QLabel[role="muted"] { color: $muted; }
QLabel[role="small"] { color: $muted; font-size: 12px; }
QLabel[role="caps"] { color: $faint; font-size: 11px; font-weight: 600; letter-spacing: 0.6px; }
QLabel[role="kpi"] { font-size: 26px; font-weight: 600; letter-spacing: -0.6px; color: $text; }
QLabel[role="mono"] { font-family: "$mono"; font-size: 12px; color: $muted; }
QLabel[role="good"] { color: $good; font-weight: 500; font-size: 12px; }
QLabel[role="warn"] { color: $warn; font-weight: 500; font-size: 12px; }
QLabel[role="bad"] { color: $bad; font-weight: 500; font-size: 12px; }
QLabel[badge="neutral"] { background: $inset; color: $muted; border: 1px solid $line; }
QLabel[badge="accent"] { background: $accent_soft; color: $accent; border: 1px solid $accent_soft; }
QLabel[badge="good"] { background: $good_soft; color: $good; border: 1px solid $good_soft; }
QLabel[badge="warn"] { background: $warn_soft; color: $warn; border: 1px solid $warn_soft; }
QLabel[badge="bad"] { background: $bad_soft; color: $bad; border: 1px solid $bad_soft; }
QLabel[badge] { border-radius: 8px; padding: 1px 8px; font-size: 11px; font-weight: 500; }
QFrame[card="true"] { background: $card; border: 1px solid $line; border-radius: 12px; }
QFrame[card="good"] { background: $good_soft; border: 1px solid $good_soft; border-radius: 10px; }
QFrame[card="warn"] { background: $warn_soft; border: 1px solid $warn_soft; border-radius: 10px; }
QFrame[card="bad"] { background: $bad_soft; border: 1px solid $bad_soft; border-radius: 10px; }
QFrame[card="inset"] { background: $inset; border: 1px solid $line; border-radius: 10px; }
QLabel[tip="true"] { background: $raised; border: 1px solid $line_strong; border-radius: 8px; padding: 6px 10px; }
QFrame[hline="true"] { background: $line; border: 0; max-height: 1px; min-height: 1px; }
"""

_BUTTONS = """
QPushButton {
    background: $card; color: $text; border: 1px solid $line_strong; border-radius: 8px; padding: 7px 14px;
    font-weight: 500; min-height: 18px; outline: none;
}
QPushButton:hover { background: $inset; }
QPushButton:pressed { background: $line; }
QPushButton[kbd="true"]:focus { border: 2px solid $focus; padding: 6px 13px; }
QPushButton:disabled { color: $faint; border-color: $line; }
QPushButton[kind="primary"] { background: $primary; color: $on_accent; border: 1px solid $primary; }
QPushButton[kind="primary"]:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton[kind="primary"]:pressed { background: $accent_press; }
QPushButton[kind="primary"][kbd="true"]:focus { border: 2px solid $text; padding: 6px 13px; }
QPushButton[kind="primary"]:disabled { background: $line; border-color: $line; color: $faint; }
QPushButton[kind="danger"] { color: $bad; }
QPushButton[kind="danger"]:disabled { color: $faint; }
QPushButton[kind="danger"]:hover { background: $bad_soft; border-color: $bad; }
QPushButton[kind="ghost"] {
    background: transparent; border: 1px solid transparent; color: $muted; padding: 6px 10px;
}
QPushButton[kind="ghost"]:hover { background: $inset; color: $text; }
QPushButton[kind="ghost"][kbd="true"]:focus { border: 2px solid $focus; padding: 5px 9px; }
QPushButton[kind="nav"] {
    text-align: left; background: transparent; border: 1px solid transparent; border-radius: 8px;
    padding: 9px 12px; color: $muted; font-weight: 500;
}
QPushButton[kind="nav"]:hover { background: $inset; color: $text; }
QPushButton[kind="nav"]:checked { background: $accent_soft; color: $accent; font-weight: 600; }
QPushButton[kind="nav"][kbd="true"]:focus { border: 2px solid $focus; padding: 8px 11px; }
QPushButton[kind="fold"] {
    text-align: left; background: transparent; border: 1px solid transparent; border-radius: 8px;
    padding: 7px 8px; font-size: 14px; font-weight: 600;
}
QPushButton[kind="fold"]:hover { background: $inset; }
QPushButton[kind="fold"][kbd="true"]:focus { border: 2px solid $focus; padding: 6px 7px; }
QPushButton[kind="chip"] {
    background: $card; border: 1px solid $line_strong; border-radius: 14px; padding: 4px 12px; font-size: 12px;
    color: $muted;
}
QPushButton[kind="chip"]:checked { background: $accent_soft; border-color: $accent; color: $accent; }
QPushButton[kind="chip"][kbd="true"]:focus { border: 2px solid $focus; padding: 3px 11px; }
QPushButton[kind="seg"] {
    background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 4px 12px;
    color: $muted; font-size: 12px;
}
QPushButton[kind="seg"]:checked { background: $raised; border-color: $line_strong; color: $text; font-weight: 600; }
QPushButton[kind="seg"]:disabled { color: $faint; }
QPushButton[kind="seg"]:checked:disabled { background: $card; border-color: $line; color: $faint; }
QPushButton[kind="seg"][kbd="true"]:focus { border: 2px solid $focus; padding: 3px 11px; }
"""

_FIELDS = """
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox {
    background: $card; color: $text; border: 1px solid $line_strong; border-radius: 8px; padding: 6px 10px;
    min-height: 20px; selection-background-color: $primary; outline: none;
}
QLineEdit:hover, QSpinBox:hover, QDoubleSpinBox:hover, QComboBox:hover { border-color: $faint; }
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {
    border: 2px solid $focus; padding: 5px 9px;
}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {
    background: $inset; color: $faint; border-color: $line;
}
QLineEdit[problem="error"], QSpinBox[problem="error"], QDoubleSpinBox[problem="error"], QComboBox[problem="error"] {
    border: 1px solid $bad;
}
QFrame[card="inset"][problem="error"] { border: 1px solid $bad; }
QSpinBox, QDoubleSpinBox { padding: 5px 2px; min-height: 22px; }
QSpinBox:focus, QDoubleSpinBox:focus { padding: 4px 1px; }
QComboBox::drop-down { border: 0; width: 26px; }
QComboBox::down-arrow { image: url($chevron); width: 14px; height: 14px; }
QComboBox QAbstractItemView {
    background: $raised; border: 1px solid $line_strong; border-radius: 8px; padding: 4px; outline: 0;
    selection-background-color: $accent_soft; selection-color: $text;
}
QAbstractSpinBox QLineEdit, QAbstractSpinBox QLineEdit:focus, QAbstractSpinBox QLineEdit:hover {
    border: 0; background: transparent; padding: 0; min-height: 0; border-radius: 0;
}
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {
    width: 0; border: 0;
}
QCheckBox { spacing: 9px; color: $text; outline: none; }
QCheckBox::indicator {
    width: 16px; height: 16px; border-radius: 5px; border: 1px solid $line_strong; background: $card;
}
QCheckBox::indicator:checked { background: $accent; border-color: $accent; image: url($check); }
QCheckBox:disabled { color: $faint; }
QCheckBox::indicator:disabled { background: $inset; border-color: $line; }
QCheckBox[kbd="true"]:focus { color: $focus; text-decoration: underline; }
QListView[kbd="true"]:focus, QTableView[kbd="true"]:focus, QPlainTextEdit[kbd="true"]:focus {
    border: 2px solid $focus; border-radius: 8px;
}
"""

_VIEWS = """
QSlider { min-height: 24px; }
QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: $line; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal {
    width: 16px; height: 16px; margin: -7px 0; border-radius: 9px; background: $raised;
    border: 2px solid $accent;
}
QProgressBar {
    background: $line; border: 0; border-radius: 4px; max-height: 8px; min-height: 8px; text-align: center;
    color: transparent;
}
QProgressBar::chunk { background: $accent; border-radius: 4px; }
QListView, QTableView, QPlainTextEdit { background: $card; border: 0; outline: 0; color: $text; }
QListView#topics { background: transparent; }
QListView#topics::item { padding: 8px 10px; border-radius: 8px; color: $muted; }
QListView#topics::item:hover { background: $inset; color: $text; }
QListView#topics::item:selected { background: $accent_soft; color: $accent; }
QPlainTextEdit {
    font-family: "$mono"; font-size: 12px; color: $muted; background: $inset; border: 1px solid $line;
    border-radius: 8px; padding: 6px;
}
QTextEdit {
    background: $card; color: $text; border: 1px solid $line_strong; border-radius: 8px; padding: 6px; outline: none;
    selection-background-color: $primary; font-size: 13px;
}
QTextEdit[readOnly="true"] { background: $inset; border-color: $line; }
QTextBrowser#article, QTextBrowser#article[readOnly="true"] {
    background: $card; border: 1px solid $line; border-radius: 12px;
}
QTextEdit:focus { border: 2px solid $focus; padding: 5px; }
QTableView {
    gridline-color: $line; selection-background-color: $accent_soft; selection-color: $text;
    alternate-background-color: $inset;
}
QTableView::item { padding: 0 10px; border-bottom: 1px solid $line; }
QHeaderView { background: $card; }
QHeaderView::section {
    background: $card; color: $faint; font-size: 11px; font-weight: 600; border: 0;
    border-bottom: 1px solid $line; padding: 8px 10px;
}
QHeaderView::up-arrow, QHeaderView::down-arrow {
    subcontrol-origin: padding; subcontrol-position: top center; width: 8px; height: 6px;
}
QScrollBar:vertical { background: transparent; width: 10px; margin: 2px; }
QScrollBar::handle:vertical { background: $line_strong; border-radius: 3px; min-height: 32px; }
QScrollBar::handle:vertical:hover { background: $faint; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 2px; }
QScrollBar::handle:horizontal { background: $line_strong; border-radius: 3px; min-width: 32px; }
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {
    background: transparent; border: 0; width: 0; height: 0;
}
QSplitter::handle { background: transparent; }
QStatusBar { background: $sidebar; border-top: 1px solid $line; color: $muted; }
QMenu { background: $raised; border: 1px solid $line_strong; border-radius: 8px; padding: 4px; }
QMenu::item { padding: 6px 24px 6px 12px; border-radius: 6px; }
QMenu::item:selected { background: $accent_soft; }
"""
