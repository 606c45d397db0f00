"""Running one block, nothing more."""
