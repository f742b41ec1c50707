"""Clips ready to be sent: as a WAV file that any browser plays, and as what is drawn of them."""

import io
from dataclasses import dataclass

import numpy as np
import soundfile as sf

from voxemo.audio.decoded import Decoded
from voxemo.audio.load import SAMPLE_RATE_HZ, Waveform, to_waveform

MOST_CHANNELS = 2
"""Sent as they are; of more, their mean at 16 kHz, which is what models hear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One utterance's sound."""

    wav: bytes
    """16-bit PCM."""
    waveform: Waveform
    """As models hear it."""
    duration_s: float
    sample_rate_hz: int
    """Of the file in the corpus."""
    n_channels: int
    note: str | None
    """What is odd about it."""


def clip_of(decoded: Decoded, note: str | None) -> Clip:
    """Make a clip of decoded samples. Samples beyond full scale are clipped in the WAV file alone."""
    waveform = to_waveform(decoded)
    as_it_is = decoded.n_channels <= MOST_CHANNELS
    samples = decoded.samples if as_it_is else waveform
    file = io.BytesIO()
    rate = decoded.sample_rate_hz if as_it_is else SAMPLE_RATE_HZ
    sf.write(file, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    return Clip(
        wav=file.getvalue(),
        waveform=waveform,
        duration_s=decoded.duration_s,
        sample_rate_hz=decoded.sample_rate_hz,
        n_channels=decoded.n_channels,
        note=note,
    )
