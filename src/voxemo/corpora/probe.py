"""What the audio of a corpus is: length, rate, channels, level and a hash of the samples of every utterance."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voxemo.audio.load import decode, refuse_inaudible, samples_sha256
from voxemo.core.errors import AudioError, AudioProblem
from voxemo.core.types import ParsedUtterance

SILENCE_PEAK = 1e-3
"""60 dB below full scale: less than what a quiet room leaves in a recording of speech."""

FULL_SCALE = 1 - 2**-15
"""The largest positive value of 16 bits."""
CLIPPING_PEAK = 0.97
"""Below the largest value of every integer format; the lowest is 0.98, of mu-law."""
CLIPPED_RUN = 3
"""A peak that just fits touches the edge once or twice; three in a row are what level meters count as an over."""

BATCH = 64
"""Utterances per task: half a million tasks of one file each would cost more memory than the corpus's rows."""
BATCHES_PER_PROCESS = 4
"""Below this another process is not worth its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What is known about the audio of one utterance after decoding all of it; or why it cannot be used."""

    duration_s: float | None = None
    sample_rate_hz: int | None = None
    n_channels: int | None = None
    audio_sha256: str | None = None
    """Of the decoded samples at the native rate."""
    peak: float | None = None
    """Largest distance of a sample from zero; 1 is full scale, and lossy and float formats may exceed it."""
    clipped: float = 0.0
    """Share of the samples of all channels that are clipped, 0 to 1; see ``clipped_share``."""
    silent: bool = False
    """No sample is further than ``SILENCE_PEAK`` from the middle of the signal's range."""
    unusable_reason: str | None = None
    """Set when, and only when, the other facts are missing."""
    unusable_kind: AudioProblem | None = None
    """The same for programs; set when the reason is."""


def probe_utterance(root: Path, parsed: ParsedUtterance) -> Probe:
    """Decode the audio of one utterance below ``root``. Broken audio is a reason, never an exception."""
    return _probe_clip(root, (parsed.audio_path, parsed.start_s, parsed.end_s))


_Clip: TypeAlias = tuple[str, float | None, float | None]


def _probe_clip(root: Path, clip: _Clip) -> Probe:
    place, start_s, end_s = clip
    try:
        decoded = decode(root / place, start_s=start_s, end_s=end_s, place=place)
        refuse_inaudible(decoded, place=place)
    except AudioError as error:
        return Probe(unusable_reason=error.reason, unusable_kind=error.kind)
    # Channel by channel: numpy needs thirty times as long along the first axis of a table this narrow.
    extremes = [(float(channel.min()), float(channel.max())) for channel in decoded.samples.T]
    peak = max(max(-lowest, highest) for lowest, highest in extremes)
    return Probe(
        duration_s=decoded.duration_s,
        sample_rate_hz=decoded.sample_rate_hz,
        n_channels=decoded.n_channels,
        audio_sha256=samples_sha256(decoded),
        peak=peak,
        clipped=clipped_share(decoded.samples) if peak >= CLIPPING_PEAK else 0.0,
        silent=max(highest - lowest for lowest, highest in extremes) < 2 * SILENCE_PEAK,
    )


def clipped_share(samples: npt.NDArray[np.float32]) -> float:
    """Share of samples that are clipped, 0 to 1.

    A sample is clipped if it is one of at least three in a row, in one channel and of one sign, that are all at the
    largest value of their channel (at its smallest, for negative ones) or at full scale or beyond; and if that value
    is at least ``CLIPPING_PEAK`` from zero. So recordings that were clipped and then made quieter are not found, and
    neither are, as a rule, those that were coded with loss afterwards and stay below full scale.

    Args:
        samples: shape (n_frames, n_channels), at least one frame.

    >>> clipped_share(np.array([[0.5], [1.0], [1.0], [1.0], [-1.0], [-1.0]], np.float32))
    0.5
    """
    n_clipped = 0
    for channel in samples.T:
        for one_sign in (channel, -channel):
            edge = min(float(one_sign.max()), FULL_SCALE)
            if edge >= CLIPPING_PEAK:
                at_edge = np.concatenate([[False], one_sign >= edge, [False]])
                begins, ends = np.flatnonzero(np.diff(at_edge)).reshape(-1, 2).T
                n_clipped += int((ends - begins)[ends - begins >= CLIPPED_RUN].sum())
    return n_clipped / samples.size


def probe(
    root: Path,
    parsed: Sequence[ParsedUtterance],
    *,
    jobs: int | None = None,
    on_done: Callable[[int], None] | None = None,
) -> list[Probe]:
    """Probe every utterance, many at a time, in the given order.

    Short clips take so little time each that threads would mostly wait for the interpreter's lock, so this is done by
    processes where there is enough to do.

    Args:
        root: the corpus folder.
        parsed: the utterances, whose audio paths are relative to ``root``.
        jobs: number of processes; None for as many as there are cores that this process may use.
        on_done: called in this process with the number of utterances done so far.
    """
    import joblib  # slow to import, and the doctor's quick look does without

    clips = [(one.audio_path, one.start_s, one.end_s) for one in parsed]
    batches = [clips[first : first + BATCH] for first in range(0, len(clips), BATCH)]
    # joblib's processes start afresh (a fork is unsafe beside the threads of polars) and do not run the user's script
    # again, as those of multiprocessing would.
    workers = joblib.Parallel(
        n_jobs=max(1, min(jobs or joblib.cpu_count(), len(batches) // BATCHES_PER_PROCESS)),
        return_as="generator",
        batch_size=1,
        inner_max_num_threads=1,
    )
    probes: list[Probe] = []
    answers = workers(joblib.delayed(_probe_batch)(root, batch) for batch in batches)
    try:
        for done in answers:
            probes.extend(done)
            if on_done is not None:
                on_done(len(probes))
    except BaseException:
        # What the others have begun is in vain, as an interrupt means it to be; joblib would warn of it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers.close()
        raise
    return probes


def _probe_batch(root: Path, clips: Sequence[_Clip]) -> list[Probe]:
    return [_probe_clip(root, clip) for clip in clips]
