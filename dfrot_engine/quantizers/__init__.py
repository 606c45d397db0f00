"""Solver recipe → function that rounds one weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import RTN

SOLVERS: dict[type, Callable[..., QuantizedWeight]] = {RTN: solve_rtn}


def solver_of(section: Any) -> Callable[..., QuantizedWeight]:
    return SOLVERS[type(section)]
