"""From a designed clip to samples: espeak-ng speaks, and what it has no setting for is done here.

Needs the extra ``demo`` and a system that can fork. Only those who make a corpus or train on one need it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import escape

import numpy as np
import soxr

from voxemo.audio.load import SAMPLE_RATE_HZ, Waveform
from voxemo.core.errors import MissingDependency, VoxEmoError
from voxemo.demo.design import Clip
from voxemo.demo.espeak import ANSWER
from voxemo.demo.measure import active

CHILD = Path(__file__).with_name("espeak.py")
CLIPS_PER_CHILD = 64

# espeak-ng's pitch goes from 0 to 99; measured with f1: 0.18 semitones each, and a wider range raises the mean.
HABITUAL_PITCH = 40
SEMITONES_PER_STEP = 0.18
STEPS_PER_RANGE_STEP = 0.19
TREMBLE_HZ = 6.5
CORNER_HZ = 1000.0
HABITUAL_LEVEL_DB = -30.0
"""RMS of speech over full scale."""
MARGIN_S = 0.08
"""Silence left at both ends."""
PEAK = 0.98


class SynthesisFailed(VoxEmoError):
    """The synthesiser could not speak a clip."""


def request(clip: Clip) -> dict[str, Any]:
    """What ``espeak`` is asked for. Pitch is set word by word, so that it can rise or fall over the clip."""
    prosody, voice = clip.prosody, clip.voice
    spread = _whole(voice.range * 2**prosody.range, 0, 99)
    opening, ending = clip.sentence.opening.split(), clip.sentence.ending.split()
    words = [*opening, *ending]
    # What the range adds to the mean pitch is taken out again.
    habit = HABITUAL_PITCH - STEPS_PER_RANGE_STEP * (spread - voice.range)
    spoken = [
        f'<prosody pitch="{_whole(habit + (prosody.pitch + prosody.rise * place) / SEMITONES_PER_STEP, 0, 99)}">'
        f"{escape(word)}</prosody>"
        for word, place in zip(words, np.linspace(-0.5, 0.5, len(words)), strict=True)
    ]
    spoken.insert(len(opening), f'<break time="{_whole(1000 * prosody.pause, 0, 2000)}ms"/>')
    return {
        "voice": voice.espeak,
        "ssml": f"<speak>{' '.join(spoken)}</speak>",
        "range": spread,
        "words_per_minute": _whole(voice.words_per_minute * 2**prosody.rate / voice.size, 80, 450),
    }


def _whole(value: float, least: int, most: int) -> int:
    return round(max(least, min(most, value)))


def finish(samples: Waveform, sample_rate_hz: int, clip: Clip) -> Waveform:
    """Turn what espeak-ng spoke into the clip: the voice's size, tremble, margins and level.

    Args:
        samples: shape (n_samples,).
        sample_rate_hz: of the samples.
        clip: what they are.

    Returns:
        Mono samples at 16 kHz.
    """
    sized = soxr.resample(samples, sample_rate_hz * clip.voice.size, SAMPLE_RATE_HZ)
    trembling = _tilt(_tremble(sized, clip.prosody.tremble), clip.prosody.brightness)
    speech = np.flatnonzero(active(trembling))
    margin = round(MARGIN_S * SAMPLE_RATE_HZ)
    first, last = max(0, int(speech[0]) - margin), int(speech[-1]) + margin
    kept = trembling[first:last]
    rms = float(np.sqrt(np.mean(kept[active(kept)] ** 2)))
    level_db = HABITUAL_LEVEL_DB + clip.voice.level_db + clip.prosody.level
    loud = kept / rms * 10 ** (level_db / 20)
    peak = float(np.abs(loud).max())
    return np.asarray(loud * min(1.0, PEAK / peak), np.float32)


def _tremble(samples: Waveform, semitones: float) -> Waveform:
    """Sway the pitch to either side by bending time."""
    time = np.arange(len(samples)) / SAMPLE_RATE_HZ
    depth_s = (2 ** (semitones / 12) - 1) / (2 * np.pi * TREMBLE_HZ)
    bent = time + depth_s * np.sin(2 * np.pi * TREMBLE_HZ * time)
    return np.interp(bent, time, samples).astype(np.float32)


def _tilt(samples: Waveform, brightness_db: float) -> Waveform:
    """Raise what lies above ``CORNER_HZ`` against what lies below, with a soft step of an octave or two."""
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    gain = 10 ** (brightness_db / 20 / (1 + (CORNER_HZ / np.maximum(hz, 1.0)) ** 4))
    return np.fft.irfft(np.fft.rfft(samples) * gain, len(samples)).astype(np.float32)


def synthesise(
    clips: Sequence[Clip], *, jobs: int | None = None, leave_out_failed: bool = False
) -> Iterator[tuple[Clip, Waveform]]:
    """Speak clips, in the given order; some 40 a second and processor.

    The same clip gives the same samples in any company and order, on one machine and version of espeak-ng.

    Args:
        clips: what to speak.
        jobs: child processes at a time; as many as processors by default.
        leave_out_failed: go on without clips that espeak-ng cannot speak: it crashes at about one in ten thousand
            combinations of voice, words and prosody.

    Raises:
        MissingDependency: espeakng-loader is not installed.
        SynthesisFailed: espeak-ng does not know the voice, or failed, at a clip or, with ``leave_out_failed``, at all.
    """
    if find_spec("espeakng_loader") is None:
        raise MissingDependency("Making synthetic speech", package="espeakng-loader", extra="demo")
    batches = [clips[first : first + CLIPS_PER_CHILD] for first in range(0, len(clips), CLIPS_PER_CHILD)]
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        for spoken in pool.map(partial(_speak_batch, leave_out_failed=leave_out_failed), batches):
            yield from spoken


def _speak_batch(clips: Sequence[Clip], *, leave_out_failed: bool) -> list[tuple[Clip, Waveform]]:
    with subprocess.Popen([sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        spoken = []
        for clip in clips:
            try:
                spoken.append((clip, _speak(clip, child.stdin, child.stdout)))
            except SynthesisFailed:
                if not leave_out_failed or (clip is clips[-1] and not spoken):
                    raise
        return spoken


def _speak(clip: Clip, requests: IO[bytes], answers: IO[bytes]) -> Waveform:
    requests.write(json.dumps(request(clip)).encode() + b"\n")
    requests.flush()
    head = answers.read(ANSWER.size)
    sample_rate_hz, n_bytes = ANSWER.unpack(head) if len(head) == ANSWER.size else (0, 0)
    if sample_rate_hz == 0 or n_bytes == 0:
        raise SynthesisFailed(
            f"espeak-ng cannot speak {clip.name!r} with the voice {clip.voice.espeak!r}. Its data may lack that voice."
        )
    samples = np.frombuffer(answers.read(n_bytes), "<i2").astype(np.float32) / np.float32(2**15)
    return finish(samples, sample_rate_hz, clip)
