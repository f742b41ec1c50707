"""Backends that workers on a Ray cluster make: importable there, unlike a test's own module."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toy import toy_answer
from voxemo.backends.base import Backend, Question
from voxemo.backends.scripted import ScriptedBackend
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError
from voxemo.core.types import Generation, Response

N_AT_ONCE = 10
N_CALLS = 8
"""Calls that are answered at once; all others wait."""


class WaitingBackend(ScriptedBackend):
    """Says what the toy says; after a few calls, not before a file is there.

    Args:
        go: that file.
    """

    def __init__(self, go: Path) -> None:
        super().__init__(toy_answer)
        self._go = go
        self._n_calls = 0
        self._node = os.getppid()

    @property
    def questions_per_call(self) -> int:
        return N_AT_ONCE

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        self._n_calls += 1
        while self._n_calls > N_CALLS and not self._go.exists():
            time.sleep(0.01)
        if os.getppid() != self._node:
            # A node that is lost takes its processes along at once; here one could live on for a moment.
            os._exit(1)
        return super().answer(questions)


def load_waiting(notes: Path, card: ModelCard, generation: Generation, **options: Any) -> WaitingBackend:
    """A backend that waits for the file ``go``; each time one is made, a line is added to a file of the process."""
    with (notes / f"{os.getpid()}.txt").open("a") as file:
        file.write(f"{card.model_id} CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    return WaitingBackend(notes / "go")


def fail_to_load(card: ModelCard, generation: Generation, **options: Any) -> Backend:
    raise BackendError(f"The model {card.model_id} cannot be loaded on this node. Look at it.")


def fail_in_python(card: ModelCard, generation: Generation, **options: Any) -> Backend:
    raise RuntimeError("CUDA error: device-side assert triggered")
