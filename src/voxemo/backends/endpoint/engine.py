"""Questions to a served model: many at a time, each asked again when the network fails, answers in the order asked."""

import asyncio
import os
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question
from voxemo.backends.endpoint.access import KEY_VARIABLE, find_address, read_key, shown_host
from voxemo.backends.endpoint.failures import Backoff, Failure
from voxemo.backends.endpoint.server import Server
from voxemo.backends.endpoint.usage import Prices, Served
from voxemo.backends.endpoint.wire import (
    AUDIO_FORMAT,
    OPEN_SERVERS,
    Completion,
    decoding_fields,
    encode_clip,
    request_seed,
    user_turn,
)
from voxemo.backends.local.clips import RefusedClip, fit_clip
from voxemo.backends.stages import SERVED, StageTimes
from voxemo.core.cards import ModelCard
from voxemo.core.errors import AudioError, BackendError, listing
from voxemo.core.types import Generation, Response

T = TypeVar("T")

QUESTIONS_PER_PLACE = 10
"""Questions in a call for each that is asked at a time: few wait for the last, and few are lost by an interruption."""
FEWEST_IN_VAIN = 5
"""Questions that must fail one after another before a call is given up; more where more are asked at a time."""
INHERITED = (
    "What a request does not say, such as a repetition penalty, the server takes from its own settings or the "
    "checkpoint's. They cannot be read back."
)
HINTS = {
    401: "The key in the environment variable {variable} is missing or not the right one.",
    402: "The account has no credit left.",
    403: "The key in the environment variable {variable} may not use {model!r} there.",
    404: "Either it does not serve {model!r}, the repository on the card (it lists {served}), or the address is not "
    "what comes before /chat/completions: vLLM's ends in /v1.",
    405: "The address is not what comes before /chat/completions: vLLM's ends in /v1.",
    407: "A proxy stands in between, and wants a password: see the variables HTTP_PROXY and NO_PROXY.",
    410: "It no longer serves {model!r}.",
    429: "Its limit is used up for now: ask later, or fewer questions at a time (--concurrency).",
}
"""HTTP status to what is wrong."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A clip as it is sent."""

    audio: str
    handling: str | None


@dataclass(slots=True)
class _Call:
    """What one call of `answer` knows."""

    client: Any
    clips: dict[str, _Encoded | RefusedClip] = field(default_factory=dict)
    n_answered: int = 0
    refusal: Failure | None = None
    """The last one, where a question was refused."""
    halt: Failure | None = None
    """Why nothing more is asked in this call."""


class EndpointBackend:
    """A model behind an OpenAI-compatible endpoint.

    Every clip is fitted to the card's limits and sent as 16-bit WAV before the prompt, in one user turn. A question
    whose connection fails, or that the server cannot take now, is asked again after a while; an answer that was had is
    never asked for again.

    Args:
        card: names the model as the server does (``repository``), and declares what it does with audio.
        generation: how answers are decoded. Sampling needs a seed; every question then has one of its own.
        base_url: what comes before ``/chat/completions``; the environment variable ``VOXEMO_ENDPOINT`` when None.
        concurrency: questions asked at a time.
        price: prices of a million tokens of prompt text, audio and answer, such as ``2.5,32,10``.
        key_variable: environment variable that holds the key; unset for servers that want none.
        timeout_s: longest time for one answer.
        backoff: how often a question is asked, and how long is waited in between.

    Raises:
        BackendError: there is no address, nothing answers there, or the decoding cannot be asked for.
    """

    def __init__(
        self,
        card: ModelCard,
        generation: Generation,
        *,
        base_url: str | None = None,
        concurrency: int = 8,
        price: str | None = None,
        key_variable: str = KEY_VARIABLE,
        timeout_s: float = 300.0,
        backoff: Backoff | None = None,
    ) -> None:
        _check_decoding(card, generation)
        if concurrency < 1 or timeout_s <= 0:
            raise BackendError(
                f"At least one question is asked at a time, and it needs time: got a concurrency of {concurrency} and "
                f"{timeout_s:g} s."
            )
        if card.repository is None:
            raise BackendError(
                f"The card of {card.model_id!r} names no repository. A served model's is the name that its server "
                "gives it; GET /models of the server lists them."
            )
        self._card, self._generation, self._model = card, generation, card.repository
        self._concurrency, self._timeout_s, self._key_variable = concurrency, timeout_s, key_variable
        self._backoff = backoff or Backoff()
        self._stages = StageTimes()
        self._address = find_address(base_url, os.environ)
        self._served = Served(prices=Prices.read(price) if price is not None else None)
        self._server = Server(self._address, key=read_key(key_variable, os.environ), timeout_s=timeout_s)
        self._listed = _run_to_end(self._look())
        self._owner = self._listed.get(self._model)
        self._fields = decoding_fields(generation, open_server=self._owner in OPEN_SERVERS)
        self._resume_at = float("-inf")
        """By the back-off's clock: a server that asked for a pause is left alone by every question."""
        self._n_in_vain = 0
        """Questions given up since the last answer."""

    @property
    def questions_per_call(self) -> int:
        """Enough that all places are taken most of the time."""
        return QUESTIONS_PER_PLACE * self._concurrency

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order.

        A question that the server refuses, or whose clip cannot be sent, gives a permanent error; one that the network
        kept from an answer gives a transient one. An answer without text is an answer.

        Raises:
            BackendError: nothing was answered, for a reason that no question can help: key, model, address, a server
                that is gone or that refuses all questions. Where something was answered it is given back, and the rest
                gets transient errors.
        """
        if any(question.form == "likelihood" for question in questions):
            raise BackendError(
                "A served model writes answers; the likelihood form needs the scores of given labels, which the "
                "protocol does not offer. Ask that form of a local model."
            )
        with self._stages.of(SERVED):
            return _run_to_end(self._answer_all(questions))

    @property
    def stages_s(self) -> Mapping[str, float]:
        """Seconds spent so far on requests; their clips are loaded and sent meanwhile."""
        return self._stages.seconds

    def effective(self) -> Mapping[str, Any]:
        """What every request says, and what the server has said of itself so far. No key, no address of a network."""
        return {
            "backend": "endpoint",
            "host": shown_host(self._address),
            "model": self._model,
            "owned_by": self._owner,
            "models_echoed": sorted(self._served.models),
            "system_fingerprints": sorted(self._served.fingerprints),
            "request": dict(self._fields),
            "seed": self._generation.seed if self._generation.do_sample else None,
            "prompt_frame": "one user turn, audio first, no system prompt of ours; the server's template is not known",
            "audio": {**self._card.audio.model_dump(mode="json"), "sent_as": AUDIO_FORMAT},
            "concurrency": self._concurrency,
            "timeout_s": self._timeout_s,
            "attempts": self._backoff.attempts,
            "usage": self._served.usage(),
            "warnings": [] if self._owner in OPEN_SERVERS else [INHERITED],
        }

    # --- one call ------------------------------------------------------------------------------------------------

    async def _look(self) -> dict[str, str | None]:
        """The server's list of models, and the proof that there is a server."""
        async with self._server.client() as client:
            listed = await self._server.models(client)
        if isinstance(listed, Failure):
            raise BackendError(
                f"No server answers at {self._address} ({listed.reason}). Start one and wait until it is ready; for "
                f"vLLM: python -m vllm.entrypoints.openai.api_server --model {self._model} --generation-config vllm. "
                "Or give another address, with --base-url or VOXEMO_ENDPOINT."
            )
        return listed

    async def _answer_all(self, questions: Sequence[Question]) -> list[Response]:
        responses: dict[int, Response] = {}
        waiting = iter(enumerate(questions))
        async with self._server.client() as client:
            call = _Call(client)

            async def take_place() -> None:
                for position, question in waiting:
                    responses[position] = await self._answer_one(question, call)

            await asyncio.gather(*(take_place() for _ in range(min(self._concurrency, len(questions)))))
            if not call.n_answered:
                await self._explain(call)
        return [responses[position] for position in range(len(questions))]

    async def _answer_one(self, question: Question, call: _Call) -> Response:
        # Decoded here and not in a thread: a few milliseconds for each clip, in which the server works on.
        if question.audio_key not in call.clips:
            call.clips[question.audio_key] = self._encode(question)
        clip = call.clips[question.audio_key]
        if isinstance(clip, RefusedClip):
            return _error(question, clip.reason, "permanent")
        outcome, attempt = await self._ask(question, clip, call)
        if isinstance(outcome, Failure):
            kind: Literal["permanent", "transient"] = "permanent" if outcome.kind == "refused" else "transient"
            return _error(question, outcome.reason, kind, attempt=attempt)
        return Response(
            request_id=question.request_id,
            text=outcome.text,
            finish=outcome.finish,
            n_prompt_tokens=outcome.usage.n_prompt_tokens,
            n_new_tokens=outcome.usage.n_new_tokens,
            latency_s=outcome.latency_s,
            attempt=attempt,
            audio_handling=clip.handling,
        )

    async def _ask(self, question: Question, clip: _Encoded, call: _Call) -> tuple[Completion | Failure, int]:
        """Ask until there is an answer or no hope of one; also how often it was asked."""
        fields = dict(self._fields)
        if self._generation.do_sample and self._generation.seed is not None:
            fields["seed"] = request_seed(self._generation.seed, question.request_id)
        attempt = 0
        while True:
            await self._wait(attempt)
            if call.halt is not None:
                return Failure(
                    kind="transient", reason=f"not asked{' again' if attempt else ''}: {call.halt.reason}"
                ), attempt
            attempt += 1
            outcome = await self._server.ask(
                call.client, model=self._model, messages=user_turn(clip.audio, question.prompt), fields=fields
            )
            last = attempt == self._backoff.attempts
            self._learn(outcome, call, last=last)
            if isinstance(outcome, Completion) or outcome.kind != "transient" or last or call.halt is not None:
                return outcome, attempt

    def _encode(self, question: Question) -> _Encoded | RefusedClip:
        try:
            samples = question.load_audio()
        except AudioError as cause:
            return RefusedClip(str(cause))
        clip = fit_clip(samples, self._card.audio)
        return clip if isinstance(clip, RefusedClip) else _Encoded(encode_clip(clip.samples), clip.handling)

    # --- when something fails ------------------------------------------------------------------------------------

    async def _wait(self, attempt: int) -> None:
        """Wait after so many failed attempts, and as long as the server asked to be left alone."""
        if attempt:
            await self._backoff.sleep(self._backoff.wait_s(attempt))
        while (left_s := self._resume_at - self._backoff.clock()) > 0:
            await self._backoff.sleep(left_s)

    def _learn(self, outcome: Completion | Failure, call: _Call, *, last: bool) -> None:
        """Draw from what came of one question, asked for the last time or not, what holds for all."""
        if isinstance(outcome, Completion):
            call.n_answered += 1
            self._n_in_vain = 0
            self._served.add(outcome)
            return
        if outcome.kind == "refused":
            call.refusal = outcome
            return
        pause_s = outcome.retry_after_s or 0.0
        self._n_in_vain += last
        gone = self._n_in_vain >= max(FEWEST_IN_VAIN, self._concurrency)
        if outcome.kind == "halt" or pause_s > self._backoff.longest_s or (last and gone):
            call.halt = outcome
        else:
            self._resume_at = max(self._resume_at, self._backoff.clock() + pause_s)

    async def _explain(self, call: _Call) -> None:
        """Raise where a call without any answer means that no further one would have any.

        Raises:
            BackendError: it was halted, or the server refuses whatever it is asked.
        """
        if call.halt is not None:
            raise BackendError(self._advice(call.halt))
        if call.refusal is None or self._served.n_answers:
            return
        # Refusals settle a question for good, so first make sure that it is the questions that are refused.
        silence = encode_clip(np.zeros(SAMPLE_RATE_HZ, np.float32))
        outcome = await self._server.ask(
            call.client, model=self._model, messages=user_turn(silence, "Say yes."), fields=self._fields
        )
        if isinstance(outcome, Completion):
            self._served.add(outcome)
        elif outcome.kind == "halt":
            raise BackendError(self._advice(outcome))
        else:
            raise BackendError(
                f"{self._address} refused every question so far ({call.refusal.reason}), and one about a second of "
                f"silence too ({outcome.reason}). Check that {self._model!r} takes audio there, and the decoding "
                f"fields that are sent: {', '.join(self._fields)}."
            )

    def _advice(self, failure: Failure) -> str:
        said = f"{self._address} gives no answer now: {failure.reason}."
        pause_s = failure.retry_after_s
        if failure.status is not None and failure.status < 400:
            hint = "It sends the question on to another address. Give that one, if you trust it with the recordings."
        else:
            hint = HINTS.get(failure.status or 0, "See whether the server still runs and what it reports.").format(
                variable=self._key_variable,
                model=self._model,
                served=listing(sorted(self._listed), most=8) or "none",
            )
        wait = f" It asks to be left alone for {pause_s:.0f} s." if pause_s else ""
        return f"{said} {hint}{wait} Every answer so far is kept; the same command goes on."


create = EndpointBackend
"""What the registry calls."""


def _check_decoding(card: ModelCard, generation: Generation) -> None:
    if generation.do_sample and generation.seed is None:
        raise BackendError("Sampling was asked for without a seed, so that no answer could be had again. Give a seed.")
    if generation.num_beams != 1:
        raise BackendError(
            f"{card.model_id} is asked over a protocol without beam search; asked for were {generation.num_beams} "
            "beams. Use 1."
        )


def _error(question: Question, reason: str, kind: Literal["permanent", "transient"], *, attempt: int = 1) -> Response:
    return Response(request_id=question.request_id, finish="error", error=reason, error_kind=kind, attempt=attempt)


def _run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop of its own, also where one runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
