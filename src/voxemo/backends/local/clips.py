"""Clips as a model will hear them: decoded once for all questions about them, and within the limits of its card."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question, Waveform
from voxemo.core.cards import AudioLimits
from voxemo.core.errors import AudioError
from voxemo.core.types import Response

QUESTIONS_PER_CLIP = 10
"""Questions in a call for each clip of a batch: a voted corpus asks ten about a clip."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedClip:
    """A clip as the model will hear it."""

    samples: Waveform
    handling: str | None = None
    """``truncated``, ``padded`` or None; see ``Response.audio_handling``."""


@dataclass(frozen=True, slots=True)
class RefusedClip:
    """A clip that cannot be asked about, and why."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class AskedClip:
    """A clip as the model will hear it, with the questions about it."""

    key: str
    clip: FittedClip
    questions: Sequence[tuple[int, Question]]
    """Places in the call, and questions."""


def n_samples(seconds: float) -> int:
    """Samples at 16 kHz in so many seconds, rounded.

    >>> n_samples(0.1)
    1600
    """
    return round(seconds * SAMPLE_RATE_HZ)


def fit_clip(samples: Waveform, limits: AudioLimits) -> FittedClip | RefusedClip:
    """Bring a clip within a model's limits as its card declares.

    Clips below ``min_s`` get zeros at the end. Clips beyond ``max_s`` are cut to it, unless the card says ``error``;
    under ``window`` the model itself splits what lies within ``max_s``. Samples that are no numbers are refused: they
    would turn the answers to the whole batch into noise.

    >>> limits = AudioLimits(max_s=1.0, min_s=0.1)
    >>> short, long = np.ones(800, np.float32), np.ones(20_000, np.float32)
    >>> [(clip.samples.size, clip.handling) for clip in (fit_clip(short, limits), fit_clip(long, limits))]
    [(1600, 'padded'), (16000, 'truncated')]
    """
    if not np.isfinite(samples).all():
        return RefusedClip("the decoded clip holds samples that are not finite numbers")
    least = n_samples(limits.min_s)
    if samples.size < least:
        return FittedClip(samples=np.pad(samples, (0, least - samples.size)), handling="padded")
    if limits.max_s is None or samples.size <= n_samples(limits.max_s):
        return FittedClip(samples=samples)
    if limits.beyond == "error":
        duration_s = samples.size / SAMPLE_RATE_HZ
        return RefusedClip(
            f"the clip is {duration_s:.1f} s long; the model's card refuses more than {limits.max_s:g} s"
        )
    return FittedClip(samples=samples[: n_samples(limits.max_s)], handling="truncated")


def load_clips(questions: Sequence[Question], limits: AudioLimits) -> tuple[list[AskedClip], dict[int, Response]]:
    """Decode the clips that questions are about, each once, and bring them within a model's limits.

    Returns:
        The clips, the longest first: clips of one length waste little on padding, and memory runs out early. And, by
        place in the call, a permanent error for each question about a clip that cannot be decoded or is refused.
    """
    by_clip: dict[str, list[tuple[int, Question]]] = {}
    for place, question in enumerate(questions):
        by_clip.setdefault(question.audio_key, []).append((place, question))
    asked: list[AskedClip] = []
    refused: dict[int, Response] = {}
    for key, about in by_clip.items():
        clip = _load(about[0][1], limits)
        if isinstance(clip, FittedClip):
            asked.append(AskedClip(key, clip, about))
            continue
        for place, question in about:
            refused[place] = Response(
                request_id=question.request_id, finish="error", error=clip.reason, error_kind="permanent"
            )
    asked.sort(key=lambda one: (-one.clip.samples.size, one.key))
    return asked, refused


def _load(question: Question, limits: AudioLimits) -> FittedClip | RefusedClip:
    try:
        samples = question.load_audio()
    except AudioError as cause:
        return RefusedClip(str(cause))
    return fit_clip(samples, limits)
