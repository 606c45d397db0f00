from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfrot_engine import Recipe, RecipeError, preset_names
from dfrot_engine.formats import FORMATS
from dfrot_engine.recipe import (
    ActivationScheme,
    Calibration,
    Cayley,
    Descent,
    DFRot,
    Export,
    FromFile,
    Hadamard,
    Householder,
    KVCacheScheme,
    NoRotation,
    Override,
    RandomOrthogonal,
    RotationPlan,
    ScaleRecovery,
    WeightScheme,
    Whip,
)
from dfrot_engine.recipe_sections import AnyFormat, TokenFormat

FULL = Recipe(
    name="everything set",
    rotation=RotationPlan(r1=DFRot(massive_weight=50.5, steps=7), r2=NoRotation(), r3=True, r4=Hadamard()),
    weights=WeightScheme(format="int3", granularity="per-channel", symmetric=False, clip_ratio=0.9),
    activations=ActivationScheme(format="int8", clip_ratio="search"),
    kv_cache=KVCacheScheme(clip_ratio="search"),
    recovery=ScaleRecovery(steps=7),
    overrides=(Override(linears="*.down_proj", activations=ActivationScheme(clip_ratio=0.8)),),
    skip=(),
    exports=(Export(), Export(kind="rotated-bf16", subfolder="a/b")),
)


def test_file_gives_the_same_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    FULL.save(path)
    assert Recipe.load(path) == FULL


rotations = st.one_of(
    st.builds(NoRotation),
    st.builds(RandomOrthogonal, seed=st.integers(0, 2**31 - 1)),
    st.builds(Hadamard, seed=st.integers(0, 2**31 - 1)),
    st.builds(DFRot, massive_weight=st.floats(1, 1e6) | st.just("auto"), steps=st.integers(1, 10_000)),
    st.builds(Descent, start=st.sampled_from(["hadamard", "householder", "dfrot"]), learning_rate=st.floats(1e-6, 0.5)),
    st.builds(Whip, batch_rows=st.integers(64, 1_000_000)),
    st.builds(Cayley, batch_size=st.integers(1, 1_024), learning_rate=st.floats(1e-6, 0.5)),
    st.builds(Householder, seed=st.integers(0, 2**31 - 1)),
    st.builds(FromFile, path=st.sampled_from(["", "own.npy"])),
)
ratios = st.one_of(st.just("search"), st.floats(0.01, 1))
weights = st.builds(WeightScheme, clip_ratio=ratios, symmetric=st.booleans()) | st.builds(
    WeightScheme, format=st.sampled_from(list(FORMATS)), clip_ratio=ratios
)
recipes = st.builds(
    Recipe,
    name=st.text(max_size=20),
    rotation=st.builds(RotationPlan, r1=rotations, r3=st.booleans()),
    weights=st.none() | weights,
    activations=st.none() | st.builds(ActivationScheme, clip_ratio=ratios),
    kv_cache=st.none() | st.builds(KVCacheScheme, clip_ratio=ratios),
    overrides=st.lists(st.builds(Override, linears=st.text(min_size=1, max_size=9), weights=weights), max_size=2).map(
        tuple
    ),
    skip=st.lists(st.text(max_size=9), max_size=3).map(tuple),
)


@given(recipes)
def test_toml_round_trip(recipe: Recipe) -> None:
    again = Recipe.parse(tomllib.loads(recipe.to_toml()))
    assert again == recipe
    assert again.fingerprint() == recipe.fingerprint()


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("nonsense", {"nonsense": 1}),
        ("weights.bits", {"weights": {"bits": 4}}),
        ("rotation.r1.sedd", {"rotation": {"r1": {"kind": "dfrot", "sedd": 1}}}),
        ("rotation.r1.steps", {"rotation": {"r1": {"kind": "hadamard", "steps": 5}}}),
        ("overrides.0.linear", {"overrides": [{"linears": "*", "linear": "*"}]}),
    ],
)
def test_unknown_keys_are_refused_by_name(field: str, data: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(data)
    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("version", {"version": 2}),
        ("calibration.seq_len", {"calibration": {"seq_len": 15}}),
        ("calibration.num_samples", {"calibration": {"num_samples": "many"}}),
        ("weights.format", {"weights": {"format": "int9"}}),
        ("weights.clip_ratio", {"weights": {"clip_ratio": 0}}),
        ("activations.clip_ratio", {"activations": {"clip_ratio": "serach"}}),
        ("kv_cache.clip_ratio", {"kv_cache": {"clip_ratio": 1.5}}),
        ("rotation.r1.massive_weight", {"rotation": {"r1": {"kind": "dfrot", "massive_weight": 0.5}}}),
        ("rotation.r2", {"rotation": {"r2": {"kind": "dfrot"}}}),
        ("exports.0", {"exports": [{"subfolder": "../elsewhere"}]}),
        ("exports.0", {"exports": [{"subfolder": "/etc"}]}),
        ("", {"exports": [{}, {"kind": "rotated-bf16"}]}),
    ],
)
def test_values_that_do_not_fit_are_refused(field: str, data: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(data)
    # The clip ratio is a union; which of its members complains is of no interest.
    assert caught.value.field.startswith(field)


@pytest.mark.parametrize(("content", "words"), [(b"version = ", "not a TOML"), (b"\xff\xfe", "not a TOML")])
def test_files_that_are_no_recipes(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=words):
        Recipe.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Cannot read the recipe"):
        Recipe.load(tmp_path / "none.toml")


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_and_are_called_what_their_file_is_called(name: str) -> None:
    assert Recipe.preset(name).name == name


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="no preset 'w1a1'") as caught:
        Recipe.preset("w1a1")
    assert "w4a16" in caught.value.remedy


def test_fingerprint_sees_every_field() -> None:
    assert Recipe().fingerprint() == Recipe().fingerprint()
    assert Recipe().fingerprint() != FULL.fingerprint()
    assert Recipe().fingerprint() != Recipe(calibration=Calibration(seed=1)).fingerprint()
    assert len(Recipe().fingerprint()) == 16


def test_fields_are_set_by_dotted_names() -> None:
    recipe = Recipe().with_field("calibration.seed", 5).with_field("exports.0.kind", "rotated-bf16")
    assert recipe.calibration.seed == 5
    assert recipe.exports == (Export(kind="rotated-bf16"),)
    assert Recipe().calibration.seed == 0


def test_new_kind_starts_from_its_defaults() -> None:
    recipe = FULL.with_field("rotation.r1.kind", "hadamard")
    assert recipe.rotation.r1 == Hadamard()
    assert recipe.with_field("rotation.r1.kind", "dfrot").rotation.r1 == DFRot()
    assert FULL.with_field("rotation.r1.kind", "dfrot").rotation.r1 == FULL.rotation.r1


def test_absent_section_is_made_when_a_field_of_it_is_set() -> None:
    recipe = Recipe().with_field("weights.format", "int8")
    assert recipe.weights == WeightScheme(format="int8")
    assert recipe.with_field("weights", None).weights is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nonsense", 1),
        ("nonsense.deeper", 1),
        ("calibration.nonsense", 1),
        ("calibration.seed", -1),
        ("calibration.seed.deeper", 1),
        ("exports.5.kind", "rotated-bf16"),
        ("skip.9", "x"),
        ("rotation.r1.kind", "nonsense"),
    ],
)
def test_fields_that_are_not_there_or_do_not_fit(field: str, value: object) -> None:
    with pytest.raises(RecipeError):
        Recipe().with_field(field, value)


def test_schemes_of_a_linear() -> None:
    eight, four = WeightScheme(format="int8"), WeightScheme(format="int4")
    recipe = Recipe(
        weights=four,
        activations=ActivationScheme(),
        skip=("lm_head", "*.0.*"),
        overrides=(
            Override(linears="*.down_proj", weights=eight),
            Override(linears="*.3.*", activations=ActivationScheme(format="int8")),
        ),
    )
    assert recipe.schemes("layers.1.up_proj") == (four, ActivationScheme())
    assert recipe.schemes("layers.1.down_proj") == (eight, ActivationScheme())
    assert recipe.schemes("layers.3.down_proj") == (eight, ActivationScheme(format="int8"))
    assert recipe.schemes("layers.0.down_proj") == (None, None)
    assert recipe.schemes("lm_head") == (None, None)


def test_later_exceptions_win() -> None:
    first, last = (Override(linears="*", weights=WeightScheme(group_size=size)) for size in (16, 32))
    assert Recipe(overrides=(first, last)).schemes("x").weights == last.weights


FIXED = {"nvfp4": ("per-group", 16), "mxfp4": ("per-group", 32)}


def test_recipes_name_every_format() -> None:
    assert get_args(AnyFormat) == tuple(FORMATS)
    assert get_args(TokenFormat) == tuple(name for name, fmt in FORMATS.items() if fmt.group_size is None)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_all_a_scheme_needs(name: str, tmp_path: Path) -> None:
    recipe = Recipe.parse({"weights": {"format": name}, "activations": {"format": name}})
    recipe = recipe if name in FIXED else recipe.with_field("kv_cache.format", name)
    assert recipe.weights is not None
    assert recipe.activations is not None
    if name in FIXED:
        assert (recipe.weights.granularity, recipe.weights.group_size) == FIXED[name]
    assert recipe.activations.granularity == ("per-group" if name in FIXED else "per-token")
    recipe.save(tmp_path / "recipe.toml")
    assert Recipe.load(tmp_path / "recipe.toml") == recipe


def test_a_new_format_starts_what_it_decides_anew() -> None:
    recipe = Recipe(weights=WeightScheme(group_size=128, symmetric=False, clip_ratio=0.9), kv_cache=KVCacheScheme())
    for name in ("nvfp4", "fp8", "mxfp4", "int8"):
        recipe = recipe.with_field("weights.format", name).with_field("activations.format", name)
    assert recipe.weights == WeightScheme(format="int8", clip_ratio=0.9)
    assert recipe.activations == ActivationScheme(format="int8")
    assert recipe.with_field("weights.format", "int4").weights == WeightScheme(clip_ratio=0.9)
    eight = recipe.with_field("kv_cache.format", "fp8")
    assert eight.kv_cache == KVCacheScheme(format="fp8", symmetric=True)
    assert eight.with_field("kv_cache.format", "int4").kv_cache == KVCacheScheme()
    static = eight.with_field("kv_cache.granularity", "per-tensor")
    assert static.kv_cache == KVCacheScheme(format="fp8", granularity="per-tensor")
    assert static.kv_cache is not None
    assert static.kv_cache.clip_ratio == 1.0
    assert static.with_field("kv_cache.granularity", "per-head") == eight
    assert static.with_field("kv_cache.format", "int4").kv_cache == KVCacheScheme()


@pytest.mark.parametrize(
    ("section", "fields", "words"),
    [
        ("weights", {"format": "nvfp4", "group_size": 64}, "group_size of nvfp4 is always 16"),
        ("weights", {"format": "mxfp4", "granularity": "per-channel"}, "granularity of mxfp4 is always 'per-group'"),
        ("weights", {"format": "fp8", "symmetric": False}, "symmetric of fp8 is always true"),
        ("activations", {"format": "nvfp4", "granularity": "per-token"}, "always 'per-group'"),
        ("activations", {"format": "int4", "granularity": "per-group"}, "one scale per token"),
        ("activations", {"format": "fp8", "granularity": "per-group"}, "one scale per token"),
        ("kv_cache", {"format": "fp8", "symmetric": False}, "always true"),
        ("kv_cache", {"format": "nvfp4"}, "kv_cache.format"),
        ("kv_cache", {"format": "int8", "granularity": "per-tensor"}, "one scale per token and head"),
        ("kv_cache", {"format": "fp8", "granularity": "per-tensor", "clip_ratio": "search"}, "measured, not searched"),
    ],
)
def test_what_a_format_cannot_be(section: str, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Recipe.parse({section: fields})
