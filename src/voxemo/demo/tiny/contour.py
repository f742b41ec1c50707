"""What there is to hear at every moment of a clip: targets for each position of the audio tower."""

import numpy as np
import numpy.typing as npt

from voxemo.audio.load import SAMPLE_RATE_HZ, Waveform
from voxemo.demo.measure import ACTIVE_RANGE_DB, FLOOR, nuclei, pitch_contour

YES_OR_NO = ("active", "voiced", "nucleus")
"""Whether there is speech, whether it has a pitch, and whether a syllable's nucleus is about here."""
VALUES = ("level", "pitch")
"""Level over full scale, and pitch over 100 Hz where there is one, both about standardised."""
POSITION_SAMPLES = 320
LEVEL_DB = (-35.0, 10.0)
PITCH_SEMITONES = (7.0, 5.0)
"""Middle and unit."""


def contour(samples: Waveform) -> npt.NDArray[np.float32]:
    """Targets of a clip, shape (n_positions, n_targets): ``YES_OR_NO`` as 0 or 1, then ``VALUES``.

    Args:
        samples: mono at 16 kHz, shape (n_samples,), some of it speech with a pitch.
    """
    n_positions = -(-len(samples) // POSITION_SAMPLES)
    # A position hears what lies around it.
    around = np.pad(samples, (POSITION_SAMPLES // 2, POSITION_SAMPLES))[: n_positions * POSITION_SAMPLES]
    power = (around.reshape(n_positions, -1).astype(np.float64) ** 2).mean(axis=1)
    level = 10 * np.log10(power + FLOOR)
    voiced, nucleus, pitch = np.zeros((3, n_positions))
    time_s, semitones = pitch_contour(samples)
    places = _positions(time_s, n_positions)
    voiced[places], pitch[places] = 1, (semitones - PITCH_SEMITONES[0]) / PITCH_SEMITONES[1]
    for step in (-1, 0, 1):
        nucleus[(_positions(nuclei(samples), n_positions) + step).clip(0, n_positions - 1)] = 1
    active = level > level.max() - ACTIVE_RANGE_DB
    columns = [active, voiced, nucleus, (level - LEVEL_DB[0]) / LEVEL_DB[1], pitch]
    return np.stack(columns, axis=1).astype(np.float32)


def _positions(time_s: npt.NDArray[np.float64], n_positions: int) -> npt.NDArray[np.intp]:
    nearest = np.round(time_s * SAMPLE_RATE_HZ / POSITION_SAMPLES).astype(np.intp)
    return np.minimum(nearest, n_positions - 1)
