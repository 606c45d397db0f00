"""What the original and the quantized model answer to the same prompt, token after token."""
