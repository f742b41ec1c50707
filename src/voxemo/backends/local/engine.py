"""Each clip encoded once, its questions in padded batches through ``generate``, answers in the order asked.

In float32 a batch answers token for token as single questions do. The order of questions, and what stands beside a
question, never decide an answer.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question
from voxemo.backends.local.clips import FittedClip, RefusedClip, fit_clip
from voxemo.core.cards import ModelCard
from voxemo.core.errors import AudioError, BackendError, MissingDependency
from voxemo.core.ids import sha256_text
from voxemo.core.types import Generation, Response

try:
    import torch
    import transformers

    from voxemo.backends.local.hearing import Hearing
    from voxemo.backends.local.loading import load_model, render_chat
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
) -> "LocalBackend":
    """Load the model that a card names; see `LocalBackend`."""
    return LocalBackend(
        card, generation, device=device, dtype=dtype, batch_size=batch_size, trust_remote_code=trust_remote_code
    )


FLOAT16_WARNING = (
    "float16 overflows in models trained in bfloat16: their answers may be noise. Use bfloat16 or float32."
)
SAMPLING_FIELDS = ("temperature", "top_p", "top_k")
"""Recorded even when off: a checkpoint's own values for them are what greedy decoding must not meet."""


QUESTIONS_PER_ROW = 10
"""Questions in a call for each row of a batch: a voted corpus asks ten about a clip, and like ones go together."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A question whose clip was heard."""

    question: Question
    clip: FittedClip
    heard: Any
    """The clip's embeddings, shape (n_audio_tokens, width)."""


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
        if batch_size < 1:
            raise BackendError(f"The batch size must be 1 or more, not {batch_size}.")
        if generation.do_sample and generation.seed is None:
            raise BackendError(
                "Sampling was asked for without a seed, so that no answer could be had again. Give a seed."
            )
        loaded = load_model(card, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        self._card, self._generation, self._trust_remote_code = card, generation, trust_remote_code
        self._family, self._model, self._processor = loaded.family, loaded.model, loaded.processor
        self._prompt_frame = loaded.prompt_frame
        self._hearing = Hearing(self._model, self._processor.feature_extractor)
        # A seed is per batch, and an answer must not depend on its neighbours.
        self._batch_size = 1 if generation.do_sample else batch_size
        self._decoding = _decoding(generation, own=self._model.generation_config, tokenizer=self._processor.tokenizer)
        # `generate` fills fields that are None from the model's own configuration: leave it nothing else to inherit.
        self._model.generation_config = self._decoding
        stop = self._decoding.eos_token_id
        self._stop_ids = frozenset(stop if isinstance(stop, list) else [stop])

    @property
    def questions_per_call(self) -> int:
        """Some batches' worth, so that every batch can be of like questions."""
        return QUESTIONS_PER_ROW * self._batch_size

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order.

        Each clip is decoded once, however many questions are about it. A clip that cannot be decoded, or that the card
        refuses, gives a permanent error; the questions beside it are answered as ever.

        Raises:
            BackendError: the model does not do what its card declares, or one question alone exhausts the memory.
        """
        if any(question.form == "likelihood" for question in questions):
            raise BackendError("The local backend writes answers; it does not give the likelihood form's label scores.")
        clips = {question.audio_key: question for question in questions}
        fitted = {key: self._fit(question) for key, question in clips.items()}
        heard = self._hear({key: clip for key, clip in fitted.items() if isinstance(clip, FittedClip)})
        responses: dict[int, Response] = {}
        asked: dict[int, _Asked] = {}
        for position, question in enumerate(questions):
            clip = fitted[question.audio_key]
            if isinstance(clip, RefusedClip):
                responses[position] = Response(
                    request_id=question.request_id, finish="error", error=clip.reason, error_kind="permanent"
                )
            else:
                asked[position] = _Asked(question, clip, heard[question.audio_key])
        # Like questions end at like lengths, and clips of one length waste little on padding.
        order = sorted(
            asked,
            key=lambda p: (
                asked[p].question.form,
                asked[p].question.variant_id,
                len(asked[p].question.prompt),
                -asked[p].clip.samples.size,
                asked[p].question.audio_key,
            ),
        )
        for start in range(0, len(order), self._batch_size):
            positions = order[start : start + self._batch_size]
            responses.update(zip(positions, self._answer_batch([asked[p] for p in positions]), strict=True))
        return [responses[position] for position in range(len(questions))]

    def effective(self) -> Mapping[str, Any]:
        """What is in force, read back from the loaded model and from the configuration that ``generate`` is given."""
        dtype = _name(self._model.dtype)
        template = self._processor.chat_template
        return {
            "backend": "local",
            "family": self._family.family_id,
            "architecture": type(self._model).__name__,
            "commit": getattr(self._model.config, "_commit_hash", None),
            "trust_remote_code": self._trust_remote_code,
            "dtype": dtype,
            "device": str(self._model.device),
            "device_name": torch.cuda.get_device_name(self._model.device)
            if self._model.device.type == "cuda"
            else None,
            "attention": self._model.config._attn_implementation,
            "batch_size": self._batch_size,
            "padding_side": self._family.padding_side,
            "generation": {
                name: value
                for name, value in self._model.generation_config.to_dict().items()
                if name in SAMPLING_FIELDS or (value is not None and name != "transformers_version")
            },
            "seed": self._generation.seed if self._generation.do_sample else None,
            "prompt_frame": self._prompt_frame,
            "chat_template_sha256": sha256_text(template["default"] if isinstance(template, dict) else template),
            "audio": {**self._card.audio.model_dump(mode="json"), "longest_s": self._family.longest_s(self._processor)},
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "warnings": [FLOAT16_WARNING] if dtype == "float16" else [],
        }

    # --- one batch -----------------------------------------------------------------------------------------------

    def _fit(self, question: Question) -> FittedClip | RefusedClip:
        try:
            samples = question.load_audio()
        except AudioError as cause:
            return RefusedClip(str(cause))
        return fit_clip(samples, self._card.audio)

    def _hear(self, clips: Mapping[str, FittedClip]) -> dict[str, Any]:
        """Embeddings by audio key, each clip's as many as its length gives."""
        embeddings = self._hearing.embed([clip.samples for clip in clips.values()])
        for (key, clip), heard in zip(clips.items(), embeddings, strict=True):
            n_due = self._family.n_audio_tokens(clip.samples.size)
            if len(heard) != n_due:
                raise BackendError(
                    f"The clip {key!r} of {clip.samples.size / SAMPLE_RATE_HZ:.2f} s gives {len(heard)} audio tokens "
                    f"where it should give {n_due}: the model would not hear what was recorded. Check that the "
                    "checkpoint's processor files belong to it."
                )
        return dict(zip(clips, embeddings, strict=True))

    def _answer_batch(self, asked: Sequence[_Asked]) -> list[Response]:
        """Answer together; in two halves where that does not fit into memory."""
        try:
            return self._generate(asked)
        except torch.cuda.OutOfMemoryError as cause:
            if len(asked) == 1:
                seconds = asked[0].clip.samples.size / SAMPLE_RATE_HZ
                raise BackendError(
                    f"{self._card.model_id} ran out of memory on {self._model.device} with one question about a "
                    f"clip of {seconds:.1f} s. Use a device with more memory, or a smaller dtype than "
                    f"{_name(self._model.dtype)}."
                ) from cause
        # Outside the handler: the exception's traceback holds the tensors that did not fit.
        torch.cuda.empty_cache()
        middle = (len(asked) + 1) // 2
        return self._answer_batch(asked[:middle]) + self._answer_batch(asked[middle:])

    def _generate(self, asked: Sequence[_Asked]) -> list[Response]:
        started = time.perf_counter()
        prompts = [self._prompt_tokens(one) for one in asked]
        tokens = self._new_tokens(asked, prompts)
        texts = [
            # The default mends blanks before punctuation, which is not for us to do.
            self._processor.tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            for row in tokens
        ]
        latency_s = (time.perf_counter() - started) / len(asked)
        return [
            Response(
                request_id=one.question.request_id,
                text=text,
                finish="stop" if row and row[-1] in self._stop_ids else "length",
                n_prompt_tokens=len(prompt),
                n_new_tokens=len(row),
                latency_s=latency_s,
                audio_handling=one.clip.handling,
            )
            for one, prompt, row, text in zip(asked, prompts, tokens, texts, strict=True)
        ]

    def _prompt_tokens(self, one: _Asked) -> list[int]:
        """Token ids of the chat, with as many audio tokens as the clip gives."""
        chat = render_chat(self._processor, one.question.prompt)
        placeholder = self._processor.audio_token
        if chat.count(placeholder) != 1:
            raise BackendError(
                f"The prompt of variant {one.question.variant_id!r} holds {placeholder!r}, which "
                f"{self._card.model_id} takes for audio. Write the prompt without it."
            )
        tokens: list[int] = self._processor.tokenizer(chat, add_special_tokens=False)["input_ids"]
        place = tokens.index(self._model.config.audio_token_id)
        return [*tokens[:place], *[tokens[place]] * len(one.heard), *tokens[place + 1 :]]

    def _new_tokens(self, asked: Sequence[_Asked], prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Answer tokens of each row, up to and with its first stop token."""
        check = FirstLogits(dtype=_name(self._model.dtype), device=str(self._model.device))
        device = self._model.device
        with torch.inference_mode(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            if self._generation.do_sample:
                request_id = asked[0].question.request_id
                torch.manual_seed(int(sha256_text(f"{self._generation.seed}:{request_id}")[:15], 16))
            inputs = self._inputs(asked, prompts)
            rows = self._model.generate(
                **inputs,
                generation_config=self._decoding,
                logits_processor=transformers.LogitsProcessorList([check]),
            )
        answers = rows[:, inputs["input_ids"].shape[1] :].tolist()
        return [_until_stop(row, self._stop_ids) for row in answers]

    def _inputs(self, asked: Sequence[_Asked], prompts: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Embeddings of the prompts with what was heard in its place, and the mask, padded on the family's side."""
        device = self._model.device
        width = max(map(len, prompts))
        tokens = torch.full((len(prompts), width), self._decoding.pad_token_id)
        mask = torch.zeros_like(tokens)
        for row, prompt in enumerate(prompts):
            place = slice(width - len(prompt), None) if self._family.padding_side == "left" else slice(len(prompt))
            tokens[row, place] = torch.tensor(prompt)
            mask[row, place] = 1
        tokens = tokens.to(device)
        embeddings = self._model.get_input_embeddings()(tokens)
        audio = (tokens == self._model.config.audio_token_id)[..., None]
        heard = torch.cat([one.heard for one in asked]).to(embeddings.dtype)
        return {
            # For a repetition penalty, which counts the prompt's tokens too.
            "input_ids": tokens,
            "inputs_embeds": embeddings.masked_scatter(audio, heard),
            "attention_mask": mask.to(device),
        }


class FirstLogits:
    """Stops a batch whose first logits are not finite: its text would be noise that looks like answers."""

    def __init__(self, *, dtype: str, device: str) -> None:
        self._dtype, self._device, self._seen = dtype, device, False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Pass scores, shape (n_rows, n_tokens), on as they are; BackendError where the first ones are not finite."""
        if not self._seen:
            self._seen = True
            n_bad = int((~torch.isfinite(scores)).any(dim=-1).sum())
            if n_bad:
                raise BackendError(
                    f"The first logits of {n_bad} of {len(scores)} questions are not finite in {self._dtype} on "
                    f"{self._device}. Use bfloat16 or float32; if it is one of them, the checkpoint is damaged."
                )
        return scores


def _decoding(generation: Generation, *, own: Any, tokenizer: Any) -> Any:
    """A generation configuration with every field that decides an answer, and the checkpoint's token ids only."""
    sampling = {
        # `generate` would put its own top_k of 50 where we leave None; these values switch each restriction off.
        "temperature": 1.0 if generation.temperature is None else generation.temperature,
        "top_p": 1.0 if generation.top_p is None else generation.top_p,
        "top_k": 0 if generation.top_k is None else generation.top_k,
    }
    stop = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    if stop is None or tokenizer.pad_token_id is None:
        raise BackendError(
            "The checkpoint's tokenizer names no stop token or no padding token: no answer would end, or none could "
            "stand in a batch. Set eos_token and pad_token in its files."
        )
    return transformers.GenerationConfig(
        max_new_tokens=generation.max_new_tokens,
        do_sample=generation.do_sample,
        num_beams=generation.num_beams,
        repetition_penalty=generation.repetition_penalty,
        use_cache=True,
        bos_token_id=own.bos_token_id,
        eos_token_id=stop,
        pad_token_id=tokenizer.pad_token_id,
        **(sampling if generation.do_sample else {}),
    )


def _until_stop(row: Sequence[int], stop_ids: frozenset[int]) -> list[int]:
    ends = [position for position, token in enumerate(row) if token in stop_ids]
    return list(row[: ends[0] + 1]) if ends else list(row)


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")
