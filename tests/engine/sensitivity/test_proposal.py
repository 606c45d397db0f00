"""Which linears get 8 bits, from divergences alone."""

from __future__ import annotations

import math

import pytest

from dfrot_engine.architectures import Architecture, architecture_of
from dfrot_engine.plan_linears import planned_linears
from dfrot_engine.recipe import ActivationScheme, Override, Recipe, WeightScheme
from dfrot_engine.sensitivity.proposal import average_bits, num_weights, propose, raisable, with_proposal, with_raised
from dfrot_engine.sensitivity.types import SensitivityResult

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 100,
}
W4 = Recipe(weights=WeightScheme(group_size=32), activations=ActivationScheme())
DOWN_8 = Override(linears="*.down_proj", activations=ActivationScheme(format="int8"))


def architecture() -> Architecture:
    return architecture_of(CONFIG)


def divergences(recipe: Recipe, **high: float) -> dict[str, float]:
    """0.001 for each linear; for those whose name has one of these words in it, the word's own number."""
    names = [linear.name for linear in planned_linears(recipe, architecture())]
    return {name: next((kl for word, kl in high.items() if word in name), 0.001) for name in names}


@pytest.mark.parametrize("bits", [4.0, 4.1, 4.5, 5.0, 6.3, 7.9, 8.0])
def test_the_average_is_reached_within_one_step(bits: float) -> None:
    linears = planned_linears(W4, architecture())
    proposal = propose(divergences(W4, v_proj=0.5, up_proj=0.2), linears, architecture(), bits)
    assert proposal.bits_before == 4.0
    assert proposal.bits_after <= bits + 1e-9
    after = planned_linears(with_proposal(W4, proposal), architecture())
    assert average_bits(after) == pytest.approx(proposal.bits_after)
    assert [one.name for one in after if one.weights and one.weights.format == "int8"] == list(proposal.raised)
    # What is left would not even hold the smallest unit that still has 4 bits.
    norms = architecture().block.norms
    weights = {one.name: math.prod(one.shape) for one in linears}
    units = [[*norm.feeds] for norm in norms] + [["self_attn.o_proj"], ["mlp.down_proj"]]
    open_units = [
        sum(4 * weights[f"model.layers.{block}.{name}"] for name in unit)
        for block in range(3)
        for unit in units
        if f"model.layers.{block}.{unit[0]}" not in proposal.raised
    ]
    assert not open_units or (bits - proposal.bits_after) * sum(weights.values()) < min(open_units)


def test_the_worst_comes_first_and_brings_what_runs_with_it() -> None:
    kl = divergences(W4) | {"model.layers.1.self_attn.k_proj": 2.0}
    proposal = propose(kl, planned_linears(W4, architecture()), architecture(), 4.4)
    names = [f"model.layers.1.self_attn.{letter}_proj" for letter in "qkv"]
    assert list(proposal.raised) == names
    assert [one.linears for one in proposal.overrides] == names


def test_a_kind_that_is_raised_everywhere_is_one_override() -> None:
    proposal = propose(divergences(W4, o_proj=1.0), planned_linears(W4, architecture()), architecture(), 4.5)
    override = proposal.overrides[0]
    assert override.linears == "*.o_proj"
    assert override.weights is not None
    assert (override.weights.format, override.weights.group_size) == ("int8", 32)
    assert override.activations is not None
    assert override.activations.format == "int8"


def test_the_recipes_own_overrides_are_kept() -> None:
    own = Override(linears="model.layers.0.self_attn.o_proj", weights=WeightScheme(format="int8", group_size=64))
    recipe = W4.model_copy(update={"overrides": (DOWN_8, own)})
    linears = planned_linears(recipe, architecture())
    proposal = propose(divergences(recipe, down_proj=1.0, o_proj=1.0), linears, architecture(), 6.5)
    result = with_proposal(recipe, proposal)
    assert result.overrides[:2] == (DOWN_8, own)
    assert "model.layers.0.self_attn.o_proj" not in proposal.raised
    # Alike in two of three blocks only, so that the third one's own group size survives.
    assert "*.o_proj" not in [one.linears for one in proposal.overrides]
    kept = result.schemes("model.layers.0.self_attn.o_proj").weights
    assert kept is not None
    assert kept.group_size == 64
    down = next(one for one in proposal.overrides if one.linears == "*.down_proj")
    assert down.activations is None  # 8 bits already
    assert Recipe.parse(result.model_dump(mode="json")) == result


def test_linears_left_alone_stay_so() -> None:
    recipe = W4.model_copy(update={"skip": ("lm_head", "*.k_proj")})
    proposal = propose(divergences(recipe), planned_linears(recipe, architecture()), architecture(), 8.0)
    assert proposal.bits_after == pytest.approx(8.0)
    assert not any("k_proj" in name for name in proposal.raised)


def test_what_a_user_marks_gets_the_bits_that_were_promised() -> None:
    linears = planned_linears(W4, architecture())
    kl = divergences(W4) | {"model.layers.1.self_attn.k_proj": 2.0}
    units = raisable(kl, linears, architecture())
    assert units[0].linears == tuple(f"model.layers.1.self_attn.{letter}_proj" for letter in "qkv")
    assert sorted(name for unit in units for name in unit.linears) == sorted(
        one.name for one in linears if not one.is_head
    )
    result = SensitivityResult(
        model="m",
        recipe_name=W4.name,
        rows=(),
        by_kind={},
        by_block=(),
        notes=(),
        tokens=1,
        num_samples=1,
        seq_len=2,
        average_bits=average_bits(linears),
        num_weights=num_weights(linears),
    )
    recipe = with_raised(W4, result, units[:2])
    after = planned_linears(recipe, architecture())
    assert [one.name for one in after if one.weights and one.weights.format == "int8"] == [
        one.name for one in linears if one.name in (*units[0].linears, *units[1].linears)
    ]
    assert recipe.name == f"custom, {average_bits(after):.2f} bits"
