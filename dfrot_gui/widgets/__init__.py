"""Widgets that know nothing of recipes and runs; every one follows the theme."""

from dfrot_gui.widgets.basic import (
    Button,
    Card,
    IconLabel,
    KpiCard,
    NavButton,
    badge,
    box,
    clear,
    col,
    hline,
    label,
    row,
    set_badge,
    set_role,
)
from dfrot_gui.widgets.choices import OptionCard, Segmented, tab_to_checked
from dfrot_gui.widgets.legend import Legend
from dfrot_gui.widgets.log_view import LogView
from dfrot_gui.widgets.notice import Notice
from dfrot_gui.widgets.page import Page, scrolled
from dfrot_gui.widgets.path_field import PathField
from dfrot_gui.widgets.problem_list import ProblemList
from dfrot_gui.widgets.stage_bar import StageBar

__all__ = [
    "Button",
    "Card",
    "IconLabel",
    "KpiCard",
    "Legend",
    "LogView",
    "NavButton",
    "Notice",
    "OptionCard",
    "Page",
    "PathField",
    "ProblemList",
    "Segmented",
    "StageBar",
    "badge",
    "box",
    "clear",
    "col",
    "hline",
    "label",
    "row",
    "scrolled",
    "set_badge",
    "set_role",
    "tab_to_checked",
]
