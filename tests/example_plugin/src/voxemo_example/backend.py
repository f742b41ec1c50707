"""A backend of one's own: answers with the first label of the set, whatever it hears."""

from collections.abc import Mapping, Sequence
from typing import Any

from voxemo.backends.base import Question
from voxemo.core.cards import ModelCard
from voxemo.core.errors import AudioError
from voxemo.core.types import Generation, Response


class FirstLabel:
    """Reads the audio, ignores it, and names the first label."""

    questions_per_call = 16

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order."""
        return [self._one(question) for question in questions]

    def effective(self) -> Mapping[str, Any]:
        """Nothing is decoded."""
        return {"decoding": "none"}

    def _one(self, question: Question) -> Response:
        try:
            question.load_audio()
        except AudioError as error:
            return Response(request_id=question.request_id, finish="error", error=str(error), error_kind="permanent")
        first, *others = question.label_set.display
        shares = ", ".join([f'"{first}": 1.0', *(f'"{other}": 0.0' for other in others)])
        distribution = f"EMOTION DISTRIBUTION: {{{shares}}}\n" if question.form == "distribution" else ""
        return Response(request_id=question.request_id, text=f"{distribution}FINAL LABEL: {first}")


def create(card: ModelCard, generation: Generation) -> FirstLabel:
    """Make the backend for a model card."""
    return FirstLabel()
