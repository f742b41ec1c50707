"""The supervised reference: functionals of classic acoustic features, and a linear classifier that was trained on them.

It answers in the protocol's own text format, so that it goes down the same line as a speech LLM and makes the
supervised column real on any corpus. It hears no words and reads no prompt but its labels and its form.
Training is in ``training.acoustic``; this module says what the features are and how answers are made.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question, Waveform
from voxemo.backends.local.clips import RefusedClip, fit_clip
from voxemo.core.cards import AudioLimits, ModelCard
from voxemo.core.errors import AudioError, BackendError, MissingDependency
from voxemo.core.labels import LabelSet, display_name
from voxemo.core.types import Generation, Response

Array: TypeAlias = npt.NDArray[np.float64]

FEATURE_VERSION = "1"
"""Raised when any feature changes; weights trained on other features are refused."""

WINDOW = 512
HOP = 256
PITCH_WINDOW = 1024
"""Two periods of the lowest pitch need 985 samples."""
PITCH_HZ = (65.0, 500.0)
VOICED_RANGE_DB = 30.0
"""Frames this much below the loudest have no pitch worth reading."""
VOICED_MOST_CROSSINGS = 0.25
"""Fricatives cross zero more often, as a share of samples."""
N_MFCC = 20
N_MELS = 40
N_CONTRAST_BANDS = 5
FLOOR = 1e-10
DB_FLOOR = 10 * np.log10(FLOOR)

CONTOURS = (
    *(f"mfcc_{number}" for number in range(1, N_MFCC + 1)),
    *(f"mfcc_delta_{number}" for number in range(1, N_MFCC + 1)),
    "spectral_centroid_hz",
    "spectral_bandwidth_hz",
    "spectral_rolloff_hz",
    "spectral_flatness_db",
    *(f"spectral_contrast_{number}_db" for number in range(1, N_CONTRAST_BANDS + 2)),
    "zero_crossing_rate",
    "level_db",
)
FUNCTIONALS = ("mean", "std", "p10", "p50", "p90")
SLOPED = ("spectral_centroid_hz", "level_db")
PITCH = "pitch_semitones"
WHOLE = ("voiced_share", "duration_log_s", "onsets_per_s")

FEATURE_NAMES = (
    *(f"{contour}:{functional}" for contour in (*CONTOURS, PITCH) for functional in FUNCTIONALS),
    *(f"{contour}:slope_per_s" for contour in (*SLOPED, PITCH)),
    *WHOLE,
)
"""One name per feature, in the order of the vector."""


# --- features ----------------------------------------------------------------------------------------------------


def clip_features(waveform: Waveform) -> Array:
    """Compute the feature vector of one clip, in the order of ``FEATURE_NAMES``, all finite.

    Pitch is in semitones over 65 Hz, read on frames that are loud and cross zero seldom; without such frames its
    features are 0, as ``voiced_share`` is.

    Args:
        waveform: mono samples at 16 kHz, shape (n_samples,), finite. Shorter than a pitch window, silent and even
            empty clips have features too.

    Returns:
        Shape (n_features,).

    Raises:
        MissingDependency: librosa is not installed.
    """
    librosa = _librosa()
    n_samples = len(waveform)
    samples = np.pad(waveform, (0, max(0, PITCH_WINDOW - n_samples))).astype(np.float32)
    spectrum = np.abs(librosa.stft(samples, n_fft=WINDOW, hop_length=HOP))
    mel_db = librosa.power_to_db(
        librosa.feature.melspectrogram(S=spectrum**2, sr=SAMPLE_RATE_HZ, n_mels=N_MELS), amin=FLOOR
    )
    mfcc = librosa.feature.mfcc(S=mel_db, n_mfcc=N_MFCC)
    level = librosa.feature.rms(S=spectrum, frame_length=WINDOW)
    level_db = 10 * np.log10(np.maximum(level**2, FLOOR))
    crossings = librosa.feature.zero_crossing_rate(samples, frame_length=WINDOW, hop_length=HOP)
    contours = np.concatenate(
        [
            mfcc,
            librosa.feature.delta(mfcc, mode="nearest"),
            librosa.feature.spectral_centroid(S=spectrum, sr=SAMPLE_RATE_HZ),
            librosa.feature.spectral_bandwidth(S=spectrum, sr=SAMPLE_RATE_HZ),
            librosa.feature.spectral_rolloff(S=spectrum, sr=SAMPLE_RATE_HZ),
            10 * np.log10(librosa.feature.spectral_flatness(S=spectrum)),
            librosa.feature.spectral_contrast(S=spectrum, sr=SAMPLE_RATE_HZ, n_bands=N_CONTRAST_BANDS),
            crossings,
            level_db,
        ]
    ).astype(np.float64)
    loud = level_db[0] > max(level_db.max() - VOICED_RANGE_DB, DB_FLOOR)
    voiced = loud & (crossings[0] < VOICED_MOST_CROSSINGS)
    pitch = _pitch_semitones(librosa, samples, voiced)
    onsets = librosa.onset.onset_detect(
        onset_envelope=librosa.onset.onset_strength(S=mel_db, sr=SAMPLE_RATE_HZ), sr=SAMPLE_RATE_HZ, hop_length=HOP
    )
    sloped = [_slope_per_s(contours[CONTOURS.index(name)], np.arange(contours.shape[1])) for name in SLOPED]
    duration_s = len(samples) / SAMPLE_RATE_HZ
    vector = np.concatenate(
        [
            _functionals(contours),
            _functionals(pitch[np.newaxis]) if len(pitch) else np.zeros(len(FUNCTIONALS)),
            sloped,
            [_slope_per_s(pitch, np.flatnonzero(voiced))],
            [voiced.mean(), np.log(duration_s), len(onsets) / duration_s],
        ]
    )
    return vector.astype(np.float64)


def _librosa() -> Any:
    try:
        import librosa
    except ImportError as cause:
        raise MissingDependency("The acoustic baseline", package="librosa", extra="baseline") from cause
    return librosa


def _pitch_semitones(librosa: Any, samples: Waveform, voiced: npt.NDArray[np.bool_]) -> Array:
    """Pitch of the voiced frames, shape (n_voiced,)."""
    if not voiced.any():
        return np.zeros(0)
    lowest, highest = PITCH_HZ
    pitch_hz = librosa.yin(
        samples, fmin=lowest, fmax=highest, sr=SAMPLE_RATE_HZ, frame_length=PITCH_WINDOW, hop_length=HOP
    )
    semitones: Array = 12 * np.log2(np.clip(pitch_hz[: len(voiced)], lowest, highest) / lowest)
    return semitones[voiced]


def _functionals(contours: Array) -> Array:
    """Mean, standard deviation and percentiles of each row, row by row."""
    return np.column_stack(
        [contours.mean(axis=1), contours.std(axis=1), *np.percentile(contours, (10, 50, 90), axis=1)]
    ).ravel()


def _slope_per_s(values: Array, frames: npt.NDArray[np.int64]) -> float:
    """Least-squares slope over time; 0 where fewer than two frames have a value."""
    if len(values) < 2:
        return 0.0
    time_s = frames * (HOP / SAMPLE_RATE_HZ)
    time_s = time_s - time_s.mean()
    return float(time_s @ (values - values.mean()) / (time_s @ time_s))
