"""What is said of each scheme: the facts one by one, mixed precision, generations, the KV cache, this computer."""

from __future__ import annotations

import pytest

from dfrot_engine.plan_types import Output
from dfrot_engine.recipe import Recipe
from dfrot_engine.verdicts.judge import recipe_verdicts, verdicts
from dfrot_engine.verdicts.types import EVERY_RUNTIME, LOADS
from tests.engine.verdicts.asking import (
    A4,
    A8,
    ASYMMETRIC,
    CHANNEL4,
    CHANNEL8,
    FOLDER,
    FP8,
    G32,
    G64,
    G96,
    G128,
    MXFP4,
    NVFP4,
    Scheme,
    ask,
    linear,
    row,
)

HUMMING = "--linear-backend humming"
LOADS_, DIFFERS, UNTRIED, REFUSED = "loads", "loads-differently", "not-tried", "refused"
TRANSFORMERS, CPU = "transformers", "vLLM CPU"


@pytest.mark.parametrize(
    ("weights", "activations", "runtime", "outcome", "bits", "measured"),
    [
        (G64, None, TRANSFORMERS, LOADS_, (16,), "54.69"),
        (G32, None, TRANSFORMERS, LOADS_, (16,), "45.55"),
        (CHANNEL4, None, TRANSFORMERS, LOADS_, (16,), "100.98"),
        (G64, None, CPU, LOADS_, (16,), "54.51"),
        (G32, None, CPU, LOADS_, (16,), "45.24"),
        (CHANNEL4, None, CPU, LOADS_, (16,), "101.4"),
        (G64 | ASYMMETRIC, None, TRANSFORMERS, LOADS_, (16,), "39.46"),
        (G64 | ASYMMETRIC, None, CPU, LOADS_, (16,), "39.38"),
        (CHANNEL8, None, TRANSFORMERS, LOADS_, (16,), "23.26"),
        (CHANNEL8, None, CPU, REFUSED, (), ""),
        (CHANNEL8, A8, TRANSFORMERS, LOADS_, (8,), "23.52"),
        (CHANNEL8, A8, CPU, LOADS_, (8,), "23.51"),
        (CHANNEL8, A8 | ASYMMETRIC, TRANSFORMERS, LOADS_, (8,), "23.37"),
        (CHANNEL8, A8 | ASYMMETRIC, CPU, LOADS_, (8,), "23.41"),
        (G64, A8, TRANSFORMERS, LOADS_, (8,), "55.8"),
        (G64, A4, TRANSFORMERS, LOADS_, (4,), "1,033"),
        (G64, A8, CPU, DIFFERS, (16,), ""),
        (G64, A4, CPU, DIFFERS, (16,), ""),
        (CHANNEL4, A4 | ASYMMETRIC, TRANSFORMERS, LOADS_, (4,), "871"),
        (CHANNEL4, A4 | ASYMMETRIC, CPU, REFUSED, (), ""),
        (NVFP4, NVFP4, TRANSFORMERS, LOADS_, (4,), "100.4"),
        (MXFP4, MXFP4, TRANSFORMERS, LOADS_, (4,), "126.6"),
        (NVFP4, NVFP4, CPU, REFUSED, (), ""),
        (MXFP4, MXFP4, CPU, REFUSED, (), ""),
        (FP8, FP8, TRANSFORMERS, LOADS_, (8,), "25.0"),
        (FP8, FP8, CPU, LOADS_, (8,), "24.8"),
        # Not in any measurement.
        (G128, None, CPU, UNTRIED, (), ""),
        (G64 | ASYMMETRIC, A8, CPU, UNTRIED, (), ""),
        (G64, A8 | ASYMMETRIC, TRANSFORMERS, UNTRIED, (), ""),
        (G64, None, "SGLang", UNTRIED, (), ""),
        (G64, None, "llama.cpp", REFUSED, (), ""),
        (G64, None, "OpenVINO", UNTRIED, (), ""),
    ],
)
def test_what_was_run(
    weights: Scheme, activations: Scheme, runtime: str, outcome: str, bits: tuple[int, ...], measured: str
) -> None:
    found = row(ask(linear(weights, activations)), runtime)
    assert (found.outcome, found.activation_bits) == (outcome, bits)
    assert measured in found.source
    assert found.version
    assert bool(found.command) is (outcome != REFUSED and runtime not in ("llama.cpp", "OpenVINO"))
    assert found.source.startswith("ran: ") or not measured


@pytest.mark.parametrize(
    ("weights", "activations", "capability", "outcome", "bits", "flag"),
    [
        *((G64, None, sm, LOADS_, (16,), "") for sm in (75, 80, 86, 89, 90, 100, 120)),
        (G96, None, 80, UNTRIED, (), ""),  # no group of Marlin's
        # W4A4: by default 16 bits; humming's native INT4 on sm75 to sm89, groups of 64 or more, or channels.
        *((G64, A4, sm, LOADS_, (4,), HUMMING) for sm in (75, 80, 86, 89)),
        *((CHANNEL4, A4, sm, LOADS_, (4,), HUMMING) for sm in (75, 89)),
        *((G64, A4, sm, DIFFERS, (16,), "") for sm in (90, 100, 120)),
        (G32, A4, 80, DIFFERS, (16,), ""),
        (G64, A4 | ASYMMETRIC, 80, REFUSED, (), ""),
        # W4A8: humming takes int8 activations with one scale per channel only.
        *((CHANNEL4, A8, sm, LOADS_, (8,), HUMMING) for sm in (75, 80, 89)),
        *((G64, A8, sm, DIFFERS, (16,), "") for sm in (75, 80, 89, 90, 120)),
        # W8A8: CUTLASS, not on Blackwell.
        *((CHANNEL8, A8, sm, LOADS_, (8,), "") for sm in (75, 80, 86, 89, 90)),
        *((CHANNEL8, A8 | ASYMMETRIC, sm, LOADS_, (8,), "") for sm in (75, 90)),
        *((CHANNEL8, A8, sm, REFUSED, (), "") for sm in (100, 120)),
        # FP8 from Ada on, 4-bit floats from Blackwell on; the weights alone before.
        *((FP8, FP8, sm, LOADS_, (8,), "") for sm in (89, 90, 100, 120)),
        *((FP8, FP8, sm, DIFFERS, (16,), "") for sm in (75, 80, 86)),
        *((fp4, fp4, sm, LOADS_, (4,), "") for fp4 in (NVFP4, MXFP4) for sm in (100, 120)),
        *((fp4, fp4, sm, DIFFERS, (16,), "") for fp4 in (NVFP4, MXFP4) for sm in (80, 89, 90)),
        (NVFP4, NVFP4, 75, DIFFERS, (16,), ""),
        (MXFP4, MXFP4, 75, REFUSED, (), ""),
        # W4AFP8: Hopper, groups of 128.
        (G128, FP8, 90, LOADS_, (8,), ""),
        (G64, FP8, 90, UNTRIED, (), ""),
        (G128, FP8, 89, UNTRIED, (), ""),
    ],
)
def test_vllm_by_compute_capability(
    weights: Scheme, activations: Scheme, capability: int, outcome: str, bits: tuple[int, ...], flag: str
) -> None:
    found = row(ask(linear(weights, activations)), "vLLM", capability)
    assert (found.outcome, found.activation_bits) == (outcome, bits)
    if outcome == REFUSED:
        assert found.command == ""
    else:
        assert found.command == f"vllm serve '{FOLDER}' {flag}".strip()
    if flag:
        assert "Only with --linear-backend humming" in found.reason


@pytest.mark.parametrize(
    ("weights", "outcome", "bits", "word"),
    [
        (None, LOADS_, (16,), "F16"),
        (G32, LOADS_, (8,), "Q4_0"),
        (G32 | ASYMMETRIC, LOADS_, (8,), "Q4_1"),
        ({"format": "int8", "group_size": 32}, LOADS_, (8,), "Q8_0"),
        (G64, UNTRIED, (), ""),
    ],
)
def test_gguf(weights: Scheme, outcome: str, bits: tuple[int, ...], word: str) -> None:
    found = ask(linear(weights), export="gguf")
    llama = row(found, "llama.cpp")
    assert (llama.outcome, llama.activation_bits) == (outcome, bits)
    assert word in llama.reason
    assert llama.command == f"llama-server -m '{FOLDER}'/*.gguf"
    assert row(found, TRANSFORMERS).activation_bits == (16,)
    assert "GgufConfig(dequantize=True)" in row(found, TRANSFORMERS).command
    assert row(found, "OpenVINO").outcome == LOADS_
    assert row(found, "OpenVINO").activation_bits == (() if weights is None else (8,))


@pytest.mark.parametrize(("export", "bits"), [("gguf-f16", "W16 A16"), ("gguf-q8_0", "W8 A8")])
def test_gguf_of_the_folded_model(export: str, bits: str) -> None:
    found = ask(linear(G64, A4), export=export)
    assert (row(found, "llama.cpp").outcome, row(found, "llama.cpp").bits) == (LOADS_, bits)
    assert row(found, TRANSFORMERS).bits == "W16 A16"
    assert row(found, "OpenVINO").outcome == LOADS_
    assert row(found, "vLLM", 80).outcome == UNTRIED


def test_gguf_says_nothing_of_activations() -> None:
    found = ask(linear(G32, A4), export="gguf")
    assert row(found, "llama.cpp").words == "8-bit activations"
    assert row(found, TRANSFORMERS).words == "16-bit activations"
    assert row(found, "OpenVINO").words == "8-bit activations"


def test_a_rotated_model_has_no_schemes() -> None:
    found = ask(linear(G64, A4), linear(CHANNEL8, A8, "mlp.down_proj"), export="rotated-bf16")
    own = row(found, TRANSFORMERS)
    assert (own.outcome, own.weight_bits, own.activation_bits, own.bits) == (LOADS_, (16,), (16,), "W16 A16")
    assert row(found, "vLLM", 80).outcome == UNTRIED
    assert row(found, "llama.cpp").outcome == REFUSED


def test_the_worst_linear_decides_and_is_named() -> None:
    w4a4, down = linear(G64, A4), linear(CHANNEL8, A8, "mlp.down_proj")
    both = ask(w4a4, down)
    assert row(both, TRANSFORMERS).activation_bits == (4, 8)
    assert row(both, TRANSFORMERS).weight_bits == (4, 8)
    assert row(both, TRANSFORMERS).linear == ""
    assert row(both, TRANSFORMERS).bits == "W4/8 A4/8"
    # One flag for all linears: what humming does with the other one was not tried, so it is not proposed.
    ampere = row(both, "vLLM", 80)
    assert (ampere.outcome, ampere.activation_bits, ampere.linear) == (DIFFERS, (8, 16), "model.layers.0.mlp.up_proj")
    assert ampere.command == f"vllm serve '{FOLDER}'"
    assert ampere.full_reason.endswith("(model.layers.0.mlp.up_proj)")
    blackwell = row(both, "vLLM", 120)
    assert (blackwell.outcome, blackwell.linear) == (REFUSED, "model.layers.0.mlp.down_proj")
    # Two schemes that both suit humming.
    pair = ask(w4a4, linear(CHANNEL4, A8, "mlp.down_proj"))
    assert row(pair, "vLLM", 80).activation_bits == (4, 8)
    assert row(pair, "vLLM", 80).command.endswith(HUMMING)


def test_linears_left_alone_do_not_count() -> None:
    head = linear(None, name="lm_head")
    assert ask(linear(CHANNEL8, A8), head) == ask(linear(CHANNEL8, A8))


def test_a_quantized_head() -> None:
    found = ask(linear(G64), linear(G64, name="lm_head"))
    assert row(found, TRANSFORMERS).outcome == LOADS_
    for one in (row(found, "vLLM", 80), row(found, CPU)):
        assert (one.outcome, one.linear) == (UNTRIED, "lm_head")


def test_experts() -> None:
    expert = "mlp.experts.0.down_proj"
    found = ask(linear(CHANNEL8, A8), linear(G64, name=expert), linear(G64, A8, name=expert))
    own = row(found, TRANSFORMERS)
    assert (own.outcome, own.activation_bits, own.linear) == (DIFFERS, (8, 16), f"model.layers.0.{expert}")
    assert row(ask(linear(G64, name=expert)), TRANSFORMERS).outcome == LOADS_
    assert row(ask(linear(FP8, FP8, name=expert)), TRANSFORMERS).words == "16-bit activations"
    assert row(ask(linear(NVFP4, NVFP4, name=expert)), TRANSFORMERS).outcome == UNTRIED
    assert row(found, CPU).outcome == row(found, "vLLM", 80).outcome == UNTRIED


def test_groups_that_do_not_divide_the_columns() -> None:
    found = ask(linear(G128, columns=576))
    assert row(found, TRANSFORMERS).outcome == REFUSED
    assert {one.outcome for one in found}.isdisjoint(LOADS)


def test_equal_neighbours_share_a_row() -> None:
    found = [one.generation for one in ask(linear(CHANNEL8, A8)) if one.runtime == "vLLM"]
    assert found == ["Turing–Hopper (sm75–sm90)", "Blackwell (sm100–sm120)"]
    assert [one.generation for one in ask(linear(G128, FP8)) if one.runtime == "vLLM"] == [
        "Turing–Ada (sm75–sm89)",
        "Hopper (sm90)",
        "Blackwell (sm100–sm120)",
    ]


@pytest.mark.parametrize(
    ("here", "marked"),
    [
        ((89,), {"Turing–Hopper (sm75–sm90)"}),
        ((120,), {"Blackwell (sm100–sm120)"}),
        ((121,), {"Blackwell (sm100–sm120)"}),  # runs the code of sm120
        ((87,), {"Turing–Hopper (sm75–sm90)"}),
        ((70,), set()),  # older than all that are listed
        ((75, 100), {"Turing–Hopper (sm75–sm90)", "Blackwell (sm100–sm120)"}),
        ((), {"CPU"}),
    ],
)
def test_this_computer(here: tuple[int, ...], marked: set[str]) -> None:
    found = ask(linear(CHANNEL8, A8), here=here)
    assert {one.generation for one in found if one.is_this_computer and one.runtime != "SGLang"} == marked


@pytest.mark.parametrize(
    ("kv_cache", "runtime", "flags"),
    [
        ({"format": "int4"}, "vLLM", " --kv-cache-dtype int4_per_token_head"),
        ({"format": "fp8"}, "vLLM", " --kv-cache-dtype fp8"),
    ],
)
def test_the_kv_cache_is_a_flag_of_the_server(kv_cache: dict[str, str], runtime: str, flags: str) -> None:
    found = row(ask(linear(CHANNEL8, A8), kv_cache=kv_cache), runtime, 80)
    assert found.command == f"vllm serve '{FOLDER}'{flags}"
    assert found.outcome == LOADS_
    assert found.kv_cache_bits == int(kv_cache["format"][-1])
    assert found.bits == f"W8 A8 KV{found.kv_cache_bits}"


def test_a_kv_cache_that_stays_is_another_model_than_was_measured() -> None:
    found = ask(linear(CHANNEL8, A8), kv_cache={"format": "int3"})
    for one in (row(found, TRANSFORMERS), row(found, "vLLM", 80), row(found, CPU)):
        assert (one.outcome, one.words, one.kv_cache_bits) == (DIFFERS, "16-bit KV cache", 16)
        assert "The KV cache stays at 16 bits." in one.reason
    assert row(found, "llama.cpp").kv_cache_bits is None
    both = row(ask(linear(G64, A4), kv_cache={"format": "int3"}), CPU)
    assert both.words == "16-bit activations"


def test_a_static_kv_cache_is_taken_from_the_files_by_itself() -> None:
    static = {"format": "fp8", "granularity": "per-tensor"}
    found = ask(linear(CHANNEL8, A8), kv_cache=static)
    for one in (row(found, TRANSFORMERS), row(found, "vLLM", 90), row(found, CPU)):
        assert (one.outcome, one.kv_cache_bits) == (LOADS_, 8)
        assert "scales in the files" in one.reason
    assert row(found, "vLLM", 90).command == f"vllm serve '{FOLDER}'"
    old = row(found, "vLLM", 80)
    assert (old.outcome, old.kv_cache_bits, old.command) == ("not-tried", None, f"vllm serve '{FOLDER}'")
    assert row(found, "SGLang").outcome == "not-tried"
    assert row(found, "llama.cpp").reason == row(ask(linear(CHANNEL8, A8)), "llama.cpp").reason
    both = row(ask(linear(G64, A4), kv_cache=static), CPU)
    assert (both.words, both.bits) == ("16-bit activations", "W4 A16 KV8")
    of_gguf = row(ask(linear(G32), kv_cache=static, export="gguf"), "llama.cpp")
    assert (of_gguf.words, of_gguf.kv_cache_bits) == ("16-bit KV cache", 16)


def test_r4_needs_trust_in_transformers_and_one_gpu_of_vllm() -> None:
    found = ask(linear(G64, A4), r4={"kind": "block-hadamard"})
    own = row(found, TRANSFORMERS)
    assert own.outcome == LOADS_
    assert "trust_remote_code=True)" in own.command
    assert "R4 only with trust_remote_code=True" in own.reason
    assert "trust_remote_code" not in row(ask(linear(G64, A4)), TRANSFORMERS).command
    ampere = row(found, "vLLM", 80)
    assert ampere.outcome == row(ask(linear(G64, A4)), "vLLM", 80).outcome == LOADS_
    assert "one GPU" in ampere.reason
    assert "hadacore" in ampere.source
    assert (row(found, "vLLM", 75).outcome, row(found, "vLLM", 100).outcome) == (REFUSED, "not-tried")
    assert (row(found, CPU).outcome, row(found, CPU).activation_bits) == (REFUSED, ())
    assert {row(found, name).outcome for name in ("SGLang", "OpenVINO")} == {"not-tried"}
    assert row(found, "llama.cpp").reason == row(ask(linear(G64, A4)), "llama.cpp").reason


def test_4_bit_floats() -> None:
    alone = ask(linear(MXFP4))
    assert [row(alone, "vLLM", one).outcome for one in (75, 80, 100)] == [REFUSED, LOADS_, DIFFERS]
    assert row(alone, "vLLM", 100).activation_bits == (4,)
    both = ask(linear(NVFP4, NVFP4))
    assert row(both, "vLLM", 90).words == "16-bit activations"
    assert row(both, "vLLM", 100).outcome == LOADS_
    assert row(ask(linear(NVFP4)), "vLLM", 75).outcome == LOADS_
    assert row(both, TRANSFORMERS).bits == "W4 A4"


def test_files_that_are_not_written_have_one_row() -> None:
    output = Output(exporter="compressed-tensors", folder=FOLDER, bytes=0)
    found = verdicts(Recipe(), [linear(G64)], [output], unwritten={"compressed-tensors": "No."}, here=())
    assert [(one.runtime, one.outcome, one.reason, one.command) for one in found] == [
        (EVERY_RUNTIME, REFUSED, "No.", "")
    ]


@pytest.mark.parametrize("name", ["w4a16", "w4a8", "w4a4", "w4a4-r4", "w8a8"])
def test_a_recipe_is_judged_without_its_model_as_with_it(name: str) -> None:
    recipe = Recipe.preset(name)
    names = ("model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj", "lm_head")
    linears = [
        linear(*(one.model_dump() if one else None for one in recipe.schemes(full)), name=full.removeprefix(prefix))
        for prefix in ["model.layers.0."]
        for full in names
    ]
    output = Output(exporter="compressed-tensors", folder=FOLDER, bytes=0)
    assert recipe_verdicts(recipe, output, ()) == verdicts(recipe, linears, [output], unwritten={}, here=())
