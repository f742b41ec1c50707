"""One prediction from the answers of several prompt variants."""

import numpy as np

from voxemo.scoring.arrays import BoolArray, FloatArray, IntArray, uniform
from voxemo.scoring.hard import FAILED


def _label_counts(predicted: IntArray, n_labels: int) -> IntArray:
    """How many variants gave each label, shape (n_utterances, n_labels)."""
    n_utterances = len(predicted)
    answered = predicted != FAILED
    rows = np.broadcast_to(np.arange(n_utterances)[:, None], predicted.shape)
    cells = rows[answered] * n_labels + predicted[answered]
    return np.bincount(cells, minlength=n_utterances * n_labels).reshape(n_utterances, n_labels)


def vote(predicted: IntArray, *, n_labels: int) -> FloatArray:
    """Share of the variants' votes per label; a failed answer spreads its vote evenly (paper, eq. 2).

    Args:
        predicted: label numbers of each variant, shape (n_utterances, n_variants), ``FAILED`` for a failed answer.
        n_labels: size of the label set.

    Returns:
        Distributions, shape (n_utterances, n_labels). All failed is exactly uniform.

    >>> vote(np.array([[1, 1, 1, 0, -1]]), n_labels=2).round(2).tolist()
    [[0.3, 0.7]]
    """
    # Counted in n_labels-ths of a vote: adding 1/C in floats can lift a uniform vector above the 1/C threshold.
    n_variants = predicted.shape[1]
    n_failed = (predicted == FAILED).sum(axis=1, keepdims=True)
    return np.asarray((_label_counts(predicted, n_labels) * n_labels + n_failed) / (n_variants * n_labels))


def vote_label(predicted: IntArray, *, n_labels: int) -> IntArray:
    """Label with the most votes of the variants; ties go to the first label, all failed is ``FAILED``.

    Args:
        predicted: label numbers of each variant, shape (n_utterances, n_variants), ``FAILED`` for a failed answer.
        n_labels: size of the label set.

    Returns:
        Label numbers, shape (n_utterances,).

    >>> vote_label(np.array([[2, 1, 1, 2, -1], [-1, -1, -1, -1, -1]]), n_labels=3).tolist()
    [1, -1]
    """
    winners = _label_counts(predicted, n_labels).argmax(axis=1)
    return np.where((predicted == FAILED).all(axis=1), FAILED, winners)


def mean_distribution(predicted: FloatArray, failed: BoolArray) -> FloatArray:
    """Mean of the variants' distributions; a failed one counts as uniform, as in the vote.

    Args:
        predicted: distributions of each variant, shape (n_utterances, n_variants, n_labels); rows of failed answers
            may hold anything.
        failed: which answers failed, shape (n_utterances, n_variants).

    Returns:
        Distributions, shape (n_utterances, n_labels).
    """
    settled = np.where(failed[..., None], uniform(predicted.shape[-1]), predicted)
    return np.asarray(settled.mean(axis=1))
