"""Fuzzing that is led by coverage: every reader of files that somebody else may have written."""
