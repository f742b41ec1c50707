"""Speech LLMs of any class that transformers has: plain ``generate`` through the model's own processor and template.

Slower than the engine, which knows its families; and the reference that the engine is compared with, since it knows
nothing of them.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question
from voxemo.backends.local.clips import QUESTIONS_PER_CLIP, FittedClip, load_clips
from voxemo.backends.local.decoding import Decoding, check_generation
from voxemo.backends.local.device import wait_for
from voxemo.backends.local.generic_loading import load_generic, why_alone
from voxemo.backends.local.loading import prompt_holds_placeholder
from voxemo.backends.local.memory import ROWS_UNPLANNED, answer_in_halves
from voxemo.backends.stages import StageTimes
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError
from voxemo.core.types import Generation, Response


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """A question with its clip as the model will hear it."""

    place: int
    """Place of the question in the call."""
    question: Question
    clip: FittedClip


class GenericBackend:
    """A speech LLM on one device of this machine, whatever its class.

    Label likelihoods are not offered. Questions are asked one by one of classes that a batch is not known to leave
    alone.

    Args:
        card: names the checkpoint and declares what the model does with audio.
        generation: how answers are decoded. Nothing of the checkpoint's own generation settings is used but its token
            ids. Sampling needs a seed; every question then draws from a stream of its own, one question at a time.
        device: torch's name of a device; the GPU if there is one, else the CPU, when None.
        dtype: ``bfloat16``, ``float16`` or ``float32``; the card's when None.
        batch_size: questions answered together, 8 when None; halved for a batch that does not fit into the GPU's
            memory.
        trust_remote_code: let code of the checkpoint's own read its configuration and processor.
        folder: of a fine-tuned model: where its card and its adapter lie.

    Raises:
        BackendError: the model cannot be loaded, is not what its card declares, or would not hear.
    """

    def __init__(
        self,
        card: ModelCard,
        generation: Generation,
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        trust_remote_code: bool = False,
        folder: Path | str | None = None,
    ) -> None:
        check_generation(generation, batch_size=batch_size)
        self._loaded = load_generic(
            card, device=device, dtype=dtype, trust_remote_code=trust_remote_code, folder=folder
        )
        self._card, self._trust_remote_code = card, trust_remote_code
        self._model, self._conversations = self._loaded.model, self._loaded.conversations
        self._why_alone = why_alone(type(self._model).__name__)
        # A seed is per batch, and an answer must not depend on its neighbours.
        self._batch_size = 1 if generation.do_sample or self._why_alone else batch_size or ROWS_UNPLANNED
        self._decoding = Decoding(self._model, self._loaded.processor.tokenizer, generation)
        self._stages = StageTimes(partial(wait_for, self._model.device))
        self._n_halved = 0

    @property
    def stages_s(self) -> Mapping[str, float]:
        """Seconds spent so far: waiting for audio, preparing what the model reads, and answering, hearing included."""
        return self._stages.seconds

    @property
    def questions_per_call(self) -> int:
        """Batches enough for all questions about a clip to come together, so that it is decoded once."""
        return QUESTIONS_PER_CLIP * self._batch_size

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order.

        Each clip is decoded once, however many questions are about it. A clip that cannot be decoded, or that the card
        refuses, gives a permanent error; the questions beside it are answered as ever.

        Raises:
            BackendError: a question for label likelihoods, a clip that the processor cuts beyond what the card says,
                or one question that alone exhausts the memory.
        """
        for question in questions:
            self._check(question)
        with self._stages.of("waiting for audio"):
            asked, responses = load_clips(questions, self._card.audio)
        rows = [_Row(place, question, one.clip) for one in asked for place, question in one.questions]
        for start in range(0, len(rows), self._batch_size):
            self._n_halved += answer_in_halves(
                rows[start : start + self._batch_size],
                lambda together: responses.update(self._answer_together(together)),
                clip_of=lambda row: row.clip,
                model_id=self._card.model_id,
                model=self._model,
            )
        return [responses[place] for place in range(len(questions))]

    def effective(self) -> Mapping[str, Any]:
        """What is in force, read back from the loaded model and from the configuration that ``generate`` is given."""
        return {
            **self._decoding.effective(
                self._card,
                self._loaded.processor,
                batch_size=self._batch_size,
                n_halved=self._n_halved,
                trust_remote_code=self._trust_remote_code,
                audio={"least_tokens_per_s": round(self._loaded.tokens_per_s, 2)},
                warnings=[self._why_alone] if self._why_alone else [],
            ),
            "prompt_frame": self._loaded.prompt_frame,
            "adapters": list(getattr(self._model, "peft_config", {})),
            "processor": type(self._loaded.processor).__name__,
        }

    def _check(self, question: Question) -> None:
        if question.form == "likelihood":
            raise BackendError(
                f"{self._card.model_id} is of the family 'generic', which answers in text and weighs no labels. Plan "
                "the run without --form likelihood."
            )
        if self._conversations.placeholder in question.prompt:
            raise prompt_holds_placeholder(question, self._conversations.placeholder, model_id=self._card.model_id)

    def _answer_together(self, rows: Sequence[_Row]) -> dict[int, Response]:
        """Responses by place in the call."""
        started = time.perf_counter()
        with self._stages.of("preparing inputs"):
            inputs = self._conversations.inputs([(row.clip.samples, row.question.prompt) for row in rows])
        for row, n_audio_tokens in zip(rows, self._conversations.n_audio_tokens(inputs), strict=True):
            self._loaded.check_heard(n_audio_tokens, row.clip.samples.size / SAMPLE_RATE_HZ)
        with self._stages.of("answering"), torch.inference_mode():
            answers = self._decoding.new_tokens(inputs, request_id=rows[0].question.request_id)
        latency_s = (time.perf_counter() - started) / len(rows)
        return {
            row.place: self._decoding.response(
                row.question, row.clip, answer, n_prompt_tokens=n_prompt_tokens, latency_s=latency_s
            )
            for row, answer, n_prompt_tokens in zip(
                rows, answers, inputs["attention_mask"].sum(1).tolist(), strict=True
            )
        }
