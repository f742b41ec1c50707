"""Hard-label metrics, all read from one confusion table per group (paper, sec. 3.4).

A table has a row per true label and a column per predicted label, and a last column for failed answers. Every metric
takes tables of shape (..., n_labels, n_labels + 1) and returns shape (...), or (..., n_labels) for one value per class:
the leading axes can be folds, speakers or bootstrap resamples. Cells may be fractions (an expectation is a table too).
An empty table has no score: every metric is NaN there. The metrics take the margins of tables as well.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import FloatArray, IntArray, mean_of_defined, ratio

FAILED = -1
"""A predicted label that stands for an answer without a usable label."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Margins:
    """What every metric here reads from tables, each of shape (..., n_labels); far smaller than the tables."""

    hits: FloatArray
    """Correct answers per class."""
    true: FloatArray
    """Utterances per true class."""
    predicted: FloatArray
    """Answers per predicted class; failed answers predict none."""


Confusions: TypeAlias = FloatArray | Margins


def group_confusions(
    gold: IntArray, predicted: IntArray, groups: IntArray, *, n_labels: int, n_groups: int
) -> FloatArray:
    """Count what was answered for what, in each group of utterances.

    Args:
        gold: true label numbers, shape (n_utterances,), 0 to n_labels - 1.
        predicted: predicted label numbers of the same shape, or ``FAILED``.
        groups: group number of each utterance (a speaker, a fold), 0 to n_groups - 1.
        n_labels: size of the label set.
        n_groups: number of groups; a group may be empty.

    Returns:
        Counts, shape (n_groups, n_labels, n_labels + 1); the last column counts failed answers.

    Raises:
        ValueError: a label or group number is out of range.

    >>> table = group_confusions(np.array([0, 0, 1]), np.array([0, 1, -1]), np.zeros(3, int), n_labels=2, n_groups=1)
    >>> table[0].tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    _check_range("gold", gold, 0, n_labels)
    _check_range("predicted", predicted, FAILED, n_labels)
    _check_range("groups", groups, 0, n_groups)
    n_columns = n_labels + 1
    columns = np.where(predicted == FAILED, n_labels, predicted)
    cells = (groups * n_labels + gold) * n_columns + columns
    counts = np.bincount(cells, minlength=n_groups * n_labels * n_columns)
    return counts.reshape(n_groups, n_labels, n_columns).astype(np.float64)


def constant_confusions(gold: IntArray, distribution: FloatArray, groups: IntArray, *, n_groups: int) -> FloatArray:
    """Confusions that a guesser expects who draws every answer from one distribution and never hears the audio.

    Args:
        gold: true label numbers, shape (n_utterances,).
        distribution: chance of each label, shape (n_labels,), sums to 1.
        groups: group number of each utterance, 0 to n_groups - 1.
        n_groups: number of groups; a group may be empty.

    Returns:
        Expected counts, shape (n_groups, n_labels, n_labels + 1); no answer fails.
    """
    n_labels = len(distribution)
    _check_range("gold", gold, 0, n_labels)
    _check_range("groups", groups, 0, n_groups)
    true = np.bincount(groups * n_labels + gold, minlength=n_groups * n_labels).reshape(n_groups, n_labels)
    return np.asarray(true[:, :, None] * np.append(distribution, 0.0))


def _check_range(name: str, numbers: IntArray, low: int, end: int) -> None:
    if numbers.size and not (low <= numbers.min() and numbers.max() < end):
        raise ValueError(f"{name} holds {numbers.min()} to {numbers.max()}, expected {low} to {end - 1}")


def apply_failure_policy(confusions: FloatArray, policy: FailurePolicy) -> FloatArray:
    """Decide what a failed answer is worth.

    Args:
        confusions: shape (..., n_labels, n_labels + 1).
        policy: ``wrong`` leaves the failed column: a miss for the true class, a hit for none. ``excluded`` empties it.
            ``uniform`` spreads it evenly over the predicted labels, the expectation of a blind guess.

    Returns:
        A table of the same shape.
    """
    if policy == "wrong":
        return confusions
    n_labels = confusions.shape[-2]
    share = 1.0 / n_labels if policy == "uniform" else 0.0
    settled = np.zeros_like(confusions)
    settled[..., :n_labels] = confusions[..., :n_labels] + share * confusions[..., n_labels:]
    return settled


def _hits(confusions: Confusions) -> FloatArray:
    """Correct answers per class, shape (..., n_labels)."""
    if isinstance(confusions, Margins):
        return confusions.hits
    return np.diagonal(confusions[..., :-1], axis1=-2, axis2=-1)


def _true(confusions: Confusions) -> FloatArray:
    """Utterances per true class, shape (..., n_labels)."""
    if isinstance(confusions, Margins):
        return confusions.true
    return np.asarray(confusions.sum(axis=-1))


def _predicted(confusions: Confusions) -> FloatArray:
    """Answers per predicted class, shape (..., n_labels); failed answers predict none."""
    if isinstance(confusions, Margins):
        return confusions.predicted
    return np.asarray(confusions[..., :-1].sum(axis=-2))


def weighted_accuracy(confusions: Confusions) -> FloatArray:
    """Share of all utterances that got the right label (WA, overall accuracy), 0 to 1."""
    return ratio(_hits(confusions).sum(axis=-1), _true(confusions).sum(axis=-1))


def unweighted_accuracy(confusions: Confusions) -> FloatArray:
    """Mean of the classes' recalls (UA, balanced accuracy), 0 to 1; a class absent from the truth is left out."""
    return mean_of_defined(recall(confusions), axis=-1)


def micro_f1(confusions: Confusions) -> FloatArray:
    """F1 of the hits, false alarms and misses summed over classes, 0 to 1.

    A failed answer is a miss and no false alarm, so this is above weighted accuracy where answers fail.
    """
    hits, true, predicted = _hits(confusions), _true(confusions), _predicted(confusions)
    return ratio(2 * hits.sum(axis=-1), true.sum(axis=-1) + predicted.sum(axis=-1))


def macro_f1(confusions: Confusions) -> FloatArray:
    """Mean F1 over every class of the label set, seen or not, 0 to 1."""
    return np.asarray(f1(confusions).mean(axis=-1))


def recall(confusions: Confusions) -> FloatArray:
    """Share of each class's utterances that got its label, shape (..., n_labels); NaN for a class without any."""
    return ratio(_hits(confusions), _true(confusions))


def precision(confusions: Confusions) -> FloatArray:
    """Share of each label's answers that are right, shape (..., n_labels); NaN for a label that is never answered."""
    return ratio(_hits(confusions), _predicted(confusions))


def f1(confusions: Confusions) -> FloatArray:
    """Harmonic mean of precision and recall per class, shape (..., n_labels).

    A class that is neither true nor predicted anywhere has 0, so that it keeps its place in the macro mean.
    """
    true, predicted = _true(confusions), _predicted(confusions)
    values = ratio(2 * _hits(confusions), true + predicted, otherwise=0.0)
    return np.where(true.sum(axis=-1, keepdims=True) > 0, values, np.nan)
