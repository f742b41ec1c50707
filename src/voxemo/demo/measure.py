"""What can be measured in finished audio: pitch, range, rise, tremble, level, rate and pauses. numpy only.

Made for clean synthetic speech; the acoustic baseline has features for real recordings.
"""

from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voxemo.audio.load import SAMPLE_RATE_HZ, Waveform

Array: TypeAlias = npt.NDArray[np.float64]

WINDOW = 640
HOP = 160
PITCH_HZ = (60.0, 480.0)
PITCH_REFERENCE_HZ = 100.0
LEAST_PERIODICITY = 0.55
OCTAVE_COST = 0.02
ACTIVE_RANGE_DB = 30.0
"""Frames this much below the loudest are silence."""
SHORTEST_PAUSE_S = 0.06
SLOW_S = 0.16
"""About one period of a tremble: what is slower is intonation."""
TREMBLES_HZ = np.arange(5.0, 8.01, 0.5)
MOST_SWAY = 2.0
"""Semitones; jumps between words are larger."""
VOWELS_HZ = (300.0, 3000.0)
SMOOTH_FRAMES = 5
NUCLEUS_DB = 2.0
BALANCE_HZ = (100.0, 1000.0, 5000.0)
FLOOR = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One clip's prosody, as heard."""

    pitch: float
    """Median, semitones over 100 Hz."""
    range: float
    """10th to 90th percentile of the pitch without its rise, octaves of semitones: 1 more is twice as wide."""
    rise: float
    """Semitones from the beginning to the end, along a straight line through the pitch."""
    tremble: float
    """How far the pitch sways to either side five to eight times a second, semitones."""
    level: float
    """Of the speech without its pauses, dB over full scale."""
    brightness: float
    """Energy from 1 to 5 kHz against that from 0.1 to 1 kHz, dB."""
    rate: float
    """Octaves of syllables a second without the pauses: 1 more is twice as fast."""
    pause: float
    """Silence within the clip, seconds."""


MEASURES = tuple(field.name for field in fields(Measured))


def vector(measured: Measured) -> Array:
    """The measures in the order of ``MEASURES``, shape (n_measures,)."""
    return np.array([getattr(measured, name) for name in MEASURES])


def active(samples: Waveform) -> npt.NDArray[np.bool_]:
    """Whether each sample is speech, by the level around it; shape (n_samples,)."""
    power = np.convolve(samples.astype(np.float64) ** 2, np.ones(HOP) / HOP, mode="same")
    return np.asarray(power > power.max() * 10 ** (-ACTIVE_RANGE_DB / 10))


def measure(samples: Waveform) -> Measured:
    """Measure one clip.

    Args:
        samples: mono at 16 kHz, shape (n_samples,), at least 0.1 s of it speech with a pitch.
    """
    speaking = active(samples)
    places = np.flatnonzero(speaking)
    gaps_s = np.diff(places) / SAMPLE_RATE_HZ
    pause_s = float(gaps_s[gaps_s >= SHORTEST_PAUSE_S].sum())
    speech_s = (places[-1] - places[0]) / SAMPLE_RATE_HZ - pause_s
    level = 10 * np.log10(np.mean(samples[speaking].astype(np.float64) ** 2) + FLOOR)
    time_s, pitch = pitch_contour(samples)
    middle = time_s - time_s.mean()
    slope = float(middle @ (pitch - pitch.mean()) / (middle @ middle))
    flat = pitch - slope * middle
    low, high = np.percentile(flat, (10, 90))
    return Measured(
        pitch=float(np.median(pitch)),
        range=float(np.log2(max(high - low, 0.1))),
        rise=slope * float(time_s[-1] - time_s[0]),
        tremble=_tremble(time_s, pitch),
        level=float(level),
        brightness=_brightness(samples),
        rate=float(np.log2(max(1, len(nuclei(samples))) / speech_s)),
        pause=pause_s,
    )


def pitch_contour(samples: Waveform) -> tuple[Array, Array]:
    """Time in seconds and pitch in semitones over 100 Hz of the voiced frames, both of shape (n_voiced,).

    The peak of each frame's autocorrelation, freed from the window's own (as Boersma has it), with a small cost for
    each octave down, since a periodic sound is periodic at twice its period too.
    """
    frames = _frames(samples)
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = (frames**2).mean(axis=1)
    window = np.hanning(WINDOW)
    own = _autocorrelation(window[np.newaxis])[0]
    found = _autocorrelation(frames * window)
    shortest, longest = (round(SAMPLE_RATE_HZ / hz) for hz in PITCH_HZ[::-1])
    lags = np.arange(shortest, longest + 1)
    periodicity = found[:, lags] / np.maximum(found[:, :1], FLOOR) * (own[0] / own[lags])
    judged = periodicity - OCTAVE_COST * np.log2(lags / shortest)
    best = np.clip(judged.argmax(axis=1), 1, len(lags) - 2)
    rows = np.arange(len(frames))
    before, peak, after = (periodicity[rows, best + step] for step in (-1, 0, 1))
    bend = before - 2 * peak + after
    offset = np.where(bend < 0, (before - after) / (2 * np.minimum(bend, -FLOOR)), 0.0)
    hz = SAMPLE_RATE_HZ / (lags[best] + np.clip(offset, -0.5, 0.5))
    voiced = (peak > LEAST_PERIODICITY) & (power > power.max() * 10 ** (-ACTIVE_RANGE_DB / 10))
    semitones = 12 * np.log2(hz / PITCH_REFERENCE_HZ)
    # An octave away from nearly all others is an error of the method.
    voiced &= np.abs(semitones - np.median(semitones[voiced])) < 9.0
    return rows[voiced] * HOP / SAMPLE_RATE_HZ, semitones[voiced]


def _autocorrelation(frames: Array) -> Array:
    spectrum = np.fft.rfft(frames, 2 * WINDOW, axis=1)
    return np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :WINDOW]


def _tremble(time_s: Array, pitch: Array) -> float:
    """Depth of the sine of any of ``TREMBLES_HZ`` that fits best what is left of the pitch without its slow course."""
    near = np.abs(time_s[:, np.newaxis] - time_s) <= SLOW_S / 2
    quick = np.clip(pitch - (near @ pitch) / near.sum(axis=1), -MOST_SWAY, MOST_SWAY)
    phases = 2 * np.pi * TREMBLES_HZ[:, np.newaxis] * time_s
    # Voiced time is a sequence of islands, so sine and cosine are fitted together, not by a transform.
    depths = []
    for phase in phases:
        waves = np.stack([np.sin(phase), np.cos(phase)], axis=1)
        depths.append(np.hypot(*np.linalg.lstsq(waves, quick, rcond=None)[0]))
    return float(max(depths))


def _brightness(samples: Waveform) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    low, middle, high = (round(hz * len(samples) / SAMPLE_RATE_HZ) for hz in BALANCE_HZ)
    return float(10 * np.log10((power[middle:high].sum() + FLOOR) / (power[low:middle].sum() + FLOOR)))


def nuclei(samples: Waveform) -> Array:
    """Time in seconds of every syllable's nucleus, shape (n_nuclei,), perhaps none.

    Roughly: a nucleus is where the level in the band of the vowels turns from rising to falling.
    """
    spectrum = np.abs(np.fft.rfft(_frames(samples) * np.hanning(WINDOW), axis=1))
    lowest, highest = (round(hz * WINDOW / SAMPLE_RATE_HZ) for hz in VOWELS_HZ)
    level = 10 * np.log10((spectrum[:, lowest:highest] ** 2).sum(axis=1) + FLOOR)
    level = np.convolve(level, np.ones(SMOOTH_FRAMES) / SMOOTH_FRAMES, mode="same")
    found: list[int] = []
    rising, turn, place = True, -np.inf, 0
    for frame in np.flatnonzero(level > level.max() - ACTIVE_RANGE_DB):
        value = float(level[frame])
        if rising and value < turn - NUCLEUS_DB:
            found.append(place)
            rising, turn = False, value
        elif not rising and value > turn + NUCLEUS_DB:
            rising, turn, place = True, value, int(frame)
        elif rising and value > turn:
            turn, place = value, int(frame)
        elif not rising:
            turn = min(turn, value)
    return np.array(found, np.float64) * HOP / SAMPLE_RATE_HZ


def _frames(samples: Waveform) -> Array:
    padded = np.pad(samples, WINDOW // 2).astype(np.float64)
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
