"""Which licences the audit lets pass, and that those of this environment do."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from dfrot_engine.doctor.licences import licences

_SPEC = importlib.util.spec_from_file_location("audit", Path(__file__).parents[1] / "packaging" / "audit.py")
assert _SPEC
assert _SPEC.loader
audit = importlib.util.module_from_spec(_SPEC)
sys.modules["audit"] = audit
_SPEC.loader.exec_module(audit)


@pytest.mark.parametrize(
    ("licence", "is_allowed"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True),
        ("LGPL-3.0-only OR GPL-2.0-only OR GPL-3.0-only", True),
        ("Mozilla Public License 2.0 (MPL 2.0)", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("see its files", False),
    ],
)
def test_what_passes(licence: str, is_allowed: bool) -> None:
    assert audit.refused([("x", licence)]) == ([] if is_allowed else [f"x: {licence}"])


def test_the_licences_of_this_environment_pass() -> None:
    assert audit.refused((one.name, one.licence) for one in licences()) == []
