"""VoxEmo: the benchmark toolkit for speech emotion recognition with speech LLMs."""

__version__ = "0.1.0"
