"""How often chance alone would give a difference as found, and which difference a test could find."""

import math
from collections.abc import Sequence

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


def student_quantile(p: float, degrees: float) -> float:
    """The value that a Student variable is at least as far from 0 as with chance ``p``: the inverse of `student_p`.

    Args:
        p: two-sided, above 0 and at most 1.
        degrees: degrees of freedom, at least 1; rounded down.

    >>> round(student_quantile(0.05, 9), 3), round(student_quantile(0.05, 5000), 3)
    (2.262, 1.96)
    """
    low, high = 0.0, 1.0
    while student_p(high, int(degrees)) > p:
        high *= 2
    # Halved until two floats are neighbours.
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if student_p(middle, int(degrees)) > p else (low, middle)
    return high


def detectable_difference(standard_error: float, *, n_units: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a test of this size finds in ``power`` of the cases.

    (t[1 - alpha / 2] + t[power]) x standard error, both quantiles of Student's distribution with n_units - 1 degrees of
    freedom; 2.8 standard errors where speakers are many.

    Args:
        standard_error: of the difference, from its paired resamples.
        n_units: units that were resampled, at least 2.
        alpha: of the two-sided test.
        power: chance of finding it, 0.5 to 1.

    >>> round(detectable_difference(0.01, n_units=5000), 4), round(detectable_difference(0.01, n_units=5), 4)
    (0.028, 0.0372)
    """
    return (student_quantile(alpha, n_units - 1) + student_quantile(2 * (1 - power), n_units - 1)) * standard_error


def joint_degrees(standard_errors: Sequence[float], n_units: Sequence[float]) -> float:
    """Degrees of freedom of a mean of independent differences (Welch and Satterthwaite).

    Args:
        standard_errors: of the differences.
        n_units: units that each was resampled from, at least 2.

    >>> joint_degrees([0.1, 0.1], [11, 11]), joint_degrees([0.1, 0.0], [11, 11])
    (20.0, 10.0)
    """
    variances = [error**2 for error in standard_errors]
    parts = sum(variance**2 / (n - 1) for variance, n in zip(variances, n_units, strict=True))
    return sum(variances) ** 2 / parts if parts > 0 else float(min(n_units) - 1)
