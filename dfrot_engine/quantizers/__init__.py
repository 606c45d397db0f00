"""Solver recipe → function that rounds one weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dfrot_engine.quantizers.gptq import solve_gptq
from dfrot_engine.quantizers.qronos import solve_qronos
from dfrot_engine.quantizers.rtn import solve_rtn
from dfrot_engine.quantizers.weight import QuantizedWeight
from dfrot_engine.recipe import GPTQ, RTN, Qronos

#: (weight, scheme, section, *, scale_dtype, moments) → codes and scales; RTN does without moments
SOLVERS: dict[type, Callable[..., QuantizedWeight]] = {RTN: solve_rtn, GPTQ: solve_gptq, Qronos: solve_qronos}


def solver_of(section: Any) -> Callable[..., QuantizedWeight]:
    return SOLVERS[type(section)]
