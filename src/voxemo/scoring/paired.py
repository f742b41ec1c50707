"""Many systems on the same utterances, resampled together, so that any two can be compared.

One matrix of weights serves every system: all weigh the same speakers the same, and what makes a speaker easy or hard
for all of them cancels in their differences.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from voxemo.scoring.arrays import FloatArray, IntArray, ratio
from voxemo.scoring.bootstrap import percentile_interval, resample_weights
from voxemo.scoring.hard import Margins
from voxemo.scoring.multiplicity import holm
from voxemo.scoring.significance import Precision, difference_p, precision
from voxemo.scoring.table import METRICS

PAIRED_METRICS = tuple(name for name, metric in METRICS.items() if metric.kind == "confusion")
"""Names of the metrics that systems are compared in: those of hard answers that have one value."""

PAIRED_MEANS = ("jsd",)
"""Names of the metrics that systems of distributions are compared in: means over utterances, kept as sums by unit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SystemCounts:
    """Hard answers of several systems, counted by unit (a speaker, an utterance), pooled over folds."""

    hits: FloatArray
    """Correct answers, shape (n_units, n_systems, n_labels)."""
    predicted: FloatArray
    """Answers per predicted label, of the same shape; failed answers predict none."""
    truths: FloatArray
    """Utterances per true label, shape (n_units, n_truths, n_labels); all systems that were tested on the same share
    one."""
    truth_of: IntArray
    """Which truth each system was tested on, shape (n_systems,)."""

    @property
    def n_units(self) -> int:
        """Units that are resampled."""
        return len(self.hits)

    @property
    def parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Hits, predicted and truths."""
        return self.hits, self.predicted, self.truths


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SystemSums:
    """One metric of several systems' distributions, summed by unit (a speaker, an utterance), pooled over folds."""

    sums: FloatArray
    """Values of a unit's utterances, added up; shape (n_units, n_systems)."""
    n: FloatArray
    """Utterances of each unit, of the same shape; 0 where a system has none of them."""

    @property
    def n_units(self) -> int:
        """Units that are resampled."""
        return len(self.sums)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedScores:
    """Scores of several systems, and their resamples under the same weights."""

    values: FloatArray
    """Shape (n_systems,), pooled over folds; NaN where not defined."""
    draws: FloatArray
    """Shape (resamples, n_systems)."""
    n_units: int
    precision: Precision
    """Of the units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """How far one system is from another. NaN where it is not defined, or where nothing can vary."""

    system: int
    value: float
    """Pooled score of the system minus that of the other."""
    ci_low: float
    ci_high: float
    p: float
    """Two-sided, of this comparison alone."""
    p_holm: float
    """Adjusted for all the comparisons that were made together."""


def paired_scores(
    counts: SystemCounts, metrics: Sequence[str], *, resamples: int = 1000, seed: int | Sequence[int] = 0
) -> dict[str, PairedScores]:
    """Scores of all systems with resamples that weigh the same units the same, failed answers counted as wrong.

    Args:
        counts: of the systems.
        metrics: names out of ``PAIRED_METRICS``.
        resamples: bootstrap resamples.
        seed: of the bootstrap; same inputs, same bytes.
    """
    whole, drawn = (
        _margins(totals, counts) for totals in _totals(counts.parts, counts.n_units, resamples=resamples, seed=seed)
    )
    sizes = counts.truths[:, counts.truth_of].sum(axis=(1, 2))
    return {
        name: PairedScores(
            values=METRICS[name].compute(whole),
            draws=METRICS[name].compute(drawn),
            n_units=counts.n_units,
            precision=precision(sizes),
        )
        for name in metrics
    }


def paired_means(sums: SystemSums, *, resamples: int = 1000, seed: int | Sequence[int] = 0) -> PairedScores:
    """Means over utterances of all systems, with resamples that weigh the same units the same.

    What the sums are of decides which means are better: lower ones of a divergence.

    Args:
        sums: of the systems.
        resamples: bootstrap resamples.
        seed: of the bootstrap; same inputs, same bytes.
    """
    whole, drawn = _totals((sums.sums, sums.n), sums.n_units, resamples=resamples, seed=seed)
    return PairedScores(
        values=ratio(*whole), draws=ratio(*drawn), n_units=sums.n_units, precision=precision(sums.n.sum(axis=1))
    )


def _totals(
    parts: Sequence[FloatArray], n_units: int, *, resamples: int, seed: int | Sequence[int]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Parts of shape (n_units, ...) added up over the units: as they are, and under one weight matrix for all.

    Returns:
        Totals of shape (...) of each part, and of shape (resamples, ...).
    """
    drawn = [np.zeros((resamples, *part.shape[1:])) for part in parts]
    rng = np.random.default_rng(seed)
    for rows, weights in resample_weights(np.ones(n_units, dtype=np.int64), resamples=resamples, rng=rng):
        for part, totals in zip(parts, drawn, strict=True):
            totals[rows] = (weights @ part.reshape(n_units, -1)).reshape(-1, *part.shape[1:])
    return [part.sum(axis=0) for part in parts], drawn


def _margins(totals: Sequence[FloatArray], counts: SystemCounts) -> Margins:
    """Totals of shape (..., n_systems or n_truths, n_labels) as margins of shape (..., n_systems, n_labels)."""
    hits, predicted, truths = totals
    return Margins(hits=hits, predicted=predicted, true=truths[..., counts.truth_of, :])


def paired_differences(scores: PairedScores, *, against: int, level: float = 0.95) -> list[PairedDifference]:
    """Difference of every other system from one, with intervals, and p-values corrected for being several.

    The p-values of this call are one family (Holm). Where ``against`` is the best system of the same data, it is best
    partly by luck, so that a difference from it is found a little too often.

    Args:
        scores: of all systems.
        against: number of the system that the others are compared with.
        level: coverage of each single interval, 0 to 1.

    Returns:
        In the order of the systems, without ``against``.
    """
    found = list(_differences(scores, against, level))
    p_values = np.array([one.p for one in found])
    defined = ~np.isnan(p_values)
    adjusted = np.full(len(found), np.nan)
    adjusted[defined] = holm(p_values[defined])
    return [
        PairedDifference(
            system=one.system, value=one.value, ci_low=one.ci_low, ci_high=one.ci_high, p=one.p, p_holm=float(corrected)
        )
        for one, corrected in zip(found, adjusted, strict=True)
    ]


def _differences(scores: PairedScores, against: int, level: float) -> Iterator[PairedDifference]:
    for system, own in enumerate(scores.values):
        if system == against:
            continue
        value = float(own - scores.values[against])
        draws = scores.draws[:, system] - scores.draws[:, against]
        p = difference_p(draws, value=value, precision=scores.precision) if scores.n_units > 1 else np.nan
        low, high = (np.nan, np.nan) if np.isnan(p) else percentile_interval(draws, value=value, level=level)
        yield PairedDifference(system=system, value=value, ci_low=low, ci_high=high, p=p, p_holm=np.nan)
