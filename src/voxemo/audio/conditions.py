"""What a model hears in place of a clip, to find out whether it hears at all. Arrays and names, no files.

An answer that does not depend on these does not come from the audio.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from voxemo.audio.load import Waveform
from voxemo.core.ids import sha256_text
from voxemo.core.types import AudioCondition


def heard(samples: Waveform, condition: AudioCondition, *, key: str) -> Waveform:
    """What is heard of a clip, or in its place; under ``shuffled`` the caller gives another's samples already.

    Args:
        samples: mono, shape (n_samples,).
        condition: what is to be heard.
        key: of the clip; decides the noise.
    """
    if condition == "silence":
        return silence(samples)
    return noise(samples, key=key) if condition == "noise" else samples


def silence(samples: Waveform) -> Waveform:
    """As many zeros."""
    return np.zeros_like(samples)


def noise(samples: Waveform, *, key: str) -> Waveform:
    """White noise of the clip's own length and power, the same for the same key.

    >>> clip = np.sin(np.arange(1600, dtype=np.float32))
    >>> bool(np.isclose(np.mean(noise(clip, key="a") ** 2), np.mean(clip**2), rtol=1e-4))
    True
    """
    rng = np.random.default_rng(int(sha256_text(key)[:16], 16))
    white = rng.standard_normal(samples.size)
    power = np.mean(samples.astype(np.float64) ** 2) if samples.size else 0.0
    scale = np.sqrt(power / max(float(np.mean(white**2)), 1e-12)) if samples.size else 0.0
    return (scale * white).astype(np.float32)


def partners(names: Iterable[str]) -> Mapping[str, str]:
    """For each utterance another one, whose clip is heard in its place; every clip is heard once.

    An utterance that is alone stays with itself.

    >>> partners(["a", "b", "c"]) == partners(["c", "b", "a"])
    True
    """
    mixed = sorted(set(names), key=lambda name: sha256_text(f"shuffled:{name}"))
    return dict(zip(mixed, [*mixed[1:], *mixed[:1]], strict=True))
