"""The model `voxemo-tiny`: a small speech LLM, trained from scratch on synthetic speech."""
