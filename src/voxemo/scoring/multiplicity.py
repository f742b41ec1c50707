"""Many tests at once: p-values adjusted so that a family of comparisons is wrong no more often than a single one."""

import numpy as np

from voxemo.scoring.arrays import FloatArray


def holm(p_values: FloatArray) -> FloatArray:
    """Adjust p-values for being several, by Holm's step-down procedure.

    Rejecting every adjusted value up to alpha rejects any true null hypothesis of the family with a chance of at most
    alpha, whatever the dependence between the tests (Holm, Scandinavian Journal of Statistics 6, 1979). Never less
    powerful than Bonferroni.

    Args:
        p_values: shape (n_tests,), 0 to 1. A comparison that is not defined is no test: leave it out.

    Returns:
        Adjusted values in the order given, shape (n_tests,): each at least its own p-value and at most 1, in the same
        order of size; none for no test.

    Raises:
        ValueError: a value lies outside 0 to 1, or is NaN.

    >>> holm(np.array([0.01, 0.04, 0.03, 0.005])).round(3).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    outside = ~((p_values >= 0) & (p_values <= 1))
    if outside.any():
        raise ValueError(f"p-values lie between 0 and 1, got {p_values[outside][0]}")
    n_tests = len(p_values)
    order = np.argsort(p_values, kind="stable")
    # The smallest counts n times, the next n - 1 times; a larger p-value never gets the smaller adjusted one.
    stepped = np.maximum.accumulate(p_values[order] * np.arange(n_tests, 0, -1))
    adjusted = np.empty(n_tests)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
