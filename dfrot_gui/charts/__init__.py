"""Charts of a run; each takes plain arrays or a piece of the run state and can be saved as a file."""
