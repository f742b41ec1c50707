"""The run folder and the workspace on disk."""
