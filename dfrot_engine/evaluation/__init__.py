"""Numbers that say what quantization cost."""
