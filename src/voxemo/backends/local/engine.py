"""Each clip encoded once and its shared beginning of all prompts read once; then prompt by prompt over many clips.

In float32 a batch answers token for token as single questions do. The order of questions, and what stands beside a
question, never decide an answer.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
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
    from voxemo.backends.local.decoding import Decoder, check_generation, name_of
    from voxemo.backends.local.generic import GenericBackend
    from voxemo.backends.local.hearing import Hearing
    from voxemo.backends.local.loading import load_model, prompt_holds_placeholder, render_chat
    from voxemo.backends.local.memory import answer_in_halves
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
) -> "LocalBackend | GenericBackend":
    """Load the model that a card names; see `LocalBackend`, and `GenericBackend` for the family ``generic``."""
    backend = GenericBackend if card.family == GENERIC else LocalBackend
    return backend(
        card, generation, device=device, dtype=dtype, batch_size=batch_size, trust_remote_code=trust_remote_code
    )


SILENCE_S = 2.0
"""Length of the silence that label likelihoods are corrected by."""


class LocalBackend:
    """A speech LLM on one device of this machine.

    Args:
        card: names the checkpoint and declares what the model does with audio.
        generation: how answers are decoded. Nothing of the checkpoint's own generation settings is used but its token
            ids. Sampling needs a seed; every question then draws from a stream of its own, one question at a time.
        device: torch's name of a device; the GPU if there is one, else the CPU, when None.
        dtype: ``bfloat16``, ``float16`` or ``float32``; the card's when None.
        batch_size: questions answered together; halved for a batch that does not fit into the GPU's memory.
        trust_remote_code: run code that the checkpoint brings.

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
    ) -> None:
        check_generation(generation, batch_size=batch_size)
        loaded = load_model(card, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        self._card, self._trust_remote_code = card, trust_remote_code
        self._family, self._model, self._processor = loaded.family, loaded.model, loaded.processor
        self._prompt_frame = loaded.prompt_frame
        self._hearing = Hearing(self._model, self._processor.feature_extractor)
        # A seed is per batch, and an answer must not depend on its neighbours.
        self._batch_size = 1 if generation.do_sample else batch_size
        self._decoder = Decoder(self._model, self._processor.tokenizer, generation)
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
        asked, responses = load_clips(questions, self._card.audio)
        prompts = self._tokenise({question.prompt: question for question in questions})
        for start in range(0, len(asked), self._batch_size):
            self._n_halved += answer_in_halves(
                asked[start : start + self._batch_size],
                lambda together: self._answer_together(together, prompts, responses),
                clip_of=lambda one: one.clip,
                model_id=self._card.model_id,
                model=self._model,
            )
        return [responses[place] for place in range(len(questions))]

    def effective(self) -> Mapping[str, Any]:
        """What is in force, read back from the loaded model and from the configuration that ``generate`` is given."""
        return {
            **self._decoder.effective(
                self._card,
                self._processor,
                batch_size=self._batch_size,
                n_halved=self._n_halved,
                trust_remote_code=self._trust_remote_code,
                audio={"longest_s": self._family.longest_s(self._processor)},
            ),
            "prompt_frame": self._prompt_frame,
        }

    # --- one batch -----------------------------------------------------------------------------------------------

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

    def _answer_together(self, asked: Sequence[AskedClip], prompts: "_Prompts", responses: dict[int, Response]) -> None:
        """Read what all prompts begin with, once for each clip; then answer prompt by prompt."""
        started = time.perf_counter()
        rows: dict[tuple[str, bool], list[tuple[int, int, Question]]] = {}
        for row, one in enumerate(asked):
            for place, question in one.questions:
                if place not in responses:
                    is_weighed = question.form == "likelihood"
                    rows.setdefault((question.prompt, is_weighed), []).append((row, place, question))
        with torch.inference_mode():
            prefix = self._read_prefix(self._hear(asked), prompts)
            shared_s = (time.perf_counter() - started) / sum(map(len, rows.values()))
            for (prompt, is_weighed), alike in sorted(rows.items(), key=lambda item: item[0]):
                answer = self._weigh_labels if is_weighed else self._answer_prompt
                for start in range(0, len(alike), self._batch_size):
                    batch = alike[start : start + self._batch_size]
                    answered = answer(
                        prefix,
                        prompts,
                        prompt,
                        [(row, asked[row].clip, question) for row, _, question in batch],
                        shared_s=shared_s,
                    )
                    responses.update(zip((place for _, place, _ in batch), answered, strict=True))

    def _read_prefix(self, heard: Sequence[Any], prompts: "_Prompts") -> "_Prefix":
        device = self._model.device
        expanded = [prompts.prefix_for(len(embeddings)) for embeddings in heard]
        width = max(map(len, expanded))
        tokens = torch.full((len(heard), width), self._decoder.config.pad_token_id)
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
        return _Prefix(tokens, mask, cache)

    def _answer_prompt(
        self,
        prefix: "_Prefix",
        prompts: "_Prompts",
        prompt: str,
        alike: Sequence[tuple[int, FittedClip, Question]],
        *,
        shared_s: float,
    ) -> list[Response]:
        """Answers to one prompt about rows of the prefix; ``shared_s`` is each one's share of what came before."""
        started = time.perf_counter()
        rows = [row for row, _, _ in alike]
        own = torch.tensor(prompts.suffixes[prompt], device=self._model.device).expand(len(rows), -1)
        inputs = {
            "input_ids": torch.cat([prefix.tokens[rows], own], dim=1),
            "attention_mask": torch.cat([prefix.mask[rows], torch.ones_like(own)], dim=1),
            "past_key_values": rows_of(prefix.cache, rows),
        }
        tokens = self._decoder.new_tokens(inputs, request_id=alike[0][2].request_id)
        latency_s = shared_s + (time.perf_counter() - started) / len(alike)
        return [
            self._decoder.response(question, clip, answer, n_prompt_tokens=n_prompt_tokens, latency_s=latency_s)
            for (_, clip, question), answer, n_prompt_tokens in zip(
                alike, tokens, inputs["attention_mask"].sum(1).tolist(), strict=True
            )
        ]

    def _weigh_labels(
        self,
        prefix: "_Prefix",
        prompts: "_Prompts",
        prompt: str,
        alike: Sequence[tuple[int, FittedClip, Question]],
        *,
        shared_s: float,
    ) -> list[Response]:
        """Log-probabilities of the labels' answers to one prompt, about rows of the prefix and about silence."""
        started = time.perf_counter()
        answers = alike[0][2].label_answers
        silent = self._silent_logprobs(prompts, prompt, answers)
        rows = [row for row, _, _ in alike]
        weighed = self._label_logprobs(prefix, rows, prompts.suffixes[prompt], answers)
        latency_s = shared_s + (time.perf_counter() - started) / len(alike)
        n_own = len(prompts.suffixes[prompt])
        return [
            Response(
                request_id=question.request_id,
                n_prompt_tokens=int(prefix.mask[row].sum()) + n_own,
                latency_s=latency_s,
                audio_handling=clip.handling,
                label_logprobs=tuple(logprobs),
                silent_logprobs=silent,
            )
            for (row, clip, question), logprobs in zip(alike, weighed, strict=True)
        ]

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
            of_stop = following[:, -1, sorted(self._decoder.stop_ids)].logsumexp(-1)
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
        logits = self._model.lm_head(hidden).float()
        if not torch.isfinite(logits).all():
            raise BackendError(
                f"Logits are not finite in {name_of(self._model.dtype)} on {self._model.device}. Use bfloat16 or "
                "float32; if it is one of them, the checkpoint is damaged."
            )
        return logits.log_softmax(-1)


@dataclass(frozen=True, slots=True, eq=False)
class _Prefix:
    """What all prompts begin with, as read about each clip of a batch; padded on the left."""

    tokens: Any
    """Shape (n_clips, n_tokens)."""
    mask: Any
    cache: Any


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
