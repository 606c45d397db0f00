"""Text to tokens, and maths on activations."""
