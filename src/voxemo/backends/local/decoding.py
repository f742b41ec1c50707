"""How answers are decoded: by ``generate``, with every field set that decides an answer, and what is recorded of it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
import transformers

from voxemo.backends.base import Question
from voxemo.backends.local.clips import FittedClip
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError
from voxemo.core.ids import sha256_text
from voxemo.core.types import Generation, Response

FLOAT16_WARNING = (
    "float16 overflows in models trained in bfloat16: their answers may be noise. Use bfloat16 or float32."
)
SAMPLING_FIELDS = ("temperature", "top_p", "top_k")
"""Recorded even when off: a checkpoint's own values for them are what greedy decoding must not meet."""


def check_generation(generation: Generation, *, batch_size: int | None) -> None:
    """Refuse settings under which answers could not be had, or not be had again.

    Raises:
        BackendError: no question in a batch, or sampling without a seed.
    """
    if batch_size is not None and batch_size < 1:
        raise BackendError(f"The batch size must be 1 or more, not {batch_size}.")
    if generation.do_sample and generation.seed is None:
        raise BackendError("Sampling was asked for without a seed, so that no answer could be had again. Give a seed.")


def is_greedy(generation: Generation) -> bool:
    """Whether each token of an answer is simply the likeliest."""
    return not generation.do_sample and generation.num_beams == 1 and generation.repetition_penalty == 1.0


class Decoding:
    """How a loaded model writes answers.

    Args:
        model: its own generation settings are replaced; only its token ids are kept.
        tokenizer: the checkpoint's.
        generation: as `check_generation` lets through.

    Raises:
        BackendError: the checkpoint names no stop token or no padding token.
    """

    def __init__(self, model: Any, tokenizer: Any, generation: Generation) -> None:
        self._model, self._tokenizer, self._generation = model, tokenizer, generation
        self.config = _decoding(generation, own=model.generation_config, tokenizer=tokenizer)
        # `generate` fills fields that are None from the model's own configuration: leave it nothing else to inherit.
        model.generation_config = self.config
        self.stop_ids = frozenset(stop_tokens(self.config, tokenizer))

    def new_tokens(self, inputs: Mapping[str, Any], *, request_id: str) -> list[list[int]]:
        """Answer tokens of each row, up to and with its first stop token.

        Args:
            inputs: what ``generate`` is given, padded on the left.
            request_id: of the only row when sampling; its stream of random numbers begins there.
        """
        device = self._model.device
        check = FirstLogits(self._model)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            if self._generation.do_sample:
                torch.manual_seed(int(sha256_text(f"{self._generation.seed}:{request_id}")[:15], 16))
            rows = self._model.generate(
                **inputs,
                generation_config=self.config,
                logits_processor=transformers.LogitsProcessorList([check]),
            )
        return [_until_stop(row, self.stop_ids) for row in rows[:, inputs["input_ids"].shape[1] :].tolist()]

    def response(
        self, question: Question, clip: FittedClip, answer: Sequence[int], *, n_prompt_tokens: int, latency_s: float
    ) -> Response:
        """The answer tokens to a question as its response."""
        return answer_response(
            question,
            clip,
            answer,
            tokenizer=self._tokenizer,
            stop_ids=self.stop_ids,
            n_prompt_tokens=n_prompt_tokens,
            latency_s=latency_s,
        )

    def effective(
        self,
        card: ModelCard,
        processor: Any,
        *,
        batch_size: int,
        n_halved: int,
        trust_remote_code: bool,
        audio: Mapping[str, Any],
        warnings: Sequence[str] = (),
    ) -> dict[str, Any]:
        """What is in force, read back from the loaded model and from the configuration that ``generate`` is given.

        Args:
            card: of the model.
            processor: of the checkpoint; its chat template is hashed.
            batch_size: questions answered together.
            n_halved: batches so far that did not fit into memory.
            trust_remote_code: whether code of the checkpoint's own was let in.
            audio: what the processor does with audio, beside the card's limits.
            warnings: what a reader of answers must know, beside what follows from the dtype.
        """
        model = self._model
        dtype = name_of(model.dtype)
        return {
            "backend": "local",
            "family": card.family,
            "architecture": type(model).__name__,
            "commit": getattr(model.config, "_commit_hash", None),
            "trust_remote_code": trust_remote_code,
            "dtype": dtype,
            "device": str(model.device),
            "device_name": torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else None,
            "attention": model.config._attn_implementation,
            "batch_size": batch_size,
            "batches_halved_since_loading": n_halved,
            "padding_side": "left",
            "generation": {
                name: value
                for name, value in model.generation_config.to_dict().items()
                if name in SAMPLING_FIELDS or (value is not None and name != "transformers_version")
            },
            # At these and nowhere else, a finished FINAL LABEL line least of all: the last one counts.
            "stops_at": self._tokenizer.convert_ids_to_tokens(sorted(self.stop_ids)),
            "adapter": _adapter_facts(card),
            "seed": self._generation.seed if self._generation.do_sample else None,
            "chat_template_sha256": chat_template_sha256(processor),
            "audio": {**card.audio.model_dump(mode="json"), **audio},
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "warnings": [*dtype_warnings(dtype), *warnings],
        }


def _adapter_facts(card: ModelCard) -> dict[str, Any] | None:
    """What a run says of the adapter that a model answers with; None for a model without one."""
    record = card.training
    if record is None or record.kind != "sft" or record.merged:
        return None
    return {"sha256": record.artefact_sha256, "merged": False, "rank": record.recipe["rank"]}


def answer_response(
    question: Question,
    clip: FittedClip,
    answer: Sequence[int],
    *,
    tokenizer: Any,
    stop_ids: Collection[int],
    n_prompt_tokens: int,
    latency_s: float,
) -> Response:
    """Answer tokens, up to and with the first stop token, as the response to a question."""
    return Response(
        request_id=question.request_id,
        # The default mends blanks before punctuation, which is not for us to do.
        text=tokenizer.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        finish="stop" if answer and answer[-1] in stop_ids else "length",
        n_prompt_tokens=n_prompt_tokens,
        n_new_tokens=len(answer),
        latency_s=latency_s,
        audio_handling=clip.handling,
    )


def stop_tokens(own: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer: those of the checkpoint's generation settings, else the tokenizer's.

    Raises:
        BackendError: there are none, or there is no padding token.
    """
    stop = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    if stop is None or tokenizer.pad_token_id is None:
        raise BackendError(
            "The checkpoint's tokenizer names no stop token or no padding token: no answer would end, or none could "
            "stand in a batch. Set eos_token and pad_token in its files."
        )
    return list(stop) if isinstance(stop, list) else [stop]


def chat_template_sha256(processor: Any) -> str | None:
    """Hash of a processor's chat template; None where it has none."""
    template = processor.chat_template
    template = template["default"] if isinstance(template, dict) else template
    return None if template is None else sha256_text(template)


def dtype_warnings(dtype: str) -> list[str]:
    """What a reader of answers that were made in a dtype must know."""
    return [FLOAT16_WARNING] if dtype == "float16" else []


class FirstLogits:
    """Stops a batch whose first logits are not finite."""

    def __init__(self, model: Any) -> None:
        self._model, self._seen = model, False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Pass scores, shape (n_rows, n_tokens), on as they are; BackendError where the first ones are not finite."""
        if not self._seen:
            self._seen = True
            check_finite(scores, self._model)
        return scores


def check_finite(logits: Any, model: Any) -> Any:
    """Pass logits on as they are: text of others would be noise that looks like answers.

    Args:
        logits: of one question a row.
        model: that they come from.

    Raises:
        BackendError: some are not finite.
    """
    n_bad = int((~torch.isfinite(logits)).flatten(1).any(dim=-1).sum())
    if n_bad:
        raise not_finite(f"{n_bad} of {len(logits)} questions", model)
    return logits


def not_finite(asked: str, model: Any) -> BackendError:
    """The error about questions to which a model can say nothing but noise."""
    return BackendError(
        f"The first logits of {asked} are not finite in {name_of(model.dtype)} on {model.device}. Use bfloat16 or "
        "float32; if it is one of them, the checkpoint is damaged."
    )


def name_of(dtype: Any) -> str:
    """Name of a torch dtype, as model cards write it.

    >>> name_of(torch.bfloat16)
    'bfloat16'
    """
    return str(dtype).removeprefix("torch.")


def _decoding(generation: Generation, *, own: Any, tokenizer: Any) -> Any:
    """A generation configuration with every field that decides an answer, and the checkpoint's token ids only."""
    sampling = {
        # `generate` would put its own top_k of 50 where we leave None; these values switch each restriction off.
        "temperature": 1.0 if generation.temperature is None else generation.temperature,
        "top_p": 1.0 if generation.top_p is None else generation.top_p,
        "top_k": 0 if generation.top_k is None else generation.top_k,
    }
    stop = stop_tokens(own, tokenizer)
    return transformers.GenerationConfig(
        max_new_tokens=generation.max_new_tokens,
        do_sample=generation.do_sample,
        num_beams=generation.num_beams,
        repetition_penalty=generation.repetition_penalty,
        use_cache=True,
        bos_token_id=own.bos_token_id,
        eos_token_id=stop if len(stop) > 1 else stop[0],
        pad_token_id=tokenizer.pad_token_id,
        **(sampling if generation.do_sample else {}),
    )


def _until_stop(row: Sequence[int], stop_ids: frozenset[int]) -> list[int]:
    ends = [position for position, token in enumerate(row) if token in stop_ids]
    return list(row[: ends[0] + 1]) if ends else list(row)
