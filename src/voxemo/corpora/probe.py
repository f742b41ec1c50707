"""What the audio of a corpus is: length, rate, channels and a hash of the samples of every utterance."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxemo.audio.load import decode, refuse_inaudible, samples_sha256
from voxemo.core.errors import AudioError
from voxemo.core.types import ParsedUtterance

SILENCE_PEAK = 1e-3
"""60 dB below full scale: less than what a quiet room leaves in a recording of speech."""

BATCH = 32
"""Utterances per task: half a million tasks of one file each would cost more memory than the corpus's rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What is known about the audio of one utterance after decoding all of it; or why it cannot be used."""

    duration_s: float | None = None
    sample_rate_hz: int | None = None
    n_channels: int | None = None
    audio_sha256: str | None = None
    """Of the decoded samples at the native rate."""
    silent: bool = False
    """No sample is further than ``SILENCE_PEAK`` from the middle of the signal's range."""
    unusable_reason: str | None = None
    """Set when, and only when, the other facts are missing."""


def probe_utterance(root: Path, parsed: ParsedUtterance) -> Probe:
    """Decode the audio of one utterance below ``root``. Broken audio is a reason, never an exception."""
    try:
        decoded = decode(root / parsed.audio_path, start_s=parsed.start_s, end_s=parsed.end_s, place=parsed.audio_path)
        refuse_inaudible(decoded, place=parsed.audio_path)
    except AudioError as error:
        return Probe(unusable_reason=error.reason)
    return Probe(
        duration_s=decoded.duration_s,
        sample_rate_hz=decoded.sample_rate_hz,
        n_channels=decoded.n_channels,
        audio_sha256=samples_sha256(decoded),
        silent=bool(np.ptp(decoded.samples, axis=0).max() < 2 * SILENCE_PEAK),
    )


def probe(
    root: Path,
    parsed: Sequence[ParsedUtterance],
    *,
    jobs: int | None = None,
    on_done: Callable[[int], None] | None = None,
) -> list[Probe]:
    """Probe every utterance, many at a time, in the given order.

    Threads suffice: decoding, hashing and the array arithmetic all release the interpreter's lock.

    Args:
        root: the corpus folder.
        parsed: the utterances, whose audio paths are relative to ``root``.
        jobs: number of threads; None for a few more than the machine has cores.
        on_done: called in this thread with the number of utterances done so far.
    """
    batches = [parsed[first : first + BATCH] for first in range(0, len(parsed), BATCH)]
    probes: list[Probe] = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for done in pool.map(lambda batch: [probe_utterance(root, one) for one in batch], batches):
                probes.extend(done)
                if on_done is not None:
                    on_done(len(probes))
        except BaseException:  # an interrupt must not wait for the rest of the corpus
            pool.shutdown(cancel_futures=True)
            raise
    return probes
