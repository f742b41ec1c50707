"""The one interface to a model.

A backend takes questions and gives one response to each, in the same order. It keeps no state that could make an
answer depend on what was asked before or beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from voxemo.core.cards import ModelCard
from voxemo.core.labels import LabelSet
from voxemo.core.types import Form, Generation, Response

Waveform: TypeAlias = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, shape (n_samples,), in -1 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request with all that a backend needs to answer it."""

    request_id: str
    utterance_id: str
    variant_id: str
    form: Form
    prompt: str
    """The rendered user text; the audio comes before it in the same turn."""
    label_set: LabelSet
    label_answers: tuple[str, ...] = ()
    """Of the likelihood form: the answers to weigh, one for each label of the set."""
    audio_key: str
    """Equal for questions about the same samples, so that a backend can load and encode them once."""
    load_audio: Callable[[], Waveform]
    """Decode the clip to 16 kHz mono. Raises AudioError."""


@runtime_checkable
class Backend(Protocol):
    """A loaded model.

    It may also have ``stages_s``, a mapping of stage to the seconds spent in it so far; a run then shows where its time
    goes.
    """

    @property
    def questions_per_call(self) -> int:
        """Questions that one call should hold; what an interruption can lose."""

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order.

        A clip that cannot be decoded gives a response with ``finish="error"`` and ``error_kind="permanent"``, never
        an exception. An exception means that the model itself failed.
        """

    def effective(self) -> Mapping[str, Any]:
        """What is really in force, read back from the engine: decoding settings, dtype, device, audio handling."""


BackendFactory: TypeAlias = Callable[[ModelCard, Generation], Backend]
