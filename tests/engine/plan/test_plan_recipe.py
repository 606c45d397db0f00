"""Problems between a recipe, the model's shape and the exporters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfrot_engine import Plan, StageEstimate
from dfrot_engine.architectures import ARCHITECTURES, Architecture, llama
from dfrot_engine.architectures.llama import arcee
from dfrot_engine.formats import FORMATS
from dfrot_engine.recipe import Override, WeightScheme
from tests.engine.plan.conftest import BASE, found


def test_group_size_that_does_not_divide(plan: Callable[..., Plan]) -> None:
    problem = found(plan(("weights.group_size", 96)), "weights.group_size")
    assert problem.severity == "error"
    for words in ("96", "self_attn.q_proj (64 columns)", "mlp.down_proj (128 columns)"):
        assert words in problem.message
    assert "32, 64" in problem.remedy
    assert "128" not in problem.remedy


def test_group_size_of_an_exception(plan: Callable[..., Plan]) -> None:
    override = Override(linears="*.down_proj", weights=WeightScheme(group_size=96))
    made = plan(recipe=BASE.model_copy(update={"overrides": (override,)}))
    problem = found(made, "overrides.0.weights.group_size")
    assert "mlp.down_proj (128 columns)" in problem.message
    assert "q_proj" not in problem.message
    assert "32, 64, 128" in problem.remedy


def test_group_size_of_linears_left_alone_does_not_matter(plan: Callable[..., Plan]) -> None:
    assert plan(("weights.group_size", 128), ("skip", ["*_proj", "lm_head"]), ("exports", [])).errors == ()
    assert plan(("weights.group_size", 96), ("weights.granularity", "per-channel")).errors == ()


ACT4 = {"format": "int4"}
FP8 = {"format": "fp8"}


def test_groups_that_a_format_prescribes(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(config: dict[str, Any]) -> Architecture:
        return replace(llama(config), intermediate_size=120)

    monkeypatch.setitem(ARCHITECTURES, "llama", narrow)
    made = plan(("weights.format", "nvfp4"), ("activations.format", "mxfp4"), ("exports", []))
    for field, name in (("weights.group_size", "nvfp4"), ("activations.format", "mxfp4")):
        assert "mlp.down_proj (120 columns)" in found(made, field).message
        assert name in found(made, field).remedy


@pytest.mark.parametrize("section", ["weights", "activations"])
def test_rotations_that_do_a_format_no_good(plan: Callable[..., Plan], section: str) -> None:
    def warned(name: str, r1: str, r4: str = "none") -> set[str]:
        fields = (f"{section}.format", name), ("rotation.r1.kind", r1), ("rotation.r4.kind", r4), ("exports", [])
        return {problem.field for problem in plan(*fields).problems}

    assert warned("mxfp4", "none") == set()
    assert warned("mxfp4", "hadamard") == {"rotation.r1.kind"}
    assert warned("mxfp4", "none", "hadamard") == {"rotation.r4.kind"}
    assert warned("mxfp4", "none", "block-hadamard") == set()
    assert warned("nvfp4", "hadamard", "hadamard") == set()
    assert warned("nvfp4", "dfrot") == {"rotation.r1.kind"}
    assert warned("fp8", "dfrot", "hadamard") == set()


def test_bytes_of_every_format(plan: Callable[..., Plan]) -> None:
    """Of one 64 × 128 weight, worked out by hand."""
    codes = 64 * 128
    expected = {
        ("int4", 32, True): codes // 2 + 64 * 4 * 2,
        ("int4", 32, False): codes // 2 + 64 * 4 * 2 + 64 * 4 // 2,
        ("fp8", 128, True): codes + 64 * 2,
        ("nvfp4", 16, True): codes // 2 + 64 * 8 + 4,
        ("mxfp4", 32, True): codes // 2 + 64 * 4,
    }
    for (name, group_size, symmetric), size in expected.items():
        assert FORMATS[name].stored_bits(64, 128, group_size=group_size, symmetric=symmetric) == 8 * size
    four, eight = (
        plan(("weights", {"format": name}), ("activations", {"format": name})).outputs[0].bytes
        for name in ("int4", "fp8")
    )
    assert four < eight


@pytest.mark.parametrize("kind", ["compressed-tensors", "rotated-bf16"])
def test_rotations_that_need_the_runtime(plan: Callable[..., Plan], kind: str) -> None:
    made = plan(("exports.0.kind", kind), ("rotation.r4.kind", "hadamard"), ("rotation.r3", True))
    assert found(made, "rotation.r4.kind").severity == "error"
    assert found(made, "rotation.r3").severity == "warning"


def test_rotations_that_are_only_measured(plan: Callable[..., Plan]) -> None:
    assert plan(("exports", []), ("rotation.r4.kind", "hadamard"), ("rotation.r3", True)).problems == ()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ([("activations", ACT4 | {"symmetric": False})], "activations.symmetric"),
        ([("activations", ACT4 | {"clip_ratio": 0.9})], "activations.clip_ratio"),
        ([("activations", ACT4 | {"clip_ratio": "search"})], "activations.clip_ratio"),
        ([("activations", {"format": "int6"})], "activations.format"),
        ([("weights.format", "int3")], "weights.format"),
        ([("weights.symmetric", False), ("activations", {"format": "int8"})], "weights.symmetric"),
        ([("weights", None)], "weights"),
        ([("skip", ["*"])], "weights"),
        ([("weights", None), ("activations", ACT4)], "activations"),
        ([("activations", {"format": "mxfp4"}), ("rotation.r1.kind", "none")], "activations.format"),
        ([("weights.format", "nvfp4"), ("activations", ACT4), ("rotation.r1.kind", "none")], "activations.format"),
        ([("weights.format", "fp8")], "weights.format"),
        ([("activations", {"format": "fp8"})], "activations.format"),
        ([("weights", FP8 | {"granularity": "per-group"}), ("activations", FP8)], "weights.granularity"),
    ],
)
def test_what_compressed_tensors_cannot_carry(
    plan: Callable[..., Plan], fields: list[tuple[str, Any]], field: str
) -> None:
    assert found(plan(*fields), field).severity == "error"
    without_export = plan(*fields, ("exports", []))
    assert field not in {problem.field for problem in without_export.errors}


def test_searched_clips(plan: Callable[..., Plan]) -> None:
    """Of activations they are refused in words; of the KV cache they do not travel, as all of it; both take time."""
    problem = found(plan(("activations", ACT4 | {"clip_ratio": "search"})), "activations.clip_ratio")
    assert "searched clip ratios would be lost" in problem.message
    assert "Set it to 1.0" in problem.remedy
    assert found(plan(("kv_cache", {"clip_ratio": "search"})), "kv_cache").severity == "warning"
    measured = plan(("activations", ACT4 | {"clip_ratio": "search"}), ("exports", []))
    assert not measured.errors

    def seconds(made: Plan) -> float:
        return next(stage.seconds or 0.0 for stage in made.stages if stage.stage == "quantize")

    assert seconds(measured) >= seconds(plan(("activations", ACT4), ("exports", [])))


def test_exceptions_are_checked_under_their_own_field(plan: Callable[..., Plan]) -> None:
    override = Override.model_validate(
        {"linears": "*.down_proj", "activations": ACT4 | {"clip_ratio": 0.9}, "weights": {"format": "int5"}}
    )
    fields = {problem.field for problem in plan(recipe=BASE.model_copy(update={"overrides": (override,)})).errors}
    assert fields == {"overrides.0.activations.clip_ratio", "overrides.0.weights.format"}


def test_fp8_is_written(plan: Callable[..., Plan]) -> None:
    assert plan(("weights", FP8), ("activations", FP8)).problems == ()


@pytest.mark.parametrize("scheme", [ACT4, {"format": "int8"}, {"format": "int8", "symmetric": False}])
def test_what_compressed_tensors_carries(plan: Callable[..., Plan], scheme: dict[str, Any]) -> None:
    assert plan(("activations", scheme)).problems == ()


def test_kv_cache_does_not_travel(plan: Callable[..., Plan]) -> None:
    problem = found(plan(("kv_cache", {"format": "int4"})), "kv_cache")
    assert problem.severity == "warning"
    assert "--kv-cache-dtype" in problem.remedy


def test_a_static_kv_cache_travels(plan: Callable[..., Plan]) -> None:
    static = ("kv_cache", {"format": "fp8", "granularity": "per-tensor"})
    assert plan(static).problems == ()
    behind_r3 = found(plan(("rotation.r3", True), static), "kv_cache.granularity")
    assert (behind_r3.severity, "R3" in behind_r3.message) == ("error", True)
    made_dense = (("weights.symmetric", False), ("activations", None))
    assert "asymmetric" in found(plan(*made_dense, static), "kv_cache.granularity").message
    measured_only = (("exports", []), ("rotation.r3", True))
    assert plan(*measured_only, static).errors == ()


@pytest.mark.parametrize("field", ["calibration.seq_len", "evaluation.seq_len"])
def test_sequences_longer_than_the_model(plan: Callable[..., Plan], field: str) -> None:
    problem = found(plan((field, 513)), field)
    assert "513" in problem.message
    assert "512" in problem.remedy
    assert plan((field, 512)).errors == ()


def test_r1_that_cannot_be_folded(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(config: dict[str, Any]) -> Architecture:
        return replace(llama(config), r1_refused="Post-norms stand in the way of R1.")

    monkeypatch.setitem(ARCHITECTURES, "llama", refused)
    assert found(plan(), "rotation.r1.kind").message == "Post-norms stand in the way of R1."
    assert plan(("rotation.r1.kind", "none")).errors == ()


def test_patterns_that_match_nothing(plan: Callable[..., Plan]) -> None:
    overrides = (Override(linears="*.donw_proj", weights=WeightScheme(group_size=32)),)
    made = plan(recipe=BASE.model_copy(update={"overrides": overrides, "skip": ("lm_head", "*.typo")}))
    assert found(made, "overrides.0.linears").severity == "warning"
    assert "model.layers.0.self_attn.q_proj" in found(made, "skip.1").remedy


def test_an_exception_for_the_head_that_is_left_alone(plan: Callable[..., Plan]) -> None:
    overrides = [{"linears": "lm_head", "weights": {"format": "int8", "group_size": 32}}]
    problem = found(plan(("overrides", overrides)), "overrides.0.linears")
    assert problem.severity == "warning"
    assert "Take lm_head out of skip" in problem.remedy
    assert not [one for one in plan(("overrides", overrides), ("skip", [])).problems if one.field != "skip"]


def test_the_head_is_checked_like_every_linear(plan: Callable[..., Plan]) -> None:
    overrides = [{"linears": "lm_head", "weights": {"format": "int5", "group_size": 24}}]
    made = plan(("overrides", overrides), ("skip", []))
    assert "lm_head (64 columns)" in found(made, "overrides.0.weights.group_size").message
    assert "lm_head" in found(made, "overrides.0.weights.format").message


def test_not_every_runtime_reads_a_quantized_head(plan: Callable[..., Plan]) -> None:
    assert "lm_head" in found(plan(("skip", [])), "skip").message
    assert plan(("skip", []), ("exports", [{"kind": "rotated-bf16"}])).problems == ()
    assert plan().problems == ()


def test_a_quantized_head_counts(plan: Callable[..., Plan]) -> None:
    """64 × 64 weights from 16 bits to 4, and a scale for every 32 of them."""
    before, after = plan(), plan(("skip", []))
    assert before.outputs[0].bytes - after.outputs[0].bytes == 64 * 64 * 12 // 8 - 64 * 2 * 2
    summaries = {stage.stage: stage for stage in after.stages}
    assert summaries["quantize"].summary.startswith("15 linears")
    disk = {stage.stage: stage.disk_bytes for stage in before.stages}
    assert disk["quantize"] - summaries["quantize"].disk_bytes == 64 * 64 - 64 * 2 * 2


def test_run_without_any_result(plan: Callable[..., Plan]) -> None:
    assert found(plan(("exports", []), ("evaluation", None)), "exports").severity == "warning"


def test_a_rotation_from_a_file_is_checked_at_the_gate(plan: Callable[..., Plan], tmp_path: Path) -> None:
    own = {"kind": "from-file", "path": str(tmp_path / "own.npy")}
    assert "does not exist" in found(plan(("rotation.r1", own)), "rotation.r1.path").message
    np.save(tmp_path / "own.npy", np.eye(32))
    assert "32 × 32" in found(plan(("rotation.r1", own)), "rotation.r1.path").message
    np.save(tmp_path / "own.npy", np.eye(64))
    assert plan(("rotation.r1", own)).errors == ()
    assert "No rotation file" in found(plan(("rotation.r1.kind", "from-file")), "rotation.r1.path").message


@pytest.mark.parametrize("kind", ["dfrot", "descent", "whip"])
def test_a_saved_start_is_checked_at_the_gate(plan: Callable[..., Plan], kind: str, tmp_path: Path) -> None:
    field = "rotation.r1.start_path"
    saved = {"kind": kind, "start": "from-file"}
    assert "No rotation file" in found(plan(("rotation.r1", saved)), field).message
    assert "no rotation 'x'" in found(plan(("rotation.r1", saved | {"start_path": "library:x"})), field).message
    own = saved | {"start_path": str(tmp_path / "own.npy")}
    np.save(tmp_path / "own.npy", np.eye(32))
    assert "32 × 32" in found(plan(("rotation.r1", own)), field).message
    np.save(tmp_path / "own.npy", np.eye(64))
    assert plan(("rotation.r1", own)).problems == ()
    unused = found(plan(("rotation.r1", own | {"start": "hadamard"})), field)
    assert (unused.severity, "not used" in unused.message) == ("warning", True)


@pytest.mark.parametrize("kind", ["householder", "descent", "whip", "cayley"])
def test_learned_rotations_are_planned(plan: Callable[..., Plan], kind: str) -> None:
    made = plan(("rotation.r1.kind", kind), ("rotation.compare", False), ("activations", ACT4))
    assert made.errors == ()
    stages = {stage.stage: stage for stage in made.stages}
    assert "calibrate" in stages
    assert stages["rotate"].seconds


CAYLEY = ("rotation.r1.kind", "cayley")


def test_learning_through_the_model_needs_activations_that_r1_reaches(plan: Callable[..., Plan]) -> None:
    assert found(plan(CAYLEY), "rotation.r1.kind").severity == "error"
    behind = Override.model_validate({"linears": "*.down_proj", "activations": ACT4})
    reached = Override.model_validate({"linears": "*.up_proj", "activations": ACT4})
    for override, is_enough in ((behind, False), (reached, True)):
        made = plan(CAYLEY, ("exports", []), recipe=BASE.model_copy(update={"overrides": (override,)}))
        assert bool(made.errors) is not is_enough
    assert plan(CAYLEY, ("activations", ACT4), ("skip", ["*"]), ("exports", [])).errors


def test_hours_of_learning_are_said_before_they_begin(plan: Callable[..., Plan]) -> None:
    fast = plan(CAYLEY, ("activations", ACT4))
    assert fast.problems == ()
    slow = plan(
        CAYLEY,
        ("activations", ACT4),
        ("calibration.num_samples", 100),
        ("calibration.seq_len", 512),
        ("rotation.r1.steps", 10_000),
        ("rotation.r1.batch_size", 50),
        threads=1,
    )
    problem = found(slow, "rotation.r1.kind")
    assert problem.severity == "warning"
    assert "10,000 iterations of 25,600 tokens" in problem.message
    assert "about" in problem.message
    assert "descent" in problem.remedy
    quick, long = (next(stage for stage in made.stages if stage.stage == "rotate") for made in (fast, slow))
    assert quick.seconds
    assert long.seconds
    assert long.seconds > 100 * quick.seconds
    assert long.peak_memory_bytes > quick.peak_memory_bytes


R4_BLOCKS = {"kind": "block-descent", "block_size": 32}


def test_a_block_that_does_not_divide_the_channels(plan: Callable[..., Plan]) -> None:
    problem = found(plan(("exports", []), ("rotation.r4", R4_BLOCKS | {"block_size": 512})), "rotation.r4.block_size")
    assert problem.severity == "error"
    assert "128 channels" in problem.message
    assert "32 or 64 or 128" in problem.remedy


def test_refined_inner_rotations_want_something_to_lower(plan: Callable[..., Plan]) -> None:
    inner = ("rotation.r2", {"kind": "descent"}), ("rotation.r4", R4_BLOCKS), ("exports", [])
    idle = plan(*inner)
    assert [found(idle, f"rotation.{part}.kind").severity for part in ("r2", "r4")] == ["warning", "warning"]
    assert not [one for one in plan(*inner, ("activations", ACT4)).problems if one.field.startswith("rotation")]
    kept = plan(*inner, ("kv_cache", {"format": "int4"}))
    assert not [one for one in kept.problems if one.field == "rotation.r2.kind"]


def test_scales_need_a_straight_way_through_the_mlp(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    scaling = ("rotation.mlp_scaling", {"kind": "search"}), ("exports", [])
    assert plan(*scaling).problems == ()
    idle = found(plan(*scaling, ("skip", ["*.down_proj"])), "rotation.mlp_scaling.kind")
    assert idle.severity == "warning"
    monkeypatch.setitem(ARCHITECTURES, "llama", arcee)
    left_out = found(plan(*scaling), "rotation.mlp_scaling.kind")
    assert left_out.severity == "warning"
    assert "nonlinearity" in left_out.message


def test_refining_r2_and_r4_takes_time_and_disk(plan: Callable[..., Plan]) -> None:
    def stage(made: Plan, name: str) -> StageEstimate:
        return next(one for one in made.stages if one.stage == name)

    plain = plan(("activations", ACT4), ("exports", []))
    inner = ("rotation.r2", {"kind": "descent", "steps": 10_000}), ("rotation.r4", R4_BLOCKS | {"steps": 10_000})
    made = plan(("activations", ACT4), ("exports", []), *inner)
    assert "R2 and R4 in 2 blocks" in stage(made, "rotate").summary
    assert (stage(made, "rotate").seconds or 0) > (stage(plain, "rotate").seconds or 0) + 1
    assert stage(made, "calibrate").disk_bytes > stage(plain, "calibrate").disk_bytes
