"""Soft-label metrics: a predicted distribution against the votes of the listeners (paper, sec. 3.4).

Gold and predicted arrays have shape (n_utterances, n_labels) and rows that sum to 1. Row metrics return one value per
utterance; the score is their mean. The F1 scores compare label sets and are read from counts over all utterances.
"""

import numpy as np

from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import TOLERANCE, BoolArray, FloatArray, first_top, one_hot, ratio, tops, uniform

KLD_FLOOR = 1e-10
"""The paper does not print its floor; values near 10 show that it is tiny (PROTOCOL section 7)."""


def _dot(one: FloatArray, other: FloatArray) -> FloatArray:
    """Inner product of each pair of rows."""
    return np.asarray(np.einsum("...c,...c->...", one, other))


def _relative_entropy(gold: FloatArray, predicted: FloatArray) -> FloatArray:
    """Sum of gold * ln(gold / predicted) per row, with 0 where gold is 0."""
    # Halving a subnormal gold gives a predicted 0; such a label weighs nothing.
    present = (gold > 0) & (predicted > 0)
    logs = np.zeros(np.broadcast_shapes(gold.shape, predicted.shape))
    np.divide(gold, predicted, out=logs, where=present)
    np.log(logs, out=logs, where=present)
    return _dot(gold, logs)


def kullback_leibler(gold: FloatArray, predicted: FloatArray, *, floor: float = KLD_FLOOR) -> FloatArray:
    """Kullback-Leibler divergence from each prediction to its gold row, natural log; 0 is best, lower is better.

    The prediction is raised to the floor and renormalised. The floor decides the value wherever a prediction denies a
    label that listeners chose, so it belongs beside every number: a certain and wrong answer costs about -ln(floor).

    >>> kullback_leibler(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).round(4).tolist()
    [0.6931]
    """
    raised = np.maximum(predicted, floor)
    # With a gold row that sums to 1, dividing the prediction by its sum adds the sum's logarithm.
    divergence = _relative_entropy(gold, raised) + np.log(raised.sum(axis=-1)) * gold.sum(axis=-1)
    return np.asarray(np.maximum(divergence, 0.0))


def jensen_shannon(gold: FloatArray, predicted: FloatArray) -> FloatArray:
    """Jensen-Shannon divergence of each row, natural log, 0 to ln 2; lower is better. Not its square root.

    >>> jensen_shannon(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])).round(4).tolist()
    [0.6931]
    """
    middle = (gold + predicted) / 2
    divergence = (_relative_entropy(gold, middle) + _relative_entropy(predicted, middle)) / 2
    return np.asarray(np.clip(divergence, 0.0, np.log(2)))


def total_variation(gold: FloatArray, predicted: FloatArray) -> FloatArray:
    """Total variation distance of each row: half the summed absolute difference, 0 to 1; lower is better."""
    return np.asarray(np.abs(gold - predicted).sum(axis=-1) / 2)


def cosine_similarity(gold: FloatArray, predicted: FloatArray) -> FloatArray:
    """Cosine of the angle between each pair of rows, 0 to 1; higher is better. Reports print it times 100."""
    lengths = np.sqrt(_dot(gold, gold) * _dot(predicted, predicted))
    return np.asarray(np.minimum(ratio(_dot(gold, predicted), lengths), 1.0))


def mean_squared_error(gold: FloatArray, predicted: FloatArray) -> FloatArray:
    """Squared difference of each row, averaged over the labels, 0 to 2 / n_labels; lower is better."""
    difference = gold - predicted
    return np.asarray(_dot(difference, difference) / gold.shape[-1])


def top1(gold: FloatArray, predicted: FloatArray) -> FloatArray:
    """1 where both rows have the same most likely label, else 0; ties on either side go to the first label."""
    return np.asarray(first_top(gold) == first_top(predicted), dtype=np.float64)


def top1_tie_aware(gold: FloatArray, predicted: FloatArray) -> FloatArray:
    """Chance that both rows have the same most likely label if every tie were broken at random, 0 to 1.

    With one top label predicted among k top labels of the listeners that is a credit of 1/k. A uniform prediction gets
    1 / n_labels whatever the truth.

    >>> top1_tie_aware(np.array([[0.4, 0.4, 0.2]]), np.array([[0.0, 1.0, 0.0]])).tolist()
    [0.5]
    """
    gold_tops, predicted_tops = tops(gold), tops(predicted)
    shared = (gold_tops & predicted_tops).sum(axis=-1)
    return np.asarray(shared / (gold_tops.sum(axis=-1) * predicted_tops.sum(axis=-1)))


# --- label sets --------------------------------------------------------------------------------------------------


def label_sets(distributions: FloatArray) -> BoolArray:
    """Mark the labels that are likelier than chance: strictly above 1 / n_labels. A uniform row has an empty set.

    >>> label_sets(np.array([[0.2, 0.4, 0.4, 0.0]])).tolist()
    [[False, True, True, False]]
    """
    # Strictly above needs a tolerance: a uniform row computed in floats can exceed 1/C by one rounding step.
    return np.asarray(distributions > 1.0 / distributions.shape[-1] + TOLERANCE)


def set_outcomes(gold: FloatArray, predicted: FloatArray) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Hits, false alarms and misses of each label in each utterance's label set, each of the shape of ``gold``."""
    truth, answer = label_sets(gold), label_sets(predicted)
    return truth & answer, ~truth & answer, truth & ~answer


def macro_f1_of_sets(hits: FloatArray, false_alarms: FloatArray, misses: FloatArray) -> FloatArray:
    """Mean F1 over every label, from counts of shape (..., n_labels); a label in no set at all has 0."""
    return np.asarray(ratio(2 * hits, 2 * hits + false_alarms + misses, otherwise=0.0).mean(axis=-1))


def micro_f1_of_sets(hits: FloatArray, false_alarms: FloatArray, misses: FloatArray) -> FloatArray:
    """F1 of the counts summed over labels, shape (..., n_labels) to (...); 0 where every set is empty."""
    total = (2 * hits + false_alarms + misses).sum(axis=-1)
    return ratio(2 * hits.sum(axis=-1), total, otherwise=0.0)


# --- failed answers ----------------------------------------------------------------------------------------------


def settle_failures(
    gold: FloatArray, predicted: FloatArray, failed: BoolArray, policy: FailurePolicy
) -> tuple[FloatArray, BoolArray]:
    """Decide what a failed distribution is worth.

    Args:
        gold: soft labels, shape (n_utterances, n_labels).
        predicted: distributions of the same shape; rows of failed answers may hold anything.
        failed: which answers failed, shape (n_utterances,).
        policy: ``uniform`` reads a failure as the uniform distribution, as the paper does. ``excluded`` leaves it out.
            ``wrong`` reads it as certainty in the label that listeners chose least, the first of several (ours: the
            paper has no such convention for distributions).

    Returns:
        Predictions without failures, and which utterances count, shape (n_utterances,).
    """
    if not failed.any():
        return predicted, ~failed
    n_labels = gold.shape[-1]
    stand_in = one_hot(first_top(-gold), n_labels=n_labels) if policy == "wrong" else uniform(n_labels)
    counted = ~failed if policy == "excluded" else np.ones_like(failed)
    return np.where(failed[:, None], stand_in, predicted), counted
