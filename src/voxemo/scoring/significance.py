"""How often chance alone would give a difference as large as the one that was found."""

import math

import numpy as np

from voxemo.scoring.arrays import TOLERANCE, FloatArray

_NORMAL_FROM = 1000
"""Degrees of freedom from which Student's distribution is the normal one, to two digits of a p-value of 0.05."""


def difference_p(draws: FloatArray, *, value: float, n_units: int) -> float:
    """Two-sided p-value of a difference of two systems, from its paired resamples.

    The difference over the standard deviation of its resamples, in Student's distribution with n_units - 1 degrees of
    freedom. Of a mean over speakers with equally many utterances that is the paired t-test over speakers. Counting the
    resamples beyond 0 instead could give nothing below 2 / resamples, which correcting for many comparisons would lift
    over any threshold; and over few speakers it finds differences too often, as percentile intervals are too narrow
    there.

    Where a few of the units hold most utterances, the mean rests on fewer than n_units - 1 degrees of freedom, and
    equal systems are told apart too often: simulated, one time in twenty with up to three times as many utterances of
    one speaker as of another, one in ten with twelve times as many, one in seven with six speakers of 350 utterances
    among sixty of 5.

    Args:
        draws: resampled differences, shape (resamples,).
        value: the difference itself.
        n_units: units that were resampled.

    Returns:
        0 to 1; NaN with less than two units, where nothing can vary, and for a difference that is not defined.

    >>> round(difference_p(np.array([0.1, 0.2, 0.3]), value=0.2, n_units=10), 3)
    0.037
    """
    if n_units < 2 or math.isnan(value) or not len(draws):
        return math.nan
    spread = float(np.std(draws))
    if abs(value) <= TOLERANCE:
        return 1.0
    return student_p(abs(value) / spread, n_units - 1) if spread > TOLERANCE else 0.0


def student_p(t: float, degrees: int) -> float:
    """Chance that a Student variable is at least as far from 0 as ``t``, 0 to 1.

    Args:
        t: a value of 0 or more.
        degrees: degrees of freedom, at least 1.

    >>> round(student_p(2.0, 9), 4)
    0.0766
    """
    if degrees >= _NORMAL_FROM:
        return math.erfc(t / math.sqrt(2))
    # The finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4.
    angle = math.atan(t / math.sqrt(degrees))
    cosine_squared = math.cos(angle) ** 2
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 if odd else 1, degrees - 2, 2):
        term *= k / (k + 1) * cosine_squared
        total += term
    inside = math.sin(angle) * total
    if odd:
        inside = 2 / math.pi * (angle + inside)
    return min(max(1 - inside, 0.0), 1.0)
