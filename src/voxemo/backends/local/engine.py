"""Each clip encoded once and its shared beginning of all prompts read once; then prompt by prompt over many clips.

In float32 a batch answers token for token as single questions do. The order of questions, and what stands beside a
question, never decide an answer.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, takewhile
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question
from voxemo.backends.local.clips import QUESTIONS_PER_CLIP, AskedClip, FittedClip, fit_clip, load_clips
from voxemo.backends.local.families import GENERIC
from voxemo.backends.stages import StageTimes
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError, MissingDependency
from voxemo.core.types import Generation, Response

try:
    import torch

    from voxemo.backends.local.cache import rows_of
    from voxemo.backends.local.decoding import Decoding, check_generation, is_greedy, not_finite
    from voxemo.backends.local.device import current_device, wait_for
    from voxemo.backends.local.generic import GenericBackend
    from voxemo.backends.local.hearing import Hearing, Window
    from voxemo.backends.local.loading import LoadedModel, check_heard, load_model, tokenise_chats
    from voxemo.backends.local.memory import clips_together, half, is_out_of_memory, no_room, plan_room
    from voxemo.backends.local.reading import Prefix, Prompt, read_on, read_prefix
    from voxemo.backends.local.row_decoder import Answer, RowDecoder
except ModuleNotFoundError as missing:
    raise MissingDependency("The local backend", package=str(missing.name), extra="hf") from missing


def create(
    card: ModelCard,
    generation: Generation,
    *,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
    trust_remote_code: bool = False,
    folder: Path | str | None = None,
) -> "LocalBackend | GenericBackend":
    """Load the model that a card names: `LocalBackend`, or `GenericBackend` where the engine does not reach.

    That is the family ``generic``, and decoding that is not greedy.
    """
    is_fast = card.family != GENERIC and is_greedy(generation)
    return (LocalBackend if is_fast else GenericBackend)(
        card,
        generation,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        trust_remote_code=trust_remote_code,
        folder=folder,
    )


LISTENERS = 2
"""Threads that work out the features of a call's clips ahead of the device."""
SILENCE_S = 2.0
"""Length of the silence that label likelihoods are corrected by."""


class LocalBackend:
    """A speech LLM on one device of this machine.

    Args:
        card: names the checkpoint and declares what the model does with audio.
        generation: greedy, with a longest answer. Nothing of the checkpoint's own generation settings is used but its
            token ids.
        device: torch's name of a device; the GPU if there is one, else the CPU, when None.
        dtype: ``bfloat16``, ``float16`` or ``float32``; the card's when None.
        batch_size: questions answered together; as many as fit into the memory that is free, within reason, when None.
            Halved where they do not fit after all.
        trust_remote_code: run code that the checkpoint brings.
        folder: of a fine-tuned model: where its card and its adapter lie.
        loaded: the model, where it has been loaded already, such as one in training.

    Raises:
        BackendError: the model cannot be loaded, or is not what its card declares.
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
        loaded: "LoadedModel | None" = None,
    ) -> None:
        check_generation(generation, batch_size=batch_size)
        loaded = loaded or load_model(
            card, device=device, dtype=dtype, trust_remote_code=trust_remote_code, folder=folder
        )
        self._card, self._generation, self._trust_remote_code = card, generation, trust_remote_code
        self._family, self._model, self._processor = loaded.family, loaded.model, loaded.processor
        self._prompt_frame = loaded.prompt_frame
        self._hearing = Hearing(self._model, self._processor.feature_extractor)
        self._batch_size = batch_size
        self._room = self._planned = plan_room(self._model, batch_size)
        self._decoder: RowDecoder[_Row] | None = None
        self._decoding = Decoding(self._model, self._processor.tokenizer, generation)
        self._stages = StageTimes(partial(wait_for, self._model.device))
        self._n_halved = 0
        self._of_silence: dict[tuple[str, tuple[str, ...]], tuple[float, ...]] = {}
        """Log-probabilities of labels where nothing is heard, by prompt and answers."""

    @property
    def questions_per_call(self) -> int:
        """As many clips as there are rows, with all their questions: rows run empty only at the end of a call."""
        return QUESTIONS_PER_CLIP * self._planned.n_rows

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order.

        Each clip is decoded once, however many questions are about it. A clip that cannot be decoded, that the card
        refuses, or to which the model says nothing but noise gives a permanent error; one that does not fit into memory
        even alone a transient one. The questions beside it are answered as ever.

        Raises:
            BackendError: the model does not do what its card declares, or not one question could be answered.
        """
        with current_device(self._model.device):
            return self._answer(questions)

    def _answer(self, questions: Sequence[Question]) -> list[Response]:
        with self._stages.of("waiting for audio"):
            asked, responses = load_clips(questions, self._card.audio)
        prompts = self._tokenise({question.prompt: question for question in questions})
        with ThreadPoolExecutor(LISTENERS) as pool:
            features = {one.key: pool.submit(self._hearing.features, one.clip.samples) for one in asked}
            try:
                self._answer_all(_Call(asked, prompts, features, responses))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        return [responses[place] for place in range(len(questions))]

    @property
    def stages_s(self) -> Mapping[str, float]:
        """Seconds spent so far: waiting for audio, hearing it, reading what prompts share, and answering."""
        return self._stages.seconds

    def effective(self) -> Mapping[str, Any]:
        """What is in force, read back from the loaded model and from the configuration that ``generate`` is given."""
        return {
            **self._decoding.effective(
                self._card,
                self._processor,
                batch_size=self._room.n_rows,
                n_halved=self._n_halved,
                trust_remote_code=self._trust_remote_code,
                audio={"longest_s": self._family.longest_s(self._processor)},
            ),
            "prompt_frame": self._prompt_frame,
            "pages": self._room.n_pages,
            "answers_attend_by": self._decoder.attention if self._decoder else None,
        }

    # --- one call ------------------------------------------------------------------------------------------------

    def _hear(self, asked: Sequence[AskedClip], features: Mapping[str, Future[list["Window"]]]) -> list[Any]:
        """Embeddings of each clip, as many as its length gives; each of shape (n_audio_tokens, width)."""
        embeddings = self._hearing.embed_features([features[one.key].result() for one in asked])
        for one, heard in zip(asked, embeddings, strict=True):
            check_heard(one, len(heard), self._family)
        return embeddings

    def _tokenise(self, prompts: Mapping[str, Question]) -> "_Prompts":
        """Token ids of each prompt's chat, with one audio token for any clip."""
        tokens = tokenise_chats(self._processor, prompts, model_id=self._card.model_id)
        return _Prompts.of(tokens, audio_token=self._model.config.audio_token_id)

    def _answer_all(self, call: "_Call") -> None:
        """Answer all questions about clips; fewer at a time where they do not fit into memory together."""
        while open_clips := call.open_clips():
            if self._room != self._planned:
                # What did not fit once was halved, which other clips need not suffer from.
                self._drop_rows()
                self._room = self._planned = plan_room(self._model, self._batch_size)
            if not self._has_room(call, open_clips[0]):
                error = no_room(open_clips[0].clip, model_id=self._card.model_id, model=self._model)
                # Another device, or this one when it is free, answers what does not fit here now.
                call.refuse(call.open_questions(open_clips[0]), error, error_kind="transient")
        call.check()

    def _has_room(self, call: "_Call", longest: AskedClip) -> bool:
        """Answer what is open, fewer at a time until it fits; False where the longest clip does not fit even alone."""
        n_clips = self._n_clips(call, longest)
        while True:
            try:
                with torch.inference_mode():
                    self._answer_rows(call, n_clips=n_clips)
                return True
            except (RuntimeError, MemoryError) as cause:
                if not is_out_of_memory(cause):
                    raise
            # Outside the handler: the exception's traceback holds the tensors that did not fit.
            if max(n_clips, self._room.n_rows) == 1:
                self._drop_rows()
                return False
            self._n_halved += 1
            is_reading = self._decoder is not None and not self._decoder.is_writing
            if is_reading and n_clips > 1:
                n_clips = half(n_clips)
                torch.cuda.empty_cache()
            else:
                self._room = self._room.halved()
                n_clips = min(n_clips, self._room.n_rows)
                self._drop_rows()

    def _refuse_noise(self, call: "_Call", row: "_Row") -> None:
        call.refuse([(row.place, row.question)], not_finite("this question", self._model), error_kind="permanent")

    def _drop_rows(self) -> None:
        """Give back the memory of rows and pages."""
        self._decoder = None
        torch.cuda.empty_cache()

    def _answer_rows(self, call: "_Call", *, n_clips: int) -> None:
        if self._decoder is None:
            self._decoder = RowDecoder(
                self._model,
                n_rows=self._room.n_rows,
                n_pages=self._room.n_pages,
                stop_ids=self._decoding.stop_ids,
                max_new_tokens=self._generation.max_new_tokens,
            )
        for answer in self._decoder.answers(self._rows(call, n_clips=n_clips)):
            if answer.tokens:
                call.responses[answer.item.place] = self._response(answer)
            else:
                self._refuse_noise(call, answer.item)
            self._stages.add("answering", answer.seconds)

    def _n_clips(self, call: "_Call", longest: AskedClip) -> int:
        """Clips that can be heard and read together, by the longest of them and the longest prompt of a call."""
        n_audio_tokens = self._family.n_audio_tokens(longest.clip.samples.size)
        n_clips = clips_together(
            self._model,
            self._room,
            n_shared=len(call.prompts.prefix_for(n_audio_tokens)),
            n_own=max(map(len, call.prompts.suffixes.values())),
        )
        return min(self._room.n_rows, n_clips, len(call.asked))

    def _rows(self, call: "_Call", *, n_clips: int) -> Iterator[Sequence["_Row"]]:
        """Every question that is still open, prompt by prompt over so many clips, which are heard when they are due."""
        open_clips = call.open_clips()
        for start in range(0, len(open_clips), n_clips):
            clips = open_clips[start : start + n_clips]
            started = time.perf_counter()
            with self._stages.of("hearing"):
                heard = self._hear(clips, call.features)
            with self._stages.of("shared reading"):
                prefix = self._read_prefix(heard, call.prompts)
            open_rows = [
                _Row(place, question, one.clip, Prompt(prefix, row, tuple(call.prompts.suffixes[question.prompt])))
                for row, one in enumerate(clips)
                for place, question in call.open_questions(one)
            ]
            shared_s = (time.perf_counter() - started) / len(open_rows)
            weighed = [row for row in open_rows if row.question.form == "likelihood"]
            with self._stages.of("weighing labels"):
                self._weigh(weighed, call, n_clips=n_clips, shared_s=shared_s)
            written = [replace(row, shared_s=shared_s) for row in open_rows if row.question.form != "likelihood"]
            if written:
                yield sorted(written, key=lambda row: row.prompt.suffix)
            # Answers that are still written refer to it, and the next clips need the memory.
            prefix.give_up()

    def _response(self, answer: "Answer[_Row]") -> Response:
        row = answer.item
        return self._decoding.response(
            row.question,
            row.clip,
            answer.tokens,
            n_prompt_tokens=row.prompt.n_tokens,
            latency_s=row.shared_s + answer.seconds,
        )

    def _read_prefix(self, heard: Sequence[Any], prompts: "_Prompts") -> Prefix:
        return read_prefix(self._model, [prompts.prefix_for(len(embeddings)) for embeddings in heard], heard)

    def _weigh(self, rows: Sequence["_Row"], call: "_Call", *, n_clips: int, shared_s: float) -> None:
        """Log-probabilities of the labels' answers, about clips and about silence; ``n_clips`` at a time."""
        for (prompt, answers), group in groupby(
            sorted(rows, key=lambda row: (row.question.prompt, row.question.label_answers)),
            key=lambda row: (row.question.prompt, row.question.label_answers),
        ):
            alike = list(group)
            silent = self._silent_logprobs(call.prompts, prompt, answers)
            for start in range(0, len(alike), n_clips):
                batch = alike[start : start + n_clips]
                started = time.perf_counter()
                first = batch[0].prompt
                weighed = self._label_logprobs(first.prefix, [row.prompt.row for row in batch], first.suffix, answers)
                latency_s = shared_s + (time.perf_counter() - started) / len(batch)
                for row, logprobs in zip(batch, weighed, strict=True):
                    if not all(map(isfinite, logprobs)):
                        self._refuse_noise(call, row)
                        continue
                    call.responses[row.place] = Response(
                        request_id=row.question.request_id,
                        n_prompt_tokens=row.prompt.n_tokens,
                        latency_s=latency_s,
                        audio_handling=row.clip.handling,
                        label_logprobs=tuple(logprobs),
                        silent_logprobs=silent,
                    )

    def _silent_logprobs(self, prompts: "_Prompts", prompt: str, answers: tuple[str, ...]) -> tuple[float, ...]:
        key = prompt, answers
        if key not in self._of_silence:
            clip = fit_clip(np.zeros(round(SILENCE_S * SAMPLE_RATE_HZ), np.float32), self._card.audio)
            assert isinstance(clip, FittedClip)
            prefix = self._read_prefix(self._hearing.embed([clip.samples]), prompts)
            weighed = tuple(self._label_logprobs(prefix, [0], prompts.suffixes[prompt], answers)[0])
            if not all(map(isfinite, weighed)):
                raise not_finite("a question about silence", self._model)
            self._of_silence[key] = weighed
        return self._of_silence[key]

    def _label_logprobs(
        self, prefix: Prefix, rows: Sequence[int], suffix: Sequence[int], answers: Sequence[str]
    ) -> list[list[float]]:
        """Log-probability of each answer with its stop token, by row; what all begin with weighs nothing."""
        written = [self._processor.tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in answers]
        n_shared = n_common(written)
        n_more = len(suffix) + max(map(len, written))
        cache = rows_of(prefix.cache, rows, n_more=n_more)
        mask, hidden = read_on(self._model, cache, prefix.mask[rows], [*suffix, *written[0][:n_shared]])
        n_read = cache.get_seq_length()
        first = self._logprobs(hidden[:, -1:])
        weighed = []
        for tokens in written:
            own = tokens[n_shared:]
            _, hidden = read_on(self._model, cache, mask, own)
            cache.crop(n_read)
            following = torch.cat([first, self._logprobs(hidden)], dim=1)
            of_own = following[:, list(range(len(own))), own].sum(-1)
            of_stop = following[:, -1, sorted(self._decoding.stop_ids)].logsumexp(-1)
            weighed.append(of_own + of_stop)
        found: list[list[float]] = torch.stack(weighed, dim=1).tolist()
        return found

    def _logprobs(self, hidden: Any) -> Any:
        return self._model.lm_head(hidden).float().log_softmax(-1)


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """What is asked together, and what has been answered of it."""

    asked: Sequence[AskedClip]
    prompts: "_Prompts"
    features: Mapping[str, Future[list["Window"]]]
    """Of each clip, by its key."""
    responses: dict[int, Response]
    """By place in the call; it fills as answers end."""
    refused: list[BackendError] = field(default_factory=list)
    """Why questions could not be answered."""

    def open_questions(self, one: AskedClip) -> list[tuple[int, Question]]:
        """Questions about a clip that have no answer yet, with their places."""
        return [(place, question) for place, question in one.questions if place not in self.responses]

    def open_clips(self) -> list[AskedClip]:
        """Clips with open questions, the longest first."""
        return [one for one in self.asked if self.open_questions(one)]

    def refuse(
        self,
        questions: Sequence[tuple[int, Question]],
        why: BackendError,
        *,
        error_kind: Literal["permanent", "transient"],
    ) -> None:
        """Settle questions by an error of their own: those beside them are answered as ever."""
        self.refused.append(why)
        for place, question in questions:
            self.responses[place] = Response(
                request_id=question.request_id, finish="error", error=str(why), error_kind=error_kind
            )

    def check(self) -> None:
        """Raise the first error where none at all was answered: it is the model's or the device's, not a clip's."""
        places = (place for one in self.asked for place, _ in one.questions)
        if self.refused and all(self.responses[place].error for place in places):
            raise self.refused[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """A question, with where its prompt begins."""

    place: int
    """In the call."""
    question: Question
    clip: FittedClip
    prompt: Prompt
    shared_s: float = 0.0
    """Its share of the time that hearing the clip and reading the shared beginning took."""


@dataclass(frozen=True, slots=True)
class _Prompts:
    """Prompts as token ids: the beginning that they share, up to and beyond the audio, and the rest of each."""

    prefix: Sequence[int]
    """With one audio token."""
    suffixes: Mapping[str, Sequence[int]]
    """By prompt text; one token or more."""
    audio_token: int

    @classmethod
    def of(cls, tokens: Mapping[str, Sequence[int]], *, audio_token: int) -> "_Prompts":
        """Divide prompts after the longest beginning that they share, found in token ids and not in text."""
        n_shared = n_common(list(tokens.values()))
        prefix = next(iter(tokens.values()), [])[:n_shared]
        return cls(prefix, {prompt: ids[n_shared:] for prompt, ids in tokens.items()}, audio_token)

    def prefix_for(self, n_audio_tokens: int) -> list[int]:
        """The beginning with as many audio tokens as a clip gives."""
        place = list(self.prefix).index(self.audio_token)
        return [*self.prefix[:place], *[self.audio_token] * n_audio_tokens, *self.prefix[place + 1 :]]


def n_common(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the longest beginning that all share, leaving each at least one token of its own.

    >>> n_common([[1, 2, 3], [1, 2]])
    1
    """
    shared = takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False))
    return min(sum(1 for _ in shared), min(map(len, sequences), default=1) - 1)
