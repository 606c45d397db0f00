"""Which linears suffer most from rounding, and which of them a wanted average of bits should go to."""
