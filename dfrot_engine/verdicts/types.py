"""What is said of one runtime."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

#: Best first; the worst of a checkpoint's linears decides.
OUTCOMES = ("loads", "loads-differently", "not-tried", "refused")
Outcome = Literal["loads", "loads-differently", "not-tried", "refused"]

_WORDS = {"loads": "loads", "loads-differently": "{}", "not-tried": "not tried", "refused": "refused"}

LOADS = ("loads", "loads-differently")

#: The name of the one verdict on files that are not written at all.
EVERY_RUNTIME = "every runtime"


class Verdict(BaseModel):
    """One runtime on one kind of hardware, with the files of one export.

    Args:
        generation: hardware in words, for example "Ampere–Hopper (sm80–sm90)".
        activation_bits, weight_bits: all that occur in the quantized linears, fewest first; none where it does not
            load or nobody looked. Activations are what the runtime computes with, whatever the recipe says.
        difference: what it does otherwise than the recipe says, for example "16-bit activations".
        has_own_scale: whether it computes the scales of activations by a formula or in a precision of its own.
        kv_cache_bits: None where it does not load.
        linear: the first one that decides, where the linears fare differently; else "".
        command: shell command or Python code; "" where it does not load.
        source: where the fact comes from; version: of the runtime.
        is_this_computer: whether the hardware is that of this computer.
    """

    model_config = ConfigDict(frozen=True)

    runtime: str
    generation: str
    export: str
    outcome: Outcome
    difference: str = ""
    activation_bits: tuple[int, ...] = ()
    weight_bits: tuple[int, ...] = ()
    has_own_scale: bool = False
    kv_cache_bits: int | None = None
    reason: str
    linear: str = ""
    command: str = ""
    source: str = ""
    version: str = ""
    is_this_computer: bool = False

    @property
    def words(self) -> str:
        """The outcome for people."""
        return _WORDS[self.outcome].format(self.difference)

    @property
    def bits(self) -> str:
        """ "W4 A4/8 KV4"; what is not known is left out, and a KV cache as usual."""
        kv_cache = (self.kv_cache_bits,) if self.kv_cache_bits not in (None, 16) else ()
        sides = {"W": self.weight_bits, "A": self.activation_bits, "KV": kv_cache}
        return " ".join(letter + "/".join(map(str, bits)) for letter, bits in sides.items() if bits)

    @property
    def full_reason(self) -> str:
        """The reason, with the linear that decides."""
        return f"{self.reason} ({self.linear})" if self.linear else self.reason
