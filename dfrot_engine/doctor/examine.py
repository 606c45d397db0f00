"""Every check, one after the other; a check that fails is a finding itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dfrot_engine.doctor.computer import COMPUTER, DISK, computer_findings, disk_findings
from dfrot_engine.doctor.finding import Finding
from dfrot_engine.doctor.hub import HUB, hub_findings
from dfrot_engine.doctor.packages import PACKAGES, RUNTIMES, package_findings, qt_finding, runtime_findings

REINSTALL = "Install the program again."


def examine(folder: Path) -> tuple[Finding, ...]:
    """All findings, in the order of their groups.

    Args:
        folder: where a run would write.
    """
    checks: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
        (PACKAGES, package_findings),
        (PACKAGES, lambda: [qt_finding()]),
        (COMPUTER, computer_findings),
        (DISK, lambda: disk_findings(folder)),
        (HUB, hub_findings),
        (RUNTIMES, runtime_findings),
    )
    return tuple(finding for group, check in checks for finding in _guarded(group, check))


def _guarded(group: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # what is broken may raise anything, and the other checks are to go on
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        yield Finding(group, "this check", "broken", "stopped", f"{type(error).__name__}: {reason}", REINSTALL)
