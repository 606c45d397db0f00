"""The model card of an output folder: README.md and its figures."""
