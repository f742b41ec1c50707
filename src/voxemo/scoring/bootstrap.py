"""Confidence intervals: whole speakers are resampled, through their totals and never through rows.

A speaker's utterances are alike, so resampling utterances would make intervals too narrow. Every score is a function of
totals (confusion counts, sums of row values). A resample is therefore a row of weights, one for each speaker, times the
table of per-speaker totals: one matrix product for all resamples.

The weights are random fractions above 0 (the Bayesian bootstrap: Rubin, Annals of Statistics 9, 1981) and not counts of
draws with replacement. Drawing leaves a third of the speakers out of every resample, and with them whole classes that
only they hold; macro F1 then counts such a class as 0 and UA averages over fewer, so that a value could lie outside its
own interval. With weights every resample holds every class and label that the fold holds (decision 3).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from voxemo.scoring.arrays import TOLERANCE, FloatArray, IntArray

MIN_SPEAKERS = 5
"""With fewer speakers utterances are resampled, and the score says so."""

_MANY_UNITS = 1000
"""From here on the small-sample shape would widen an interval by less than 0.1 %; shape 1 is drawn much faster."""

_LEAST_SHAPE = 1 / 3
"""That of three units: two would have 0, where all the weight falls on one of them and a class can be lost again."""

_BLOCK_CELLS = 4_000_000
"""Weights held at once: 32 MB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """What the bootstrap draws: the unit that each row belongs to."""

    kind: Literal["speaker", "utterance"]
    codes: IntArray
    """Unit number of each row, shape (n_rows,), 0 to n_units - 1."""
    n_units: int


def resampling_units(*, speakers: npt.NDArray[Any], utterances: npt.NDArray[Any]) -> Units:
    """Choose speakers as the units, or utterances where fewer than ``MIN_SPEAKERS`` are known.

    Args:
        speakers: speaker id of each row, shape (n_rows,), None where not known. An utterance of an unknown speaker
            among known ones is a unit of its own.
        utterances: utterance id of each row, shape (n_rows,).

    >>> resampling_units(speakers=np.array(["a", "b", "a"], object), utterances=np.arange(3)).kind
    'utterance'
    """
    known = np.array([name is not None for name in speakers], dtype=bool)
    named, n_named = _codes(speakers[known])
    if n_named < MIN_SPEAKERS:
        codes, n_units = _codes(utterances)
        return Units(kind="utterance", codes=codes, n_units=n_units)
    stray, n_stray = _codes(utterances[~known])
    codes = np.empty(len(speakers), dtype=np.int64)
    codes[known] = named
    codes[~known] = n_named + stray
    return Units(kind="speaker", codes=codes, n_units=n_named + n_stray)


def _codes(names: npt.NDArray[Any]) -> tuple[IntArray, int]:
    """Number the different names in sorted order: code of each, and how many there are."""
    comparable = names.astype(str) if names.dtype == object else names
    different, codes = np.unique(comparable, return_inverse=True)
    return codes.astype(np.int64), len(different)


def resample_totals(statistics: FloatArray, *, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Totals of resamples that each weigh all units anew, at random.

    The weights of a resample are above 0, sum to the number of units and are symmetric Dirichlet distributed. With
    their shape of 1 - 2 / n_units, the variance of a resampled mean of unit values is the unbiased estimate of that
    mean's own variance. Shape 1, and counts of draws with replacement, give less over few units.

    Args:
        statistics: totals of each unit, shape (n_units, n_statistics).
        resamples: how many.
        rng: source of the weights.

    Returns:
        Totals of each resample, shape (resamples, n_statistics); zeros when there is no unit.
    """
    totals = np.zeros((resamples, statistics.shape[1]))
    if not len(statistics):
        return totals
    different, n_alike = _merge_alike(statistics)
    for rows, weights in resample_weights(n_alike, resamples=resamples, rng=rng):
        totals[rows] = weights @ different
    return totals


def weight_shape(n_units: int) -> float:
    """Shape of the gamma distribution that the weights of so many units are drawn from."""
    return 1.0 if n_units >= _MANY_UNITS else max(1 - 2 / n_units, _LEAST_SHAPE)


def resample_weights(
    n_alike: IntArray, *, resamples: int, rng: np.random.Generator
) -> Iterator[tuple[slice, FloatArray]]:
    """The weights of ``resample_totals``, a block of resamples at a time.

    Args:
        n_alike: how many units each column stands for, shape (n_columns,); 1 each where every unit has its own.
        resamples: how many.
        rng: source of the weights.

    Yields:
        Which resamples, and their weights, shape (n_resamples, n_columns); each row sums to the number of units.
    """
    n_units = int(n_alike.sum())
    if not n_units:
        return
    shape = weight_shape(n_units)
    block = max(1, _BLOCK_CELLS // len(n_alike))
    for start in range(0, resamples, block):
        # A sum of k gamma variables of one shape is a gamma variable of k times that shape: one draw for k alike units.
        weights = rng.standard_gamma(n_alike * shape, size=(min(block, resamples - start), len(n_alike)))
        weights *= n_units / weights.sum(axis=1, keepdims=True)
        yield slice(start, start + len(weights)), weights


def _merge_alike(statistics: FloatArray) -> tuple[FloatArray, IntArray]:
    """Rows that differ, in the order of their first units, and how many units have each.

    Single utterances have few different hard answers: a hundred thousand of them are drawn as a few dozen.
    """
    row_bytes = np.dtype((np.void, statistics.itemsize * statistics.shape[1]))
    as_bytes = np.ascontiguousarray(statistics).view(row_bytes).ravel()
    _, first, n_alike = np.unique(as_bytes, return_index=True, return_counts=True)
    # In the order of the units, so that two systems whose units all differ get the same weights from one seed.
    order = np.argsort(first)
    return statistics[first[order]], n_alike[order].astype(np.int64)


def percentile_interval(draws: FloatArray, *, value: float, level: float) -> tuple[float, float]:
    """Percentile interval of resampled values around the value itself, which always lies inside.

    Where speakers are few and unequal, resamples of a score that is no mean (macro F1) lie on one side of it, and the
    more so in a mean over folds. The percentiles are shifted by the distance from the median of the resamples to the
    value, but not beyond the outermost resample, which keeps them in the metric's range.

    Args:
        draws: resampled values, shape (resamples,). Those that are NaN, as a plugin's metric may be, are left out.
        value: the score of the whole.
        level: coverage, 0 to 1.

    Returns:
        Both ends; NaN for both when no resample is left.

    >>> percentile_interval(np.array([0.2, 0.4, 0.6]), value=0.5, level=0.5)
    (0.4, 0.6)
    """
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return np.nan, np.nan
    low, median, high = np.quantile(defined, [(1 - level) / 2, 0.5, (1 + level) / 2])
    low, high = max(value + (low - median), defined.min()), min(value + (high - median), defined.max())
    # Weighted totals round: where nothing varies, the ends may lie a rounding step off the value, on either side of it.
    return float(low) if low < value - TOLERANCE else value, float(high) if high > value + TOLERANCE else value
