from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from dfrot_gui import icons
from dfrot_gui.theme import DARK, LIGHT, RUN_TOKENS, Theme, Tokens, series_color, series_label

KINDS = ("none", "random-orthogonal", "hadamard", "dfrot")


def luminance(color: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    rgb = QColor(color)
    return 0.2126 * linear(rgb.redF()) + 0.7152 * linear(rgb.greenF()) + 0.0722 * linear(rgb.blueF())


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("name", "ground"), [("text", "card"), ("muted", "card"), ("muted", "window"), ("muted", "inset")]
)
def test_text_can_be_read(tokens: Tokens, name: str, ground: str) -> None:
    assert contrast(tokens.color(name), tokens.color(ground)) >= 4.5


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["good", "warn", "bad"])
def test_states_can_be_read_on_their_own_ground(tokens: Tokens, name: str) -> None:
    assert contrast(tokens.color(name), tokens.color(f"{name}_soft")) >= 4.5


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_the_primary_button_can_be_read(tokens: Tokens) -> None:
    assert contrast(tokens.on_accent, tokens.primary) >= 4.5


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_series_can_be_told_from_the_ground_and_each_other(tokens: Tokens) -> None:
    colors = [series_color(tokens, kind) for kind in KINDS]
    assert all(contrast(color, tokens.card) >= 3 for color in colors)
    assert len(set(colors)) == len(KINDS)


# Machado, Oliveira and Fernandes 2009, severity 1: linear RGB → what a colour-blind eye sees of it.
BLIND = {
    "nobody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deutan": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "tritan": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}


def seen(color: str, eye: str) -> np.ndarray:
    """L*a*b* of a colour as an eye sees it."""
    rgb = np.array((QColor(color).redF(), QColor(color).greenF(), QColor(color).blueF()))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(BLIND[eye]) @ linear, 0, 1)
    to_xyz = np.array(((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)))
    x, y, z = np.cbrt(to_xyz @ linear / (0.9505, 1, 1.089))
    return np.array((116 * y - 16, 500 * (x - y), 200 * (y - z)))


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("eye", BLIND)
def test_colour_blind_eyes_tell_runs_apart(tokens: Tokens, eye: str) -> None:
    colors = [tokens.color(name) for name in RUN_TOKENS]
    assert all(contrast(color, tokens.card) >= 3 for color in colors)
    distances = [np.linalg.norm(seen(one, eye) - seen(other, eye)) for one, other in combinations(colors, 2)]
    assert min(distances) > 10


def test_series_have_the_names_of_the_paper() -> None:
    assert [series_label(kind) for kind in KINDS] == ["NR", "RO", "RH", "DFRot"]
    assert series_label("unheard-of") == "unheard-of"


def test_a_switch_changes_colours_and_tells(qtbot, themed: Theme, qapp: QApplication) -> None:
    with qtbot.waitSignal(themed.changed) as signal:
        themed.set_mode("dark")
    assert signal.args == [DARK]
    assert qapp.palette().window().color() == QColor(DARK.window)
    assert DARK.card in qapp.styleSheet()
    themed.set_mode("light")
    assert themed.t is LIGHT


def test_an_icon_takes_the_colour_of_the_theme(themed: Theme) -> None:
    picture = icons.pixmap("cube", 32, "bad", 1.0).toImage()
    colors = {
        picture.pixelColor(x, y).name() for x in range(32) for y in range(32) if picture.pixelColor(x, y).alpha() == 255
    }
    assert QColor(LIGHT.bad).name() in colors


def test_an_unknown_icon_is_found_at_once(themed: Theme) -> None:
    with pytest.raises(AssertionError, match="no icon"):
        icons.icon("no-such-icon")
