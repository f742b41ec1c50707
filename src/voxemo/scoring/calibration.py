"""How far the probability that a system gives to its answer is the chance that the answer is right."""

from dataclasses import dataclass

import numpy as np

from voxemo.scoring.arrays import BoolArray, FloatArray, IntArray, first_top, ratio
from voxemo.scoring.bootstrap import MIN_SPEAKERS, percentile_interval, resample_totals
from voxemo.scoring.groups import bin_names, bin_numbers

ALL = "all"
"""Every answer together, beside the bins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationScore:
    """One number about the answers of one bin, or about all. An interval is NaN where too few units can vary."""

    group: str
    """A bin of the confidence, as ``0.8-0.9``, or ``all``."""
    metric: str
    """``confidence`` and ``accuracy`` (means over the group), and of ``all`` the expected calibration error ``ece``."""
    value: float
    ci_low: float
    ci_high: float
    n: int


def confidences(predicted: FloatArray, gold: IntArray) -> tuple[FloatArray, BoolArray]:
    """Probability given to the likeliest label, and whether that label is the true one.

    Args:
        predicted: distributions, shape (n_utterances, n_labels); ties go to the first label, as in the scores.
        gold: true label numbers, shape (n_utterances,).

    Returns:
        Two arrays of shape (n_utterances,).
    """
    return predicted.max(axis=1, initial=0.0), first_top(predicted) == gold


def calibration(
    confidence: FloatArray,
    correct: BoolArray,
    units: IntArray,
    *,
    n_bins: int = 10,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> list[CalibrationScore]:
    """Mean confidence and accuracy of each bin of confidence, and the expected calibration error.

    ECE = sum over bins of |accuracy - confidence| times the bin's share of the answers, 0 to 1, lower is better (Guo et
    al., ICML 2017). All bins are resampled together; a bin that fewer than five units reach has no interval. ECE is
    above 0 by chance alone where answers are few, and its interval is no test of perfect calibration.

    Args:
        confidence: probability of the answer, shape (n_utterances,), 0 to 1.
        correct: whether it is right, shape (n_utterances,).
        units: unit number of each utterance (a speaker), shape (n_utterances,), 0 or more.
        n_bins: bins of equal width over 0 to 1.
        resamples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the bootstrap; same inputs, same bytes.
        level: coverage of the intervals, 0 to 1.

    Returns:
        Bins that hold an answer, from the lowest, then ``all``; nothing when there is no answer.
    """
    if not len(confidence):
        return []
    _, codes = np.unique(units, return_inverse=True)
    n_units = int(codes.max()) + 1
    cells = codes * n_bins + bin_numbers(confidence, n_bins=n_bins)
    columns = (None, confidence, correct.astype(np.float64))
    sums = [np.bincount(cells, weights=column, minlength=n_units * n_bins) for column in columns]
    statistics = np.hstack([each.reshape(n_units, n_bins) for each in sums]).astype(np.float64)

    of_bins, of_all = _read(statistics.sum(axis=0), n_bins)
    drawn = resample_totals(statistics, resamples=resamples, rng=np.random.default_rng([seed, 0]))
    bins_drawn, all_drawn = _read(drawn, n_bins)
    n = statistics[:, :n_bins].sum(axis=0).astype(np.int64)
    reached = (statistics[:, :n_bins] > 0).sum(axis=0)

    def score(group: str, metric: str, value: FloatArray, drawn: FloatArray, n: int, n_units: int) -> CalibrationScore:
        varies = resamples > 0 and n_units >= MIN_SPEAKERS
        low, high = percentile_interval(drawn, value=float(value), level=level) if varies else (np.nan, np.nan)
        return CalibrationScore(group=group, metric=metric, value=float(value), ci_low=low, ci_high=high, n=n)

    scores = [
        score(name, metric, value[b], bins_drawn[metric][:, b], int(n[b]), int(reached[b]))
        for b, name in enumerate(bin_names(n_bins))
        if n[b]
        for metric, value in of_bins.items()
    ]
    return scores + [
        score(ALL, metric, value, all_drawn[metric], len(confidence), n_units) for metric, value in of_all.items()
    ]


def _read(totals: FloatArray, n_bins: int) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Values of each bin, shape (..., n_bins), and of all bins together, shape (...).

    From counts, sums of confidence and hits of each bin, side by side.
    """
    n, confidence, hits = np.split(totals, [n_bins, 2 * n_bins], axis=-1)
    n_all = n.sum(axis=-1)
    of_bins = {"confidence": ratio(confidence, n), "accuracy": ratio(hits, n)}
    of_all = {
        "confidence": ratio(confidence.sum(axis=-1), n_all),
        "accuracy": ratio(hits.sum(axis=-1), n_all),
        "ece": ratio(np.abs(hits - confidence).sum(axis=-1), n_all),
    }
    return of_bins, of_all
