"""Ranks of systems, and how far they move when other speakers are drawn."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxemo.scoring.arrays import TOLERANCE, FloatArray


@dataclass(frozen=True, slots=True)
class RankInterval:
    """The rank of one system, 1 the best, and the best and worst rank in the chosen share of the resamples."""

    rank: int
    low: int
    high: int


def rank_intervals(
    values: FloatArray, draws: FloatArray, *, direction: Literal["higher", "lower"], level: float = 0.95
) -> list[RankInterval]:
    """Ranks of systems with intervals from resamples that weigh the same units the same for all of them.

    Equal systems share the better rank. Resamples are moved so that their mean lies at the value, as intervals of
    scores are: a score that is no mean falls a little in most resamples.

    Args:
        values: scores, shape (n_systems,), all defined.
        draws: resampled scores, shape (resamples, n_systems).
        direction: which values are better.
        level: coverage, 0 to 1.

    >>> rank_intervals(np.array([0.5, 0.9]), np.array([[0.5, 0.9], [0.6, 0.8]]), direction="higher")
    [RankInterval(rank=2, low=2, high=2), RankInterval(rank=1, low=1, high=1)]
    """
    sign = 1.0 if direction == "higher" else -1.0
    own = sign * values
    moved = sign * (draws - draws.mean(axis=0) + values)
    tails = [(1 - level) / 2, (1 + level) / 2]
    found = []
    for system, value in enumerate(own):
        rank = 1 + int((own > value + TOLERANCE).sum())
        drawn = 1 + (moved > moved[:, [system]] + TOLERANCE).sum(axis=1)
        low, high = np.quantile(drawn, tails, method="inverted_cdf")
        found.append(RankInterval(rank, min(int(low), rank), max(int(high), rank)))
    return found
