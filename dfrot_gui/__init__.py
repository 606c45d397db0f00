"""The window: edits a recipe, shows its plan, runs the engine as a child process and draws what it says."""
