"""Prompt text from a variant and a label set. Pure."""
