"""Each clip encoded once and its shared beginning of all prompts read once; then prompt by prompt over many clips.

In float32 a batch answers token for token as single questions do. The order of questions, and what stands beside a
question, never decide an answer.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question
from voxemo.backends.local.clips import QUESTIONS_PER_CLIP, AskedClip, FittedClip, fit_clip, load_clips
from voxemo.backends.local.families import GENERIC
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError, MissingDependency
from voxemo.core.types import Generation, Response

try:
    import torch

    from voxemo.backends.local.cache import empty_cache, rows_of
    from voxemo.backends.local.decoding import Decoding, check_finite, check_generation, is_greedy
    from voxemo.backends.local.generic import GenericBackend
    from voxemo.backends.local.hearing import Hearing
    from voxemo.backends.local.loading import LoadedModel, load_model, prompt_holds_placeholder, render_chat
    from voxemo.backends.local.memory import check_room
    from voxemo.backends.local.row_decoder import Answer, Read, RowDecoder
except ModuleNotFoundError as missing:
    raise MissingDependency("The local backend", package=str(missing.name), extra="hf") from missing


def create(
    card: ModelCard,
    generation: Generation,
    *,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = 8,
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
        batch_size: questions answered together, and clips heard together; halved where they do not fit into memory.
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
        batch_size: int = 8,
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
        self._decoding = Decoding(self._model, self._processor.tokenizer, generation)
        self._spent_s: dict[str, float] = {}
        self._n_halved = 0
        self._of_silence: dict[tuple[str, tuple[str, ...]], tuple[float, ...]] = {}
        """Log-probabilities of labels where nothing is heard, by prompt and answers."""

    @property
    def questions_per_call(self) -> int:
        """A batch of clips with all their questions."""
        return QUESTIONS_PER_CLIP * self._batch_size

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order.

        Each clip is decoded once, however many questions are about it. A clip that cannot be decoded, or that the card
        refuses, gives a permanent error; the questions beside it are answered as ever.

        Raises:
            BackendError: the model does not do what its card declares, or one question alone exhausts the memory.
        """
        with self._timed("waiting for audio"):
            asked, responses = load_clips(questions, self._card.audio)
        prompts = self._tokenise({question.prompt: question for question in questions})
        self._answer_all(asked, prompts, responses)
        return [responses[place] for place in range(len(questions))]

    @property
    def stages_s(self) -> Mapping[str, float]:
        """Seconds spent so far: waiting for audio, hearing it, reading what prompts share, and answering."""
        return dict(self._spent_s)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            if self._model.device.type == "cuda":
                torch.cuda.synchronize(self._model.device)
            self._spend(stage, time.perf_counter() - started)

    def _spend(self, stage: str, seconds: float) -> None:
        self._spent_s[stage] = self._spent_s.get(stage, 0.0) + seconds

    def effective(self) -> Mapping[str, Any]:
        """What is in force, read back from the loaded model and from the configuration that ``generate`` is given."""
        return {
            **self._decoding.effective(
                self._card,
                self._processor,
                batch_size=self._batch_size,
                n_halved=self._n_halved,
                trust_remote_code=self._trust_remote_code,
                audio={"longest_s": self._family.longest_s(self._processor)},
            ),
            "prompt_frame": self._prompt_frame,
        }

    # --- one call ------------------------------------------------------------------------------------------------

    def _hear(self, asked: Sequence[AskedClip]) -> list[Any]:
        """Embeddings of each clip, as many as its length gives; each of shape (n_audio_tokens, width)."""
        embeddings = self._hearing.embed([one.clip.samples for one in asked])
        for one, heard in zip(asked, embeddings, strict=True):
            n_due = self._family.n_audio_tokens(one.clip.samples.size)
            if len(heard) != n_due:
                raise BackendError(
                    f"The clip {one.key!r} of {one.clip.samples.size / SAMPLE_RATE_HZ:.2f} s gives {len(heard)} audio "
                    f"tokens where it should give {n_due}: the model would not hear what was recorded. Check that the "
                    "checkpoint's processor files belong to it."
                )
        return embeddings

    def _tokenise(self, prompts: Mapping[str, Question]) -> "_Prompts":
        """Token ids of each prompt's chat, with one audio token for any clip."""
        tokens: dict[str, list[int]] = {}
        placeholder = self._processor.audio_token
        for prompt, question in prompts.items():
            chat = render_chat(self._processor, prompt)
            if chat.count(placeholder) != 1:
                raise prompt_holds_placeholder(question, placeholder, model_id=self._card.model_id)
            tokens[prompt] = self._processor.tokenizer(chat, add_special_tokens=False)["input_ids"]
        return _Prompts.of(tokens, audio_token=self._model.config.audio_token_id)

    def _answer_all(self, asked: Sequence[AskedClip], prompts: "_Prompts", responses: dict[int, Response]) -> None:
        """Answer all questions about clips; fewer at a time where they do not fit into memory together."""
        n_rows = self._batch_size
        while True:
            try:
                with torch.inference_mode():
                    self._answer_rows(asked, prompts, responses, n_rows=n_rows)
                return
            except torch.cuda.OutOfMemoryError as cause:
                longest = asked[0].clip
                check_room(n_rows, longest, cause, model_id=self._card.model_id, model=self._model)
            # Outside the handler: the exception's traceback holds the tensors that did not fit.
            torch.cuda.empty_cache()
            self._n_halved += 1
            n_rows = (n_rows + 1) // 2

    def _answer_rows(
        self, asked: Sequence[AskedClip], prompts: "_Prompts", responses: dict[int, Response], *, n_rows: int
    ) -> None:
        decoder: RowDecoder[_Row] = RowDecoder(
            self._model,
            n_rows=n_rows,
            stop_ids=self._decoding.stop_ids,
            max_new_tokens=self._generation.max_new_tokens,
            read=self._read_prompts,
            alike=lambda row: (id(row.prefix), row.suffix),
            check=lambda logits: check_finite(logits, self._model),
        )
        waiting = self._rows(asked, prompts, responses, n_clips=n_rows)
        for answer in decoder.answers(waiting):
            responses[answer.item.place] = self._response(answer)
            self._spend("answering", answer.seconds)

    def _rows(
        self, asked: Sequence[AskedClip], prompts: "_Prompts", responses: dict[int, Response], *, n_clips: int
    ) -> Iterator["_Row"]:
        """Every question that is still open, prompt by prompt over so many clips, which are heard when they are due."""
        for start in range(0, len(asked), n_clips):
            clips = [one for one in asked[start : start + n_clips] if any(p not in responses for p, _ in one.questions)]
            if not clips:
                continue
            started = time.perf_counter()
            with self._timed("hearing"):
                heard = self._hear(clips)
            with self._timed("shared reading"):
                prefix = self._read_prefix(heard, prompts)
            open_rows = [
                _Row(place, question, one.clip, prefix, row, tuple(prompts.suffixes[question.prompt]))
                for row, one in enumerate(clips)
                for place, question in one.questions
                if place not in responses
            ]
            shared_s = (time.perf_counter() - started) / len(open_rows)
            weighed = [row for row in open_rows if row.question.form == "likelihood"]
            with self._timed("weighing labels"):
                self._weigh(weighed, prompts, responses, n_clips=n_clips, shared_s=shared_s)
            written = [replace(row, shared_s=shared_s) for row in open_rows if row.question.form != "likelihood"]
            yield from sorted(written, key=lambda row: row.suffix)

    def _read_prompts(self, rows: Sequence["_Row"]) -> Read:
        """Read on from what prompts share to the end of one prompt, in a row for each clip."""
        prefix, places = rows[0].prefix, [row.row for row in rows]
        cache = rows_of(prefix.cache, places)
        mask, hidden = self._read_on(cache, prefix.mask[places], rows[0].suffix)
        return Read(cache, mask, hidden[:, -1])

    def _response(self, answer: "Answer[_Row]") -> Response:
        row = answer.item
        return self._decoding.response(
            row.question,
            row.clip,
            answer.tokens,
            n_prompt_tokens=row.n_prompt_tokens,
            latency_s=row.shared_s + answer.seconds,
        )

    def _read_prefix(self, heard: Sequence[Any], prompts: "_Prompts") -> "_Prefix":
        device = self._model.device
        expanded = [prompts.prefix_for(len(embeddings)) for embeddings in heard]
        width = max(map(len, expanded))
        tokens = torch.full((len(heard), width), self._decoding.config.pad_token_id)
        mask = torch.zeros_like(tokens)
        for row, prefix in enumerate(expanded):
            tokens[row, width - len(prefix) :] = torch.tensor(prefix)
            mask[row, width - len(prefix) :] = 1
        tokens, mask = tokens.to(device), mask.to(device)
        embeddings = self._model.get_input_embeddings()(tokens)
        audio = (tokens == self._model.config.audio_token_id)[..., None]
        spoken = torch.cat(list(heard)).to(embeddings.dtype)
        cache = empty_cache(self._model.config.get_text_config().num_hidden_layers)
        self._model.model.language_model(
            inputs_embeds=embeddings.masked_scatter(audio, spoken),
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
        )
        return _Prefix(mask, cache, [len(prefix) for prefix in expanded])

    def _weigh(
        self,
        rows: Sequence["_Row"],
        prompts: "_Prompts",
        responses: dict[int, Response],
        *,
        n_clips: int,
        shared_s: float,
    ) -> None:
        """Log-probabilities of the labels' answers, about clips and about silence; ``n_clips`` at a time."""
        for (prompt, answers), group in groupby(
            sorted(rows, key=lambda row: (row.question.prompt, row.question.label_answers)),
            key=lambda row: (row.question.prompt, row.question.label_answers),
        ):
            alike = list(group)
            silent = self._silent_logprobs(prompts, prompt, answers)
            for start in range(0, len(alike), n_clips):
                batch = alike[start : start + n_clips]
                started = time.perf_counter()
                weighed = self._label_logprobs(batch[0].prefix, [row.row for row in batch], batch[0].suffix, answers)
                latency_s = shared_s + (time.perf_counter() - started) / len(batch)
                for row, logprobs in zip(batch, weighed, strict=True):
                    responses[row.place] = Response(
                        request_id=row.question.request_id,
                        n_prompt_tokens=row.n_prompt_tokens,
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
            prefix = self._read_prefix(self._hear([AskedClip("silence", clip, ())]), prompts)
            self._of_silence[key] = tuple(self._label_logprobs(prefix, [0], prompts.suffixes[prompt], answers)[0])
        return self._of_silence[key]

    def _label_logprobs(
        self, prefix: "_Prefix", rows: Sequence[int], suffix: Sequence[int], answers: Sequence[str]
    ) -> list[list[float]]:
        """Log-probability of each answer with its stop token, by row; what all begin with weighs nothing."""
        written = [self._processor.tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in answers]
        n_shared = n_common(written)
        cache = rows_of(prefix.cache, rows)
        mask, hidden = self._read_on(cache, prefix.mask[rows], [*suffix, *written[0][:n_shared]])
        n_read = cache.get_seq_length()
        first = self._logprobs(hidden[:, -1:])
        weighed = []
        for tokens in written:
            own = tokens[n_shared:]
            _, hidden = self._read_on(cache, mask, own)
            cache.crop(n_read)
            following = torch.cat([first, self._logprobs(hidden)], dim=1)
            of_own = following[:, list(range(len(own))), own].sum(-1)
            of_stop = following[:, -1, sorted(self._decoding.stop_ids)].logsumexp(-1)
            weighed.append(of_own + of_stop)
        found: list[list[float]] = torch.stack(weighed, dim=1).tolist()
        return found

    def _read_on(self, cache: Any, mask: Any, tokens: Sequence[int]) -> tuple[Any, Any]:
        """Read the same tokens in every row of a cache; returns the longer mask and the last layer's output."""
        added = torch.tensor(tokens, device=mask.device).expand(len(mask), -1)
        longer = torch.cat([mask, torch.ones_like(added)], dim=1)
        output = self._model.model.language_model(
            input_ids=added,
            attention_mask=longer,
            position_ids=(longer.cumsum(-1) - 1)[:, mask.shape[1] :],
            past_key_values=cache,
            use_cache=True,
        )
        return longer, output.last_hidden_state

    def _logprobs(self, hidden: Any) -> Any:
        return check_finite(self._model.lm_head(hidden).float(), self._model).log_softmax(-1)


@dataclass(frozen=True, slots=True, eq=False)
class _Prefix:
    """What all prompts begin with, as read about each clip of a batch; padded on the left."""

    mask: Any
    """Shape (n_clips, n_tokens)."""
    cache: Any
    n_tokens: Sequence[int]
    """Of each clip, without padding."""


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """A question, with where its prompt begins."""

    place: int
    """In the call."""
    question: Question
    clip: FittedClip
    prefix: _Prefix
    row: int
    """Of the prefix."""
    suffix: tuple[int, ...]
    """Tokens of the prompt after those that all prompts share."""
    shared_s: float = 0.0
    """Its share of the time that hearing the clip and reading the shared beginning took."""

    @property
    def n_prompt_tokens(self) -> int:
        """Tokens of the prompt, those of the audio among them."""
        return self.prefix.n_tokens[self.row] + len(self.suffix)


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
