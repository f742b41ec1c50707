"""What is learned of each utterance, in token ids: the prompt around the clip, and the answer with its end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from voxemo.backends.local.loading import render_chat
from voxemo.core.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The text of a lesson in token ids."""

    before: tuple[int, ...]
    """Of the prompt before the audio."""
    after: tuple[int, ...]
    """Of the prompt after it, up to where the answer begins."""
    answer: tuple[int, ...]
    """Of the answer, up to and with the token that ends the turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """An utterance and the answer to learn about it."""

    utterance_id: str
    audio_key: str
    """Names the clip's embeddings."""
    words: Words

    def n_tokens(self, n_audio_tokens: int) -> int:
        """Length of the whole."""
        return len(self.words.before) + n_audio_tokens + len(self.words.after) + len(self.words.answer)


class LessonWriter:
    """Writes prompts and answers as a checkpoint's chat template has them.

    A prompt is divided into tokens alone, as it is when the model is asked; so is the answer.

    Args:
        processor: of the checkpoint.
        stop_ids: tokens that end an answer when the model is asked.
        audio_token: id of the token that stands for audio.
    """

    def __init__(self, processor: Any, *, stop_ids: Collection[int], audio_token: int) -> None:
        self._processor, self._stop_ids, self._audio_token = processor, stop_ids, audio_token

    def write(self, prompt: str, target: str) -> Words:
        """A prompt and the answer to learn.

        Raises:
            TrainingError: the prompt holds a word that stands for audio, or the template ends an answer otherwise than
                the model would.
        """
        frame = render_chat(self._processor, prompt)
        tokens = self._tokens(frame)
        if tokens.count(self._audio_token) != 1:
            raise TrainingError(
                f"The prompt holds {self._processor.audio_token!r}, which the model takes for audio. Write it without."
            )
        place = tokens.index(self._audio_token)
        return Words(
            before=tuple(tokens[:place]),
            after=tuple(tokens[place + 1 :]),
            answer=(*self._tokens(target), self._end_of_turn(frame, prompt, target)),
        )

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _end_of_turn(self, frame: str, prompt: str, target: str) -> int:
        """The token that the template puts after an answer; what it writes beyond that is not learned."""
        try:
            whole = render_chat(self._processor, prompt, answer=target)
        except (ValueError, TemplateError) as cause:
            raise TrainingError(f"The checkpoint's chat template renders no answer: {cause}.") from cause
        following: Sequence[int] = []
        if whole.startswith(frame + target):
            following = self._tokens(whole[len(frame + target) :])
        if not following or following[0] not in self._stop_ids:
            raise TrainingError(
                f"The checkpoint's chat template writes the answer as {whole[len(frame) - 20 :]!r}; expected was "
                f"{target!r} and right after it a token that ends the answer. Use the model's own chat template."
            )
        return following[0]
