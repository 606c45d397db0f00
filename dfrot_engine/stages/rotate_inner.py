"""R2, R3, R4 and the MLP's scales: random ones at once, learned ones block by block from what calibration kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from dfrot_engine.architectures.base import Architecture, Linear, Space
from dfrot_engine.calibration.block_rows import ENERGY, HIDDEN
from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.forward.quantized_block import block_schemes
from dfrot_engine.job import Job
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.recipe import (
    ActivationScheme,
    BlockDescent,
    BlockHadamard,
    FromFile,
    HeadDescent,
    NoRotation,
    RotationPlan,
    ScaleSearch,
)
from dfrot_engine.rotations.fold import fold_weight
from dfrot_engine.rotations.from_file import load_rotation_set
from dfrot_engine.rotations.inner import (
    Refined,
    by_energy,
    head_start,
    refine_channels,
    refine_heads,
    shared_r4,
    spread_channels,
)
from dfrot_engine.rotations.random import random_hadamard
from dfrot_engine.rotations.rotation_set import RotationSet
from dfrot_engine.rotations.scaling import search_scales
from dfrot_engine.stages import calibrate
from dfrot_engine.work_dir import WorkDir

_STAGE = "rotate"
_R2, _R4, _CHANNELS, _SCALES = "r2", "r4", "channels", "mlp_scales"

# (losses by block): {"r2": [[before, after], …], "r4": …, "mlp_scales": …}, each in shares of the tokens' energy
Losses = dict[str, list[list[float]]]


def learns_by_block(rotation: RotationPlan) -> bool:
    """Whether R2, R4, the order of R4's channels or their scales come from activations."""
    return bool(rotation.value_rows or rotation.hidden_rows)


def given_inner(job: Job) -> RotationSet:
    """R2, R3 and R4 as far as a seed or a file gives them; what is refined stands at its random start.

    Raises:
        RecipeError: a saved rotation cannot be read.
    """
    sizes, rotation = job.architecture, job.recipe.rotation
    r2, r4 = rotation.r2, rotation.r4
    heads = None
    if isinstance(r2, FromFile):
        heads = load_rotation_set(r2.path, "rotation.r2.path").r2
    elif not isinstance(r2, NoRotation):
        size, number = sizes.head_size, sizes.num_kv_heads
        heads = tuple(head_start(number, size, r2.seed, block) for block in range(sizes.num_blocks))
    seed = getattr(rotation.r1, "seed", 0)
    r3 = random_hadamard(sizes.head_size, seed + 3) if rotation.r3 else None
    if isinstance(r4, FromFile):
        saved = load_rotation_set(r4.path, "rotation.r4.path")
        saved = saved if sizes.passes_mlp else saved.with_online_signs()
        return replace(saved, r1_DD=None, r2=heads, r3=r3, mlp_scales=None)
    shared, *others = (shared_r4(r4, width) for width in _widths(sizes))
    signs = None
    if isinstance(r4, BlockHadamard) and shared is not None and not others:
        # Runtimes apply a Hadamard matrix without signs; behind a nonlinearity there is nothing to fold them into.
        shared, signs = shared.split()
        signs = signs if sizes.passes_mlp else None
    of_experts = tuple(one for one in others if one is not None)
    return RotationSet(r2=heads, r3=r3, r4=shared, r4_others=of_experts, channel_signs=signs)


def _widths(sizes: Architecture) -> list[int]:
    """Of the MLPs, `intermediate_size` first."""
    return sorted(sizes.mlp_widths, key=lambda width: width != sizes.intermediate_size)


def refined_inner(
    job: Job, work: WorkDir, fingerprint: str, r1_DD: Tensor | None, advance: Callable[[int], None]
) -> tuple[RotationSet, Losses]:
    """The recipe's rotations, those inside the blocks that learn refined; a block in the work folder is not done again.

    Args:
        r1_DD: as it will be folded.
        advance: called with the number of finished blocks.
    """
    start = replace(given_inner(job), r1_DD=r1_DD)
    if not learns_by_block(job.recipe.rotation):
        return start, {}
    found: dict[str, list[Tensor]] = {}
    losses: Losses = {}
    for index in range(job.architecture.num_blocks):
        name = f"{index:05}"
        if not work.has_block(_STAGE, name, fingerprint):
            work.save_block(_STAGE, name, _learn_block(job, work, index, start), fingerprint)
        for key, tensor in work.load_block(_STAGE, name)[0].items():
            part, _, kind = key.partition(".")
            if kind == "loss":
                losses.setdefault(part, []).append(tensor.tolist())
            else:
                found.setdefault(part, []).append(tensor)
        advance(index + 1)
    parts = {part: tuple(tensors) for part, tensors in found.items()}
    rotations = replace(
        start,
        r2=parts.get(_R2, start.r2),
        r4_segments=parts.get(_R4, start.r4_segments),
        channels=parts.get(_CHANNELS, start.channels),
        mlp_scales=parts.get(_SCALES, start.mlp_scales),
    )
    return rotations, losses


def _learn_block(job: Job, work: WorkDir, index: int, start: RotationSet) -> dict[str, Tensor]:
    """What one block's file holds: rotations and their losses by name."""
    rotation = job.recipe.rotation
    stored, _ = work.load_block(calibrate.NAME, f"{index:05}")
    rows = {name: tensor.to(job.device) for name, tensor in stored.items()}
    learned: dict[str, Tensor] = {}
    if isinstance(rotation.r2, HeadDescent):
        assert start.r2 is not None
        scheme = _input_scheme(job, index, Space.VALUE)
        refined = refine_heads(rotation.r2, rows, start.r2[index], scheme, job.recipe.kv_cache, block=index)
        learned |= _named(_R2, refined)
    if isinstance(rotation.mlp_scaling, ScaleSearch):
        learned |= _scale_mlp(job, index, rows, start)
        rows[HIDDEN] = rows[HIDDEN] / learned[_SCALES].to(rows[HIDDEN])
    r4, channels = rotation.r4, None
    if isinstance(r4, BlockHadamard | BlockDescent) and r4.permute:
        learned[_CHANNELS] = channels = spread_channels(rows, r4.block_size)
    scheme = _input_scheme(job, index, Space.MLP_HIDDEN)
    if isinstance(r4, BlockDescent) and scheme is not None:
        learned |= _named(_R4, refine_channels(r4, rows, channels, scheme, block=index))
    return {name: tensor.cpu() for name, tensor in learned.items()}


def _scale_mlp(job: Job, index: int, rows: dict[str, Tensor], start: RotationSet) -> dict[str, Tensor]:
    """Scales and their losses, for down_proj as R1 leaves it and R4 as it starts."""
    down_proj = _reader(job, index, Space.MLP_HIDDEN)
    weights, activations = block_schemes(job, index)[down_proj.name]
    with CheckpointReader(job.model_dir) as reader:
        weight_OI = reader.tensor(f"{job.architecture.block_prefix(index)}{down_proj.name}.weight").to(job.device)
    start = start.with_online_signs().to(job.device)
    r1 = RotationSet(start.r1_DD)
    folded_OI = fold_weight(weight_OI.double(), down_proj, job.architecture, r1, index).float()
    online = start.online(index, weight_OI.shape[1])
    # Clips are searched when the weight is rounded; eight times here would cost more than the scales gain from it.
    plain = weights and weights.model_copy(
        update={"clip_ratio": 1.0 if weights.clip_ratio == "search" else weights.clip_ratio}
    )
    found = search_scales(
        rows[HIDDEN],
        by_energy(rows[f"{ENERGY}.{HIDDEN}"]),
        folded_OI,
        rotate=_same if online is None else online.apply,
        round_rows=_same if activations is None else activation_quantizer(activations),
        round_weight=_same
        if plain is None
        else lambda one: solve_rtn(one, plain, scale_dtype=torch.float32).dequantize(),
    )
    return {_SCALES: found.scale_I, f"{_SCALES}.loss": torch.tensor(found.loss, dtype=torch.float64)}


def _same(values: Tensor) -> Tensor:
    return values


def _input_scheme(job: Job, index: int, space: Space) -> ActivationScheme | None:
    """How the activations are rounded that the linear of this space reads."""
    return block_schemes(job, index)[_reader(job, index, space).name].activations


def _reader(job: Job, index: int, space: Space) -> Linear:
    return next(linear for linear in job.architecture.block_at(index).linears if linear.reads is space)


def _named(part: str, refined: Refined) -> dict[str, Tensor]:
    return {part: refined.rotation_GSS, f"{part}.loss": torch.tensor(refined.loss, dtype=torch.float64)}
