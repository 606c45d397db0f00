"""Safetensors on disk and on the Hub, in the model's own names."""
