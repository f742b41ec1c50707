"""What is sent and what comes back, in the protocol's own form. Values in, values out; no network."""

import base64
import io
import json
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Waveform
from voxemo.core.ids import sha256_text
from voxemo.core.types import Generation

AUDIO_FORMAT = "wav, 16 bit, 16 kHz, mono, as input_audio"
OPEN_SERVERS = frozenset({"vllm", "sglang"})
"""What servers call themselves in their list of models that know the fields beyond the protocol; others refuse them."""
BROKEN_OFF = frozenset({"abort", "error"})
"""Reasons for the end of an answer that are the server's, not the model's."""


class UnreadableAnswer(ValueError):
    """A body that is no answer of the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one answer as the server counts them; None where it does not say."""

    n_prompt_tokens: int | None = None
    """Of audio and text together."""
    n_audio_tokens: int | None = None
    """Those of the prompt tokens that are audio."""
    n_cached_tokens: int | None = None
    """Those of the prompt tokens that the server had computed before."""
    n_new_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer of a served model."""

    text: str
    """Empty where the model said nothing, or a filter let nothing through."""
    finish: Literal["stop", "length"]
    model: str | None = None
    """What the server says it ran."""
    fingerprint: str | None = None
    """The server's mark of its configuration; where it changes, answers may."""
    usage: Usage = Usage()
    latency_s: float | None = None
    """From the question to the last byte of the answer."""


# --- what is sent ------------------------------------------------------------------------------------------------


def wav_bytes(samples: Waveform) -> bytes:
    """A mono 16 kHz WAV file of 16-bit samples.

    Rounded to the nearest step of 1/32768, so that 16-bit audio comes out as it came in; beyond -1 to 1 it is clipped.

    >>> len(wav_bytes(np.zeros(16_000, np.float32)))
    32044
    """
    steps = np.rint(samples.astype(np.float64) * 32_768)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.clip(steps, -32_768, 32_767).astype("<i2").tobytes())
    return buffer.getvalue()


def encode_clip(samples: Waveform) -> str:
    """A clip as the protocol carries audio: a WAV file in base64."""
    return base64.b64encode(wav_bytes(samples)).decode("ascii")


def user_turn(audio: str, prompt: str) -> list[dict[str, Any]]:
    """The conversation of one question: a single user turn, the audio before the text, and no words of ours.

    The order matters: servers keep it, and models answer otherwise when the text comes first.
    """
    return [
        {
            "role": "user",
            "content": [
                {"type": "input_audio", "input_audio": {"data": audio, "format": "wav"}},
                {"type": "text", "text": prompt},
            ],
        }
    ]


def decoding_fields(generation: Generation, *, open_server: bool) -> dict[str, Any]:
    """The fields of a request that say how the answer is decoded, without the seed.

    Args:
        generation: how answers are decoded.
        open_server: whether the server knows ``repetition_penalty`` and ``top_k``. Where it does they are always sent:
            it would else take them from the checkpoint. Where it may not, they are sent only if they are in use.
    """
    fields: dict[str, Any] = {"max_tokens": generation.max_new_tokens, "temperature": 0.0}
    if generation.do_sample:
        fields["temperature"] = 1.0 if generation.temperature is None else generation.temperature
        fields["top_p"] = 1.0 if generation.top_p is None else generation.top_p
        if open_server or generation.top_k:
            fields["top_k"] = generation.top_k or -1
    if open_server or generation.repetition_penalty != 1.0:
        fields["repetition_penalty"] = generation.repetition_penalty
    return fields


def request_seed(seed: int, request_id: str) -> int:
    """The seed of one request, below 2**28: a stream of its own, whatever is asked before or beside it."""
    return int(sha256_text(f"{seed}:{request_id}")[:7], 16)


# --- what comes back ---------------------------------------------------------------------------------------------


def read_completion(body: bytes) -> Completion:
    """Read the body of an answer.

    Raises:
        UnreadableAnswer: it is no JSON, no answer, or one that the server broke off.
    """
    content = _object(body)
    if content.get("error"):
        raise UnreadableAnswer(f"an error in place of an answer: {read_message(body)}")
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise UnreadableAnswer("JSON without a choice that has a message")
    reason = choice.get("finish_reason")
    if reason in BROKEN_OFF:
        raise UnreadableAnswer(f"the server broke the answer off ({reason})")
    return Completion(
        text=_text(message),
        finish="length" if reason == "length" else "stop",
        model=_string(content.get("model")),
        fingerprint=_string(content.get("system_fingerprint")),
        usage=_usage(content.get("usage")),
    )


def read_models(body: bytes) -> dict[str, str | None]:
    """Names that a server's list of models holds, each with who is said to own it; none where it is no such list."""
    try:
        listed = _object(body).get("data")
    except UnreadableAnswer:
        return {}
    models = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {one["id"]: _string(one.get("owned_by")) for one in models if isinstance(one.get("id"), str)}


def read_message(body: bytes) -> str:
    """What a server says of an error, in one line; empty if it says nothing readable."""
    return " ".join(_error(body)[0].split())


def read_code(body: bytes) -> str | None:
    """The protocol's word for an error, such as ``insufficient_quota``, if the server gives one."""
    return _error(body)[1]


def _error(body: bytes) -> tuple[str, str | None]:
    try:
        content = _object(body)
    except UnreadableAnswer:
        return "", None
    # Ours and the hosted APIs nest it; others put the message at the top, or call it detail.
    error = content.get("error", content)
    if isinstance(error, str):
        return error, None
    if not isinstance(error, dict):
        return "", None
    said = error.get("message") or error.get("detail") or ""
    return said if isinstance(said, str) else json.dumps(said), _string(error.get("code"))


def _object(body: bytes) -> dict[str, Any]:
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableAnswer("no JSON") from None
    if not isinstance(content, dict):
        raise UnreadableAnswer("JSON, but no object")
    return content


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    # What a model says in declining is its answer.
    content = content or message.get("refusal") or ""
    if not isinstance(content, str):
        raise UnreadableAnswer("a message whose content is no text")
    return content


def _usage(content: Any) -> Usage:
    if not isinstance(content, dict):
        return Usage()
    details = content.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    return Usage(
        n_prompt_tokens=_count(content.get("prompt_tokens")),
        n_audio_tokens=_count(details.get("audio_tokens")),
        n_cached_tokens=_count(details.get("cached_tokens")),
        n_new_tokens=_count(content.get("completion_tokens")),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None
