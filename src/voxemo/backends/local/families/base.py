"""What the engine must know about a model family, as data. Nothing here loads a model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SAMPLES_PER_FRAME = 160
"""Samples between two mel frames of a Whisper feature extractor."""


def whisper_audio_tokens(n_samples: int) -> int:
    """Number of audio tokens that a Whisper encoder with pooling makes of a clip at 16 kHz: 25 per second.

    Mel frames, halved by the second convolution, halved again by the pooling; padding is not counted. A clip that is
    split into 30-s windows has the sum of its windows, which is the same number. Zero for clips of 20 ms and less.

    >>> [whisper_audio_tokens(n) for n in (320, 1_600, 16_000, 480_000)]
    [0, 2, 25, 750]
    """
    n_frames = -(-n_samples // SAMPLES_PER_FRAME)
    n_halved = (n_frames - 1) // 2 + 1
    return (n_halved - 2) // 2 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What differs between the speech LLMs that one engine runs."""

    family_id: str
    """The ``family`` of model cards."""
    architecture: str
    """The transformers class that a checkpoint of this family names in ``config.architectures``."""
    min_audio_tokens: int
    """Fewest audio tokens that the model can hear."""
    n_audio_tokens: Callable[[int], int]
    """Audio tokens of a clip of so many samples at 16 kHz; never falls as clips grow."""
    longest_s: Callable[[Any], float]
    """Longest clip, in seconds, that the checkpoint's processor passes on whole."""
