from __future__ import annotations

import pytest

from dfrot_engine.trial.advice import notes, recommend, sentence
from dfrot_engine.trial.types import TrialRow


def rows(**errors: float) -> list[TrialRow]:
    return [
        TrialRow(kind=kind.replace("_", "-"), token_error=None, block_error=error, seconds=1.0)
        for kind, error in errors.items()
    ]


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ({"none": 0.10, "hadamard": 0.11, "descent": 0.12}, "none"),
        ({"none": 0.10, "hadamard": 0.11, "descent": 0.0985}, "none"),
        ({"none": 0.80, "random_orthogonal": 0.40, "hadamard": 0.40, "dfrot": 0.395}, "hadamard"),
        ({"none": 0.80, "hadamard": 0.40, "dfrot": 0.38, "descent": 0.375}, "dfrot"),
        ({"none": 0.80, "hadamard": 0.40, "dfrot": 0.38, "descent": 0.35}, "descent"),
        ({"none": 0.80, "householder": 0.40, "descent": 0.40}, "householder"),
        ({"none": 0.80, "from_file": 0.30, "a_new_kind": 0.30}, "from-file"),
        ({"none": 0.0, "hadamard": 0.0}, "none"),
    ],
)
def test_the_simplest_of_the_best_is_recommended(errors: dict[str, float], kind: str) -> None:
    assert recommend(rows(**errors)).kind == kind
    assert recommend(rows(**dict(reversed(errors.items())))).kind == kind


def test_the_sentence_tells_the_numbers() -> None:
    text = sentence(rows(none=0.8412, hadamard=0.414, descent=0.384))
    assert text == (
        "Use descent: what a block adds is off by 38.4 %, against 84.1 % with no rotation and "
        "against 41.4 % with random Hadamard (RH)."
    )
    text = sentence(rows(none=0.8, hadamard=0.40, dfrot=0.396))
    assert text == (
        "Use random Hadamard (RH): what a block adds is off by 40 %, against 80 % with no rotation. "
        "DFRot makes no real difference."
    )
    text = sentence(rows(none=0.0101, hadamard=0.0102, descent=0.01))
    assert text == (
        "Do not rotate this model for this recipe: what a block adds is off by 1.01 % without a rotation, "
        "against 1 % with descent."
    )


def test_notes_say_what_limits_it() -> None:
    def found(error: float, massive: int, read: int, is_cut_short: bool = False) -> str:
        own = rows(hadamard=error)
        return " ".join(notes(own, massive_count=massive, read_blocks=read, num_blocks=8, is_cut_short=is_cut_short))

    assert found(0.1, 3, 8) == ""
    assert "more bits" in found(0.4, 3, 8)
    assert "No token is massive" in found(0.1, 0, 8)
    assert "cut short" in found(0.1, 3, 8, True)
    assert "only the first 2 of 8 blocks" in found(0.1, 3, 2)
