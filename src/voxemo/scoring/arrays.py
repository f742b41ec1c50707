"""Array types, and the two ways to divide and average that leave the undefined undefined."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

TOLERANCE = 1e-9
"""Probabilities nearer than this are the same: far above rounding, far below any vote share."""


def ratio(numerator: FloatArray, denominator: FloatArray, *, otherwise: float = np.nan) -> FloatArray:
    """Divide element by element; ``otherwise`` where the denominator is 0. Shapes broadcast.

    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    quotient = np.full(numerator.shape, otherwise)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def mean_of_defined(values: FloatArray, *, axis: int) -> FloatArray:
    """Mean over the values that are not NaN; NaN where none is left.

    >>> mean_of_defined(np.array([[0.5, np.nan], [np.nan, np.nan]]), axis=-1).tolist()
    [0.5, nan]
    """
    defined = ~np.isnan(values)
    total = np.sum(values, axis=axis, where=defined)
    return ratio(np.asarray(total), np.asarray(defined.sum(axis=axis, dtype=np.float64)))


def tops(distributions: FloatArray) -> BoolArray:
    """Mark every label whose value is the highest of its row; ties mark several.

    Args:
        distributions: shape (..., n_labels).

    Returns:
        Marks of the same shape.
    """
    highest = distributions.max(axis=-1, keepdims=True)
    return np.asarray(distributions >= highest - TOLERANCE)


def first_top(distributions: FloatArray) -> IntArray:
    """Label with the highest value of each row; ties go to the first label (``tie_break="label_order"``).

    Args:
        distributions: shape (..., n_labels).

    Returns:
        Label numbers, shape (...).

    >>> first_top(np.array([[0.2, 0.4, 0.4, 0.0]])).tolist()
    [1]
    """
    # Not argmax: 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in the last bit, and the tie must not hang on that.
    return np.asarray(tops(distributions).argmax(axis=-1), dtype=np.int64)


def uniform(n_labels: int) -> FloatArray:
    """Every label equally likely, shape (n_labels,)."""
    return np.full(n_labels, 1.0 / n_labels)


def one_hot(labels: IntArray, *, n_labels: int) -> FloatArray:
    """Certainty in one label each: shape (...) of label numbers to (..., n_labels).

    >>> one_hot(np.array([1]), n_labels=3).tolist()
    [[0.0, 1.0, 0.0]]
    """
    return np.asarray(np.eye(n_labels)[labels])
