"""Speech LLMs in vLLM, in this process: the checkpoints and cards of the local backend, asked the same way.

vLLM loads, batches and caches. What decides an answer is given by us: token ids of the chat, samples, every decoding
field and the stop tokens. Questions about a clip stand next to each other and name its samples by their hash, so that
vLLM hears the clip once and reads the beginning that its prompts share once.
"""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question, Waveform
from voxemo.backends.endpoint.wire import request_seed
from voxemo.backends.local.clips import AskedClip, load_clips
from voxemo.backends.local.families import FAMILIES
from voxemo.backends.stages import StageTimes
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError, MissingDependency, listing
from voxemo.core.types import Generation, Response

INSTALL = (
    "It is no extra of voxemo: it fixes other versions of torch and transformers. In an environment of its own: "
    "pip install vllm -e . (a GPU), or what docs/guides/vllm.md says for a machine without one."
)

try:
    import torch
    import transformers

    from voxemo.backends.local.decoding import (
        answer_response,
        chat_template_sha256,
        check_generation,
        dtype_warnings,
        name_of,
        stop_tokens,
    )
    from voxemo.backends.local.loading import check_heard, describe_checkpoint, find_dtype, tokenise_chats
except ModuleNotFoundError as missing:
    raise MissingDependency("The backend 'vllm'", package=str(missing.name), step=INSTALL) from missing

CALLS_PER_PLACE = 4
"""Questions in a call for each that is answered at a time: most places stay taken, and little is lost by a kill."""

WINDOW_S = 30.0
"""Length of the windows that vLLM's classes of both families are written for."""

SETTINGS: Mapping[str, str] = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    # Standard output is for results.
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
}
"""Environment variables of vLLM that are set where the user has not set them."""


class VllmBackend:
    """A speech LLM of a known family in vLLM, in this process and those that vLLM starts.

    Label likelihoods are not offered.

    Args:
        card: names the checkpoint and declares what the model does with audio.
        generation: how answers are decoded, without beams. Nothing of the checkpoint's own generation settings is used
            but its token ids. Sampling needs a seed; every question then has one of its own.
        dtype: ``bfloat16``, ``float16`` or ``float32``; the card's when None, and the checkpoint's own when the card
            names none.
        batch_size: questions answered at the same time, at most.
        trust_remote_code: run code that the checkpoint brings.
        gpu_memory_utilization: share of a GPU's memory that vLLM takes; vLLM's own default when None, as below.
        tensor_parallel_size: GPUs that share the model.
        max_model_len: longest prompt and answer together, in tokens; the checkpoint's when None.
        block_size: tokens that the prefix cache keeps or drops together; smaller blocks share more of short prompts.
        enforce_eager: start faster and answer slower, without compiled layers and captured steps.

    Raises:
        BackendError: the model cannot be loaded, or is not what its card declares.
        MissingDependency: vLLM is not installed.
    """

    def __init__(
        self,
        card: ModelCard,
        generation: Generation,
        *,
        dtype: str | None = None,
        batch_size: int = 256,
        trust_remote_code: bool = False,
        gpu_memory_utilization: float | None = None,
        tensor_parallel_size: int | None = None,
        max_model_len: int | None = None,
        block_size: int | None = None,
        enforce_eager: bool | None = None,
    ) -> None:
        self._vllm = vllm = _import_vllm()
        check_generation(generation, batch_size=batch_size)
        _check_possible(card, generation)
        described = describe_checkpoint(card, trust_remote_code=trust_remote_code)
        check_window(card, described.processor.feature_extractor.chunk_length)
        self._card, self._generation, self._trust_remote_code = card, generation, trust_remote_code
        self._family, self._processor = described.family, described.processor
        self._config, self._prompt_frame = described.config, described.prompt_frame
        self._batch_size = batch_size
        weights_dtype = find_dtype(dtype or card.dtype)
        if weights_dtype == "auto":
            # vLLM's own "auto" makes float32 checkpoints float16.
            weights_dtype = self._config.dtype or torch.float32
        stop = stop_tokens(described.own_generation, self._processor.tokenizer)
        self._decoding = decoding_fields(generation, stop)
        given = {
            "gpu_memory_utilization": gpu_memory_utilization,
            "tensor_parallel_size": tensor_parallel_size,
            "max_model_len": max_model_len,
            "block_size": block_size,
            "enforce_eager": enforce_eager,
        }
        try:
            self._llm = vllm.LLM(
                model=described.repository,
                revision=card.revision,
                tokenizer_revision=card.revision,
                trust_remote_code=trust_remote_code,
                dtype=weights_dtype,
                max_num_seqs=batch_size,
                limit_mm_per_prompt={"audio": 1},
                enable_prefix_caching=True,
                generation_config="vllm",
                **{name: value for name, value in given.items() if value is not None},
            )
        except (OSError, RuntimeError, ValueError) as cause:
            raise BackendError(_why_not_started(card, cause)) from cause
        self._stages = StageTimes()
        self._n_asked = self._n_prompt_tokens = self._n_cached_tokens = 0

    @property
    def questions_per_call(self) -> int:
        """Enough that places stay taken while the last answers of a call are written."""
        return CALLS_PER_PLACE * self._batch_size

    @property
    def stages_s(self) -> Mapping[str, float]:
        """Seconds spent so far: waiting for audio, and answering, hearing included."""
        return self._stages.seconds

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order.

        Each clip is decoded once, however many questions are about it. A clip that cannot be decoded, or that the card
        refuses, gives a permanent error; a question that vLLM gave up gives a transient one.

        Raises:
            BackendError: a question for label likelihoods, one that is too long for the model, another number of
                audio tokens than a clip must give, or vLLM itself failed.
        """
        if any(question.form == "likelihood" for question in questions):
            raise BackendError(
                "The backend 'vllm' writes answers; the likelihood form needs the scores of given labels. Ask that "
                "form of a local model, or plan the run without --form likelihood."
            )
        with self._stages.of("waiting for audio"):
            asked, responses = load_clips(questions, self._card.audio)
        with self._stages.of("answering"):
            responses.update(self._answer_all(asked))
        return [responses[place] for place in range(len(questions))]

    def effective(self) -> Mapping[str, Any]:
        """What is in force, read back from vLLM's configuration and from the parameters that it is given."""
        engine = self._llm.llm_engine.vllm_config
        dtype = name_of(engine.model_config.dtype)
        return {
            "backend": "vllm",
            "family": self._card.family,
            "architecture": engine.model_config.architecture,
            "commit": getattr(self._config, "_commit_hash", None),
            "trust_remote_code": self._trust_remote_code,
            "dtype": dtype,
            "device": str(engine.device_config.device),
            "device_name": self._vllm.platforms.current_platform.get_device_name(),
            "quantization": engine.model_config.quantization,
            "tensor_parallel_size": engine.parallel_config.tensor_parallel_size,
            "gpu_memory_utilization": engine.cache_config.gpu_memory_utilization,
            "enforce_eager": engine.model_config.enforce_eager,
            "batch_size": engine.scheduler_config.max_num_seqs,
            "max_num_batched_tokens": engine.scheduler_config.max_num_batched_tokens,
            "max_model_len": engine.model_config.max_model_len,
            "prefix_caching": engine.cache_config.enable_prefix_caching,
            "block_size": engine.cache_config.block_size,
            "generation": self._decoding,
            "seed": self._generation.seed if self._generation.do_sample else None,
            "chat_template_sha256": chat_template_sha256(self._processor),
            "prompt_frame": self._prompt_frame,
            "audio": {
                **self._card.audio.model_dump(mode="json"),
                "longest_s": self._family.longest_s(self._processor),
            },
            "since_loading": {
                "n_questions": self._n_asked,
                "n_prompt_tokens": self._n_prompt_tokens,
                "n_cached_prompt_tokens": self._n_cached_tokens,
            },
            "versions": {
                "vllm": self._vllm.__version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "warnings": dtype_warnings(dtype),
        }

    # --- one call ------------------------------------------------------------------------------------------------

    def _answer_all(self, asked: Sequence[AskedClip]) -> dict[int, Response]:
        """Responses by place in the call."""
        rows = adjacent(asked)
        if not rows:
            return {}
        started = time.perf_counter()
        chats = tokenise_chats(
            self._processor, {row.question.prompt: row.question for row in rows}, model_id=self._card.model_id
        )
        names = {one.key: samples_sha256(one.clip.samples) for one in asked}
        prompts = [
            prompt_of(chats[row.question.prompt], row.asked.clip.samples, name=names[row.asked.key]) for row in rows
        ]
        for row in rows:
            self._check_room(row, len(chats[row.question.prompt]))
        params = [self._vllm.SamplingParams(**self._decoding, **self._own_seed(row.question)) for row in rows]
        outputs = self._generate(prompts, params)
        latency_s = (time.perf_counter() - started) / len(rows)
        return {
            row.place: self._response(row, output, latency_s=latency_s)
            for row, output in zip(rows, outputs, strict=True)
        }

    def _generate(self, prompts: Sequence[Mapping[str, Any]], params: Sequence[Any]) -> list[Any]:
        dead = self._vllm.v1.engine.exceptions.EngineDeadError
        try:
            outputs: list[Any] = self._llm.generate(prompts, params, use_tqdm=False)
        except (RuntimeError, ValueError, dead) as cause:
            raise BackendError(
                f"vLLM failed while {self._card.model_id} was asked: {_first_line(cause)}. What it wrote above says "
                "why; where memory ran out, use a smaller --batch-size. Every earlier answer is kept; the same command "
                "goes on."
            ) from cause
        return outputs

    def _check_room(self, row: "Row", n_chat_tokens: int) -> None:
        n_prompt = n_chat_tokens - 1 + self._family.n_audio_tokens(row.asked.clip.samples.size)
        n_most = self._llm.llm_engine.vllm_config.model_config.max_model_len
        if n_prompt + self._generation.max_new_tokens > n_most:
            raise BackendError(
                f"The prompt of variant {row.question.variant_id!r} about {row.question.utterance_id!r} has {n_prompt} "
                f"tokens, and an answer may have {self._generation.max_new_tokens}; {self._card.model_id} holds "
                f"{n_most} here. Plan shorter answers (--max-new-tokens), or set a smaller audio.max_s on the card."
            )

    def _own_seed(self, question: Question) -> dict[str, int]:
        if not self._generation.do_sample or self._generation.seed is None:
            return {}
        return {"seed": request_seed(self._generation.seed, question.request_id)}

    def _response(self, row: "Row", output: Any, *, latency_s: float) -> Response:
        (answer,) = output.outputs
        if answer.finish_reason not in ("stop", "length"):
            return Response(
                request_id=row.question.request_id,
                finish="error",
                error=f"vLLM gave the question up ({answer.finish_reason})",
                error_kind="transient",
            )
        check_heard(row.asked, output.prompt_token_ids.count(self._config.audio_token_id), self._family)
        self._n_asked += 1
        self._n_prompt_tokens += len(output.prompt_token_ids)
        self._n_cached_tokens += output.num_cached_tokens or 0
        return answer_response(
            row.question,
            row.asked.clip,
            list(answer.token_ids),
            tokenizer=self._processor.tokenizer,
            stop_ids=self._decoding["stop_token_ids"],
            n_prompt_tokens=len(output.prompt_token_ids),
            latency_s=latency_s,
        )


create = VllmBackend
"""What the registry calls."""


# --- what vLLM is given ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A question with the clip that it is about."""

    place: int
    """In the call."""
    question: Question
    asked: AskedClip


def adjacent(asked: Sequence[AskedClip]) -> list[Row]:
    """Every question, those about one clip next to each other: vLLM forgets what it has not used for long."""
    return [Row(place, question, one) for one in asked for place, question in one.questions]


def samples_sha256(samples: Waveform) -> str:
    """The name of a clip in vLLM's caches: of its samples as the model hears them, whatever they were cut from.

    Not the question's ``audio_key``: that is only unique within one run, and a loaded model may answer several.
    """
    return hashlib.sha256(samples.tobytes()).hexdigest()


def prompt_of(tokens: Sequence[int], samples: Waveform, *, name: str) -> dict[str, Any]:
    """One question as vLLM takes it.

    Args:
        tokens: of the chat, with one audio token, which vLLM makes as many as the clip gives.
        samples: at 16 kHz.
        name: equal for equal samples only; vLLM hears those it knows no second time.
    """
    return {
        "prompt_token_ids": list(tokens),
        "multi_modal_data": {"audio": [(samples, SAMPLE_RATE_HZ)]},
        "multi_modal_uuids": {"audio": [name]},
    }


def decoding_fields(generation: Generation, stop: Sequence[int]) -> dict[str, Any]:
    """Fields of vLLM's ``SamplingParams`` that decide an answer, without the seed.

    Args:
        generation: how answers are decoded.
        stop: the only tokens that end an answer.

    >>> fields = decoding_fields(Generation(max_new_tokens=8), [2, 0])
    >>> fields["temperature"], fields["max_tokens"], fields["stop_token_ids"]
    (0.0, 8, [2, 0])
    """
    sampling: dict[str, Any] = {"temperature": 0.0}
    if generation.do_sample:
        sampling = {
            "temperature": 1.0 if generation.temperature is None else generation.temperature,
            "top_p": 1.0 if generation.top_p is None else generation.top_p,
            "top_k": generation.top_k or 0,
        }
    return {
        **sampling,
        "max_tokens": generation.max_new_tokens,
        "repetition_penalty": generation.repetition_penalty,
        # vLLM would add stop tokens that it finds in the checkpoint's files itself.
        "ignore_eos": True,
        "stop_token_ids": list(stop),
        # Text is made of the tokens in one place for all backends.
        "detokenize": False,
    }


# --- before anything is asked ------------------------------------------------------------------------------------


def _import_vllm() -> Any:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import vllm
        import vllm.platforms
        import vllm.v1.engine.exceptions
    except ModuleNotFoundError as missing:
        raise MissingDependency("The backend 'vllm'", package=str(missing.name), step=INSTALL) from missing
    return vllm


def _check_possible(card: ModelCard, generation: Generation) -> None:
    if card.family not in FAMILIES:
        raise BackendError(
            f"The card of {card.model_id!r} names the family {card.family!r}; the backend 'vllm' runs "
            f"{listing(sorted(FAMILIES))}. Start a vLLM server for other models, and ask it with a card of the backend "
            "'endpoint'."
        )
    if generation.num_beams != 1:
        raise BackendError(
            f"The backend 'vllm' has no beam search; asked for were {generation.num_beams} beams. Use 1."
        )


def check_window(card: ModelCard, window_s: float) -> None:
    """Refuse a checkpoint whose audio windows have another length than vLLM's classes take.

    Raises:
        BackendError: it has; vLLM would load it, and fail at the first clip.
    """
    if window_s != WINDOW_S:
        raise BackendError(
            f"{card.model_id} hears in windows of {window_s:g} s; vLLM's class for the family {card.family!r} takes "
            f"windows of {WINDOW_S:g} s alone. Ask it with the local backend."
        )


def _why_not_started(card: ModelCard, cause: Exception) -> str:
    return (
        f"vLLM cannot run {card.model_id} ({card.repository!r}): {_first_line(cause)}. What it wrote above says why. "
        "Where torchvision, torchaudio or torchcodec do not load beside this torch, uninstall them; where memory is "
        "short, give a smaller --batch-size, or max_model_len or gpu_memory_utilization as options of the backend."
    )


def _first_line(cause: Exception) -> str:
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(".") if lines else repr(cause)
