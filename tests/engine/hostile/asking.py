"""What every hostile test asks: a result or a sentence, never another fault."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dfrot_engine.errors import DFRotError

T = TypeVar("T")

#: Some hundred examples each, so that all of them take seconds; the same ones every time.
FEW = settings(
    max_examples=80,
    deadline=2_000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 1, 2**31, 2**63 - 1, 2**63, 10**400, 10**15]),
    st.floats(allow_nan=True, allow_infinity=True),
)
TEXTS = st.one_of(
    st.text(max_size=20), st.sampled_from(["", "../x", "/etc/passwd", "a" * 5_000, "\0", "\x1b[2J", "é\u2028"])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)


class Silent:
    """A console that builds every line and shows none."""

    def print(self, *parts: Any, **_: Any) -> None:
        assert all(str(part) is not None for part in parts)


def outcome(ask: Callable[[], T], *names: str) -> T | None:
    """The result, or None for a DFRotError that can be printed, is not endless and holds one of `names`."""
    try:
        return ask()
    except DFRotError as error:
        text = str(error)
        assert len(text.encode()) < 20_000
        assert not names or any(name in text for name in names), text[:500]
        return None


def shard(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file whose JSON header, and its length, may be anything."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data
