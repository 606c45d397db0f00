"""The colours of both themes by their job. One place decides how everything looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tokens:
    """Colours by their job. The series keep 3:1 contrast on `card` in both themes (Okabe-Ito family)."""

    name: str
    window: str
    sidebar: str
    card: str
    raised: str
    inset: str
    line: str
    line_strong: str
    text: str
    muted: str
    faint: str
    accent: str
    accent_hover: str
    accent_press: str
    accent_soft: str
    primary: str
    on_accent: str
    good: str
    good_soft: str
    warn: str
    warn_soft: str
    bad: str
    bad_soft: str
    focus: str
    nr: str
    ro: str
    rh: str
    dfrot: str
    run_1: str
    run_2: str
    run_3: str
    run_4: str
    run_5: str
    run_6: str

    def color(self, name: str) -> str:
        """The colour of a token, or the colour itself when `name` is none of them."""
        return getattr(self, name, name)


LIGHT = Tokens(
    "light",
    window="#F6F7F9",
    sidebar="#FFFFFF",
    card="#FFFFFF",
    raised="#FFFFFF",
    inset="#F1F3F6",
    line="#E4E7EC",
    line_strong="#CDD3DC",
    text="#131722",
    muted="#5B6475",
    faint="#747D8E",
    accent="#4F46E5",
    accent_hover="#4338CA",
    accent_press="#3730A3",
    accent_soft="#EEF0FE",
    primary="#4F46E5",
    on_accent="#FFFFFF",
    good="#0B7A55",
    good_soft="#E3F6EE",
    warn="#9A5B00",
    warn_soft="#FDF2DC",
    bad="#C02637",
    bad_soft="#FDE9EB",
    focus="#4F46E5",
    nr="#7A8496",
    ro="#C77700",
    rh="#0B84C6",
    dfrot="#5B4BE8",
    run_1="#0B84C6",
    run_2="#C77700",
    run_3="#5B4BE8",
    run_4="#131722",
    run_5="#B3437F",
    run_6="#2E8B57",
)
DARK = Tokens(
    "dark",
    window="#0E1117",
    sidebar="#12161E",
    card="#161B24",
    raised="#1C222D",
    inset="#0F141B",
    line="#252C38",
    line_strong="#3A4454",
    text="#E8ECF3",
    muted="#9AA5B6",
    faint="#7C8799",
    accent="#7C74FF",
    accent_hover="#8F88FF",
    accent_press="#584FE0",
    accent_soft="#23234A",
    primary="#6A61F2",
    on_accent="#FFFFFF",
    good="#3CCB97",
    good_soft="#12312A",
    warn="#E6A93C",
    warn_soft="#33280F",
    bad="#FF6B7A",
    bad_soft="#3A1A21",
    focus="#A39DFF",
    nr="#93A0B4",
    ro="#F0A63A",
    rh="#4FB7F0",
    dfrot="#9A92FF",
    run_1="#4FB7F0",
    run_2="#F0A63A",
    run_3="#8478FF",
    run_4="#FFFFFF",
    run_5="#C65B9E",
    run_6="#2FA37C",
)
