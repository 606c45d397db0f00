"""Try several rotations on a few blocks and tokens, and say which one a run should use."""
