"""One thing that was looked at, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: "absent" is no fault: something optional that is not there. "slow" works, "missing" and "broken" do not.
Status = Literal["ok", "absent", "slow", "missing", "broken"]
FAULTS: tuple[Status, ...] = ("missing", "broken")


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Args:
        group: the heading it stands under.
        value: what was found: a version, a size, a name.
        note: what follows from it, for people; "" where nothing does.
        remedy: the one command, or step, that mends it; "" where nothing is to be mended.
    """

    group: str
    name: str
    status: Status
    value: str
    note: str = ""
    remedy: str = ""
