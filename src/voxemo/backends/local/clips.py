"""The card's policy for clips that are too short or too long for a model. Arrays in, arrays out."""

from dataclasses import dataclass

import numpy as np

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Waveform
from voxemo.core.cards import AudioLimits


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
