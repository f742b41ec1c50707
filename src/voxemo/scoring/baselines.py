"""Reference predictors that hear no audio, soft labels from votes, and one human rater against the others.

A reference distribution has shape (n_labels,) and is the same for every utterance.
"""

from dataclasses import dataclass

import numpy as np

from voxemo.scoring.arrays import BoolArray, FloatArray, IntArray, first_top, one_hot, ratio, uniform

__all__ = ["HumanRater", "human_rater", "majority", "mean_soft_label", "soft_labels", "train_prior", "uniform"]


def soft_labels(votes: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Share of the votes per label, unsmoothed (paper, eq. 1).

    Args:
        votes: votes within the label set, shape (n_utterances, n_labels): counts, or shares where only those are
            published. Votes outside the label set are left out by the caller; the rest is renormalised here.

    Returns:
        Soft labels of the same shape, and a mask of the utterances with no vote left, whose rows are NaN.

    >>> soft_labels(np.array([[1.0, 2.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))[0].tolist()
    [[0.2, 0.4, 0.4, 0.0], [nan, nan, nan, nan]]
    """
    total = votes.sum(axis=1)
    return ratio(votes, total[:, None]), np.asarray(total == 0)


def train_prior(labels: IntArray, *, n_labels: int) -> FloatArray:
    """Share of each hard label in the training part.

    Args:
        labels: label numbers of the training part, shape (n_utterances,).
        n_labels: size of the label set.

    Raises:
        ValueError: there is no training utterance.
    """
    if not len(labels):
        raise ValueError("a train prior needs at least one training utterance, got none")
    return np.bincount(labels, minlength=n_labels) / len(labels)


def mean_soft_label(soft: FloatArray) -> FloatArray:
    """Mean soft label of the training part: the train prior of soft scores.

    Args:
        soft: soft labels of the training part, shape (n_utterances, n_labels), without undefined rows.

    Raises:
        ValueError: there is no training utterance.
    """
    if not len(soft):
        raise ValueError("a train prior needs at least one training utterance, got none")
    return np.asarray(soft.mean(axis=0))


def majority(prior: FloatArray) -> FloatArray:
    """Certainty in the likeliest label of a train prior; ties go to the first label."""
    return one_hot(first_top(prior), n_labels=len(prior))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HumanRater:
    """One listener's answer against all other listeners, for every listener that could be left out.

    One row per utterance and label that somebody chose. An utterance's weights sum to 1, so that a weighted mean over
    the rows is the expectation over listeners, with each utterance counting once.
    """

    gold: FloatArray
    """Soft labels of the others, shape (n_rows, n_labels)."""
    predicted: FloatArray
    """The one listener's choice as certainty, shape (n_rows, n_labels)."""
    weights: FloatArray
    """Share of the utterance's listeners who chose that label, shape (n_rows,)."""
    utterance: IntArray
    """Row of ``votes`` that each row comes from, shape (n_rows,)."""
    n_excluded: int
    """Utterances with fewer than two votes, where nobody is left to compare with."""


def human_rater(votes: FloatArray) -> HumanRater:
    """Expected agreement of one listener with the others, by leaving each vote out in turn.

    Args:
        votes: counts of votes within the label set, shape (n_utterances, n_labels).

    Raises:
        ValueError: the votes are shares and no counts; one vote of a share cannot be left out.

    >>> rater = human_rater(np.array([[2.0, 1.0], [1.0, 0.0]]))
    >>> rater.gold.tolist(), rater.weights.round(2).tolist(), rater.n_excluded
    ([[0.5, 0.5], [1.0, 0.0]], [0.67, 0.33], 1)
    """
    if (votes != np.rint(votes)).any():
        raise ValueError("leaving one vote out needs counts of votes, got shares")
    n_votes = votes.sum(axis=1)
    usable = n_votes >= 2
    utterance, label = np.nonzero((votes > 0) & usable[:, None])
    predicted = one_hot(label, n_labels=votes.shape[1])
    total = n_votes[utterance]
    return HumanRater(
        gold=(votes[utterance] - predicted) / (total - 1)[:, None],
        predicted=predicted,
        weights=votes[utterance, label] / total,
        utterance=utterance,
        n_excluded=int((~usable).sum()),
    )
