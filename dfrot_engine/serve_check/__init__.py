"""A written checkpoint loaded by a runtime in an environment of its own, and measured there. Imports no torch."""
