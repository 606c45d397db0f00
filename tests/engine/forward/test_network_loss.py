"""The streamed loss and its gradient, against the whole model in memory and against the folded model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from dfrot_engine.checkpoint.reader import CheckpointReader
from dfrot_engine.errors import Cancelled, RunError
from dfrot_engine.forward.block import BlockFactory
from dfrot_engine.forward.fake_quant import QuantizedLinear, linear_parts, replace_linear
from dfrot_engine.forward.network_loss import NetworkLoss, straight_through
from dfrot_engine.forward.stream import embed, run_block
from dfrot_engine.job import Job
from dfrot_engine.options import RunOptions
from dfrot_engine.outer import fold_outer, folded_norm_parts
from dfrot_engine.quantizers.activations import activation_quantizer
from dfrot_engine.recipe import ActivationScheme, Recipe
from dfrot_engine.rotations.fold import fold_block
from dfrot_engine.rotations.random import random_orthogonal
from dfrot_engine.rotations.rotation_set import RotationSet
from tests.tiny_models import R1_MODELS, load_float64, save_tiny_model

ROTATION = random_orthogonal(48, 3)
TOKENS = torch.randint(0, 257, (3, 20), generator=torch.Generator().manual_seed(1))
ALL = torch.arange(3)
INT4 = {"format": "int4"}
# Unclipped, the largest value lies at −7.5 steps exactly, and a last bit decides between two codes.
CLIPPED = ActivationScheme(clip_ratio=0.9)
RESIDUAL = [{"linears": "*.o_proj", "activations": INT4}, {"linears": "*.down_proj", "activations": INT4}]

Kind = Literal["kl-divergence", "cross-entropy"]
Quantize = Callable[[Tensor], Tensor]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def reader(model: Path) -> Iterator[CheckpointReader]:
    with CheckpointReader(model) as opened:
        yield opened


def job_of(model: Path, **fields: Any) -> Job:
    recipe = Recipe(activations=CLIPPED)
    for field, value in fields.items():
        recipe = recipe.with_field(field, value)
    return Job.prepare(recipe, RunOptions(output_dir=model.with_name("out"), device="cpu"), "tiny", model)


def network_loss(job: Job, reader: CheckpointReader, kind: Kind = "cross-entropy", **settings: Any) -> NetworkLoss:
    return NetworkLoss(job, reader, TOKENS, kind=kind, **settings)


def cross_entropy(logits_BTV: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits_BTV[:, :-1].flatten(0, 1).float(), TOKENS[:, 1:].flatten())


def kl_divergence(logits_BTV: Tensor, original_BTV: Tensor) -> Tensor:
    """Of the tokens that predict one, written out."""
    p, q = (logits[:, :-1].flatten(0, 1).double().softmax(-1) for logits in (original_BTV, logits_BTV))
    return (p * (p.log() - q.log())).sum(-1).mean()


def whole_model_loss(folder: Path, turn: Tensor, quantize: Quantize, kind: Kind) -> Tensor:
    """transformers' own model, what its norms put out rounded under R1 by hooks."""
    whole: Any = load_float64(folder)[0].float()
    original = whole(TOKENS, use_cache=False).logits.detach()

    def rounded(norm: Any, _inputs: Any, output: Tensor) -> Tensor:
        return quantize(output / norm.weight @ turn) @ turn.T * norm.weight

    for layer in whole.model.layers:
        for norm in (layer.input_layernorm, layer.post_attention_layernorm):
            norm.register_forward_hook(rounded)
    logits = whole(TOKENS, use_cache=False).logits
    return cross_entropy(logits) if kind == "cross-entropy" else kl_divergence(logits, original)


@pytest.mark.parametrize("name", R1_MODELS)
def test_without_rounding_it_is_the_models_own_loss(name: str, tmp_path: Path) -> None:
    folder = save_tiny_model(name, tmp_path / "model")
    rotation_DD = random_orthogonal(job_of(folder).architecture.hidden_size, 3)
    with CheckpointReader(folder) as reader:
        loss = network_loss(job_of(folder), reader, quantizer_of=lambda _scheme: lambda rows: rows)
        value, gradient = loss.loss_and_gradient(rotation_DD, ALL)
        expected = float(cross_entropy(load_float64(folder)[0](TOKENS, use_cache=False).logits).detach())
        assert loss.loss(rotation_DD, ALL) == pytest.approx(expected, rel=1e-5)
    assert value == pytest.approx(expected, rel=1e-5)
    tangent = rotation_DD.float().T @ gradient
    # No rotation changes the exact model, so the gradient has nothing along the group.
    assert (tangent - tangent.T).abs().max() < 1e-4 * (1 + gradient.abs().max())


@pytest.mark.parametrize("kind", ["cross-entropy", "kl-divergence"])
@pytest.mark.parametrize("smooth", [True, False])
def test_gradient_is_that_of_the_whole_model(kind: Kind, smooth: bool, model: Path, reader: CheckpointReader) -> None:
    def quantizer_of(scheme: ActivationScheme) -> Quantize:
        return torch.tanh if smooth else straight_through(scheme)

    turn = ROTATION.float().requires_grad_()
    expected = whole_model_loss(model, turn, quantizer_of(CLIPPED), kind)
    expected.backward()
    assert turn.grad is not None
    loss = network_loss(job_of(model), reader, kind, quantizer_of=quantizer_of)
    value, gradient = loss.loss_and_gradient(ROTATION, ALL)
    assert value == pytest.approx(float(expected.detach()), rel=1e-4)
    assert (gradient - turn.grad).norm() < 1e-3 * turn.grad.norm()


def test_gradient_is_the_slope_of_the_loss(model: Path, reader: CheckpointReader) -> None:
    loss = network_loss(job_of(model), reader, quantizer_of=lambda _scheme: torch.tanh)
    _, gradient = loss.loss_and_gradient(ROTATION, ALL)
    way = gradient.double() / gradient.norm()
    ahead, behind = (loss.loss(ROTATION + sign * 0.01 * way, ALL) for sign in (1, -1))
    assert (ahead - behind) / 0.02 == pytest.approx(float(gradient.norm()), rel=0.01)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [
            {"linears": "*.k_proj", "activations": {"format": "int8"}},
            {"linears": "*.1.mlp.*", "activations": {"format": "int5", "clip_ratio": 0.9}},
        ],
    ],
    ids=["one scheme", "schemes that differ behind one norm"],
)
def test_loss_is_that_of_the_folded_model(overrides: list[Any], model: Path, reader: CheckpointReader) -> None:
    job = job_of(model, overrides=overrides)
    rotations = RotationSet(r1_DD=ROTATION)
    factory = BlockFactory(model, job.device)
    outer = fold_outer(job, reader, rotations)
    hidden = embed(reader, job.architecture, TOKENS) @ ROTATION.float()
    for index in range(job.architecture.num_blocks):
        prefix = job.architecture.block_prefix(index)
        block = factory.fill(index, fold_block(reader.block(prefix), job.architecture, rotations, index))
        for norm in job.architecture.block.norms:
            for linear in norm.feeds:
                scheme = job.recipe.schemes(prefix + linear).activations
                assert scheme is not None
                weight, bias = linear_parts(block, linear)
                replace_linear(block, linear, QuantizedLinear(weight, bias, activation_quantizer(scheme), None))
        hidden = run_block(factory, block, index, hidden)
    logits = factory.fill_final_norm(folded_norm_parts(outer))(hidden) @ outer["head"].float().T
    # The head is stored in 16 bits, and a value at a code's edge may fall to either side of it.
    expected = pytest.approx(float(cross_entropy(logits)), rel=2e-3)
    assert network_loss(job, reader).loss(ROTATION, ALL) == expected


def test_what_the_recipe_leaves_alone_is_not_rounded(model: Path, reader: CheckpointReader) -> None:
    exact = network_loss(job_of(model, activations=None), reader)
    value, gradient = exact.loss_and_gradient(ROTATION, ALL)
    logits = load_float64(model)[0](TOKENS, use_cache=False).logits
    assert value == pytest.approx(float(cross_entropy(logits).detach()), rel=1e-5)
    assert not gradient.any()
    only_others = network_loss(job_of(model, activations=None, overrides=RESIDUAL), reader)
    assert only_others.loss(ROTATION, ALL) == pytest.approx(value, rel=1e-6)


def test_every_block_can_end_the_work(model: Path, reader: CheckpointReader) -> None:
    seen: list[tuple[int, int]] = []

    def between(finished: int, index: int) -> None:
        seen.append((finished, index))
        if len(seen) == 7:
            raise Cancelled

    loss = network_loss(job_of(model), reader, between=between)
    loss.loss_and_gradient(ROTATION, ALL)
    with pytest.raises(Cancelled):
        loss.loss_and_gradient(ROTATION, ALL)
    assert seen == [(0, 0), (0, 1), (0, 1), (0, 0), (1, 0), (1, 1), (1, 1)]


def test_exact_predictions_have_no_distance_from_the_originals(model: Path, reader: CheckpointReader) -> None:
    settings: dict[str, Any] = {"kind": "kl-divergence"}
    exact = network_loss(job_of(model), reader, quantizer_of=lambda _scheme: lambda rows: rows, **settings)
    assert exact.loss(ROTATION, ALL) == pytest.approx(0.0, abs=1e-5)
    rounded = network_loss(job_of(model), reader, **settings)
    assert rounded.loss(ROTATION, ALL) > 0.01
    # Asked for one sequence, it is that one's.
    each = [rounded.loss(ROTATION, torch.tensor([number])) for number in range(3)]
    assert rounded.loss(ROTATION, ALL) == pytest.approx(sum(each) / 3, rel=1e-4)


def test_a_loss_that_is_no_number_is_said(model: Path, reader: CheckpointReader) -> None:
    loss = network_loss(job_of(model), reader, quantizer_of=lambda _scheme: lambda rows: rows * float("nan"))
    for ask in (loss.loss, loss.loss_and_gradient):
        with pytest.raises(RunError, match="not a number"):
            ask(ROTATION, ALL)
