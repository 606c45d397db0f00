from __future__ import annotations

from dfrot_engine.architectures import ARCHITECTURES
from dfrot_engine.architectures.families import FAMILIES, family_title


def test_every_architecture_is_in_one_family() -> None:
    members = [model_type for types in FAMILIES.values() for model_type in types]
    assert sorted(members) == sorted(ARCHITECTURES)


def test_families_are_those_people_know() -> None:
    assert {"mistral", "ministral3", "mixtral"} <= set(FAMILIES["mistral"])
    assert {"qwen2_moe", "qwen3_vl"} <= set(FAMILIES["qwen"])
    assert [family_title(one) for one in ("olmo", "phi", "seed")] == ["OLMo", "Phi", "Seed-OSS"]
