"""The kinds of rotation in words."""

from __future__ import annotations

ROTATION_NAMES = {
    "none": "no rotation",
    "random-orthogonal": "random orthogonal (RO)",
    "hadamard": "random Hadamard (RH)",
    "householder": "Householder and Hadamard",
    "dfrot": "DFRot",
    "descent": "descent",
    "whip": "Whip",
    "cayley": "Cayley (SpinQuant)",
    "from-file": "your rotation",
}


def rotation_name(kind: str) -> str:
    """A kind for people; an unknown one keeps its own name."""
    return ROTATION_NAMES.get(kind, kind)
