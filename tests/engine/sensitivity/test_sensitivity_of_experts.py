"""The same linear of all experts of a block is one row, and experts are raised together."""

from __future__ import annotations

from pathlib import Path

from dfrot_engine.plan_linears import planned_block_linears
from dfrot_engine.sensitivity.proposal import propose
from tests.engine.architectures.test_moe import table
from tests.engine.runs import tiny_recipe
from tests.engine.sensitivity.test_run_sensitivity import result_of
from tests.tiny_models import save_tiny_model

EXPERT_DOWN = "mlp.experts.*.down_proj"


def test_sensitivity_takes_the_experts_of_a_block_together(tmp_path: Path) -> None:
    model = save_tiny_model("qwen2_moe", tmp_path / "model")
    recipe = tiny_recipe(model, "w4a16", rotation__r1__kind="none", rotation__r2__kind="none")
    result = result_of(recipe)
    rows = {row.name: row for row in result.rows}
    assert len(rows) == 2 * (4 + 3 + 3)
    row = rows[f"model.layers.1.{EXPERT_DOWN}"]
    assert (row.linear, row.bits, row.block) == (EXPERT_DOWN, 4, 1)
    assert row.kl > 0
    sizes = table(model)
    linears = planned_block_linears(recipe, sizes)
    kl = {row.name: 1.0 if ".experts." in row.name else 0.001 for row in result.rows}
    proposal = propose(kl, linears, sizes, 7.9)
    # All of them or none: runtimes load them with one format.
    patterns = {override.linears for override in proposal.overrides if ".experts." in override.linears}
    assert patterns == {f"*.mlp.experts.*.{part}_proj" for part in ("gate", "up", "down")}
    assert not any(".experts." in override.linears for override in propose(kl, linears, sizes, 5.0).overrides)
