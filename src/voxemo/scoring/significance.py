"""How often chance alone would give a difference as found, and which difference a test could find."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxemo.scoring.arrays import TOLERANCE, FloatArray, IntArray
from voxemo.scoring.bootstrap import weight_shape

_NORMAL_FROM = 1000
"""Degrees of freedom from which Student's distribution is the normal one, to two digits of a p-value of 0.05."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What resampled units tell of a mean over their utterances, given how unequal the units are."""

    n_effective: float
    """Units of one size that would tell as much, at least 1."""
    inflation: float
    """The factor by which the standard deviation of resamples is too small, at least 1: a speaker who holds much of a
    test part pulls the mean towards themselves, so that less of their own deviation is seen."""

    @property
    def degrees(self) -> int:
        """Degrees of freedom of Student's distribution, rounded down, at least 1."""
        return max(1, int(self.n_effective - 1 + TOLERANCE))


def precision(sizes: IntArray | FloatArray) -> Precision:
    """Precision of a mean over utterances that belong to units of these sizes.

    With n utterances in a unit and shares s = n / sum(n): n_effective = 1 / sum(s^2) (Kish, Survey Sampling, 1965).
    If the units' means vary alike, their weighted mean has the variance sum(s^2) in units of theirs, and its resamples
    are expected to have the sum of the variances of the resampled shares; the inflation is the root of the ratio.

    Args:
        sizes: utterances of each unit, shape (n_units,). Nothing can be told where all are 0.

    >>> precision(np.array([10, 10, 10, 10]))
    Precision(n_effective=4.0, inflation=1.0)
    >>> precision(np.array([90, 30, 30, 30])).degrees
    2
    """
    if not sizes.any():
        return Precision(n_effective=1.0, inflation=math.inf)
    shares = np.sort(sizes[sizes > 0]) / sizes.sum()
    due = float((shares**2).sum())
    seen = _resampled_variance(shares, weight_shape(len(shares)))
    inflation = math.sqrt(due / seen) if seen > TOLERANCE else math.inf
    return Precision(n_effective=round(1 / due, 9), inflation=max(1.0, round(inflation, 6)))


def _resampled_variance(shares: FloatArray, shape: float) -> float:
    """Sum of the variances of the shares that units have in resamples.

    Weights w are gamma variables, so that a resampled share is q = s w / sum(s w). With E[1 / S^k] as the integral of
    t^(k-1) E[exp(-t S)] / (k-1)!, the moments of q are integrals over t of products of (1 + t s)^-shape.
    """
    sizes, counts = np.unique(shares, return_counts=True)
    # Even steps in log t, far beyond both ends of what adds anything.
    log_t = np.linspace(-30.0, 90.0, 3001)
    grown = np.log1p(np.exp(log_t) * sizes[:, np.newaxis])
    common = -shape * (counts @ grown)
    step = log_t[1] - log_t[0]
    first = shape * sizes * np.exp(common + log_t - grown).sum(axis=1) * step
    second = shape * (shape + 1) * sizes**2 * np.exp(common + 2 * (log_t - grown)).sum(axis=1) * step
    return float(counts @ (second - first**2))


def difference_p(draws: FloatArray, *, value: float, precision: Precision) -> float:
    """Two-sided p-value of a difference of two systems, from its paired resamples.

    The difference over its standard error (``standard_error``), in Student's distribution. Of a mean over speakers with
    equally many utterances that is the paired t-test over speakers. Counting the resamples beyond 0 instead could give
    nothing below 2 / resamples, which correcting for many comparisons would lift over any threshold; and over few
    speakers it finds differences too often, as percentile intervals are too narrow there.

    Args:
        draws: resampled differences, shape (resamples,).
        value: the difference itself.
        precision: of the units that were resampled.

    Returns:
        0 to 1; NaN for a difference that is not defined, and where nothing was resampled.

    >>> round(difference_p(np.array([0.1, 0.2, 0.3]), value=0.2, precision=Precision(n_effective=10, inflation=1)), 3)
    0.037
    """
    if math.isnan(value) or not len(draws):
        return math.nan
    return ratio_p(value, standard_error(draws, precision), precision.degrees)


def standard_error(draws: FloatArray, precision: Precision) -> float:
    """Standard deviation of resampled values, made up for by how unequal the units are."""
    return float(np.std(draws)) * precision.inflation


def ratio_p(value: float, error: float, degrees: int) -> float:
    """Two-sided p-value of a value of 0 that was found with this standard error; 0 where nothing varies.

    >>> round(ratio_p(0.2, 0.1, 9), 4), ratio_p(0.0, 0.0, 9)
    (0.0766, 1.0)
    """
    if abs(value) <= TOLERANCE:
        return 1.0
    return student_p(abs(value) / error, degrees) if error > TOLERANCE else 0.0


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


def detectable_difference(error: float, *, degrees: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a test of this size finds in ``power`` of the cases.

    (t[1 - alpha / 2] + t[power]) x standard error, both quantiles of Student's distribution; 2.8 standard errors where
    speakers are many.

    Args:
        error: standard error of the difference.
        degrees: degrees of freedom, at least 1.
        alpha: of the two-sided test.
        power: chance of finding it, 0.5 to 1.

    >>> round(detectable_difference(0.01, degrees=5000), 4), round(detectable_difference(0.01, degrees=4), 4)
    (0.028, 0.0372)
    """
    return (student_quantile(alpha, degrees) + student_quantile(2 * (1 - power), degrees)) * error


def joint_degrees(errors: Sequence[float], degrees: Sequence[float]) -> float:
    """Degrees of freedom of a mean of independent differences (Welch and Satterthwaite).

    Args:
        errors: standard errors of the differences.
        degrees: of freedom of each.

    >>> joint_degrees([0.1, 0.1], [10, 10]), joint_degrees([0.1, 0.0], [10, 10])
    (20.0, 10.0)
    """
    variances = [error**2 for error in errors]
    parts = sum(variance**2 / own for variance, own in zip(variances, degrees, strict=True))
    return sum(variances) ** 2 / parts if parts > 0 else float(min(degrees))
