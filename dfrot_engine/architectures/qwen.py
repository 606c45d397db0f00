"""Qwen2 and Qwen3: Llama's block; biases (Qwen2) and q/k norms (Qwen3) are found in the headers and stay in place.

Biases rotate with the space their linear writes. q/k norms sit between the projection and RoPE, before R3.
"""

from __future__ import annotations

from dfrot_engine.architectures.llama import llama

qwen2 = llama
qwen3 = llama
