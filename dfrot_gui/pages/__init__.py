"""One page per step: widgets laid out, signals connected."""
