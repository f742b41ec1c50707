"""Confidence intervals: whole speakers are resampled, through their totals and never through rows.

A speaker's utterances are alike, so resampling utterances would make intervals too narrow. Every score is a function of
totals (confusion counts, sums of row values). A resample is therefore a row of counts, how often each speaker was
drawn, times the table of per-speaker totals: one matrix product for all resamples.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from voxemo.scoring.arrays import FloatArray, IntArray

MIN_SPEAKERS = 5
"""With fewer speakers utterances are resampled, and the score says so."""

_BLOCK_CELLS = 4_000_000
"""Counts held at once: 32 MB."""


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
    """Totals of resamples that each draw as many units as there are, with replacement.

    Args:
        statistics: totals of each unit, shape (n_units, n_statistics).
        resamples: how many.
        rng: source of the draws.

    Returns:
        Totals of each resample, shape (resamples, n_statistics); zeros when there is no unit.
    """
    n_units = len(statistics)
    totals = np.zeros((resamples, statistics.shape[1]))
    if n_units == 0:
        return totals
    block = max(1, _BLOCK_CELLS // n_units)
    for start in range(0, resamples, block):
        n_draws = min(block, resamples - start)
        drawn = rng.integers(n_units, size=(n_draws, n_units))
        drawn += np.arange(n_draws)[:, None] * n_units
        counts = np.bincount(drawn.ravel(), minlength=n_draws * n_units).reshape(n_draws, n_units)
        totals[start : start + n_draws] = counts.astype(np.float64) @ statistics
    return totals


def percentile_interval(values: FloatArray, *, level: float) -> tuple[float, float]:
    """Percentile interval of resampled values, shape (resamples,).

    Resamples without a value (NaN, as when no utterance of a class was drawn) are left out; NaN for both ends when
    none is left.
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
