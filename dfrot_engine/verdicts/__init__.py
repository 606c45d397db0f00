"""Which runtime will load what a run writes, and with what precision it will compute. Imports no torch."""
