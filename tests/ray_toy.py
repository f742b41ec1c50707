"""Backends that workers on a Ray cluster make: importable there, unlike a test's own module."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toy import toy_answer
from voxemo.backends.base import Question
from voxemo.backends.scripted import ScriptedBackend
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError
from voxemo.core.types import Generation, Response


class SlowBackend(ScriptedBackend):
    """Says what the toy says, ten questions at a time, as slowly as a model does."""

    def __init__(self) -> None:
        super().__init__(toy_answer)

    @property
    def questions_per_call(self) -> int:
        return 10

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        time.sleep(0.04)
        return super().answer(questions)


def load_slowly(notes: Path, card: ModelCard, generation: Generation, **options: Any) -> SlowBackend:
    """A slow backend; each time one is made, a line is added to a file named after the process."""
    with (notes / str(os.getpid())).open("a") as file:
        file.write(f"{card.model_id} CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    return SlowBackend()


def fail_to_load(card: ModelCard, generation: Generation, **options: Any) -> SlowBackend:
    raise BackendError(f"The model {card.model_id} cannot be loaded on this node. Look at it.")


def fail_in_python(card: ModelCard, generation: Generation, **options: Any) -> SlowBackend:
    raise RuntimeError("CUDA error: device-side assert triggered")
