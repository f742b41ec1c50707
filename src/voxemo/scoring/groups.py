"""Scores of parts of the utterances: those of one gender, one age, one language, of clear or of ambiguous emotion.

A group is scored as a test partition of its own would be, pooled over folds: its own units are resampled, chosen by the
same rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import TOLERANCE, BoolArray, FloatArray, IntArray
from voxemo.scoring.bootstrap import percentile_interval, resample_totals, resampling_units
from voxemo.scoring.folds import HardFold, Ids, SoftFold
from voxemo.scoring.hard import FAILED
from voxemo.scoring.table import HARD_KINDS, Metric
from voxemo.scoring.totals import Scorer, hard_scorer, soft_scorer

NO_GROUP = -1
"""Group number of an utterance whose group is not known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grouping:
    """Utterances divided into groups, and each group's own units of resampling."""

    names: tuple[str, ...]
    groups: IntArray
    """Group number of each utterance, shape (n_utterances,), or ``NO_GROUP``."""
    units: IntArray
    """Unit number of each utterance, shape (n_utterances,); a unit lies in one group. Utterances of no group share the
    last number, ``n_units``."""
    unit_groups: IntArray
    """Group number of each unit, shape (n_units,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScore:
    """One number about one group. NaN where it is not defined, or an interval where nothing can vary."""

    group: str
    metric: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    """Utterances of the group, answered or not."""
    n_failed: int


def divide(groups: IntArray, *, names: Sequence[str], speakers: Ids, utterances: Ids) -> Grouping:
    """Divide utterances into groups, and choose what each group's intervals resample.

    As everywhere that is speakers, or utterances in a group of fewer than five known ones.

    Args:
        groups: group number of each utterance, shape (n_utterances,), or ``NO_GROUP``.
        names: of the groups, in their order.
        speakers: speaker ids, shape (n_utterances,), None where not known.
        utterances: utterance ids, shape (n_utterances,).
    """
    units = np.zeros(len(groups), dtype=np.int64)
    unit_groups: list[IntArray] = []
    n_units = 0
    for number in range(len(names)):
        rows = groups == number
        own = resampling_units(speakers=speakers[rows], utterances=utterances[rows])
        units[rows] = n_units + own.codes
        unit_groups.append(np.full(own.n_units, number))
        n_units += own.n_units
    units[groups == NO_GROUP] = n_units
    return Grouping(
        names=tuple(names),
        groups=groups,
        units=units,
        unit_groups=np.concatenate([np.zeros(0, dtype=np.int64), *unit_groups]),
    )


def score_groups(
    folds: Sequence[HardFold] | Sequence[SoftFold],
    grouping: Grouping,
    rows: Sequence[IntArray],
    *,
    label_names: Sequence[str],
    metrics: Sequence[Metric],
    policy: FailurePolicy,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> list[GroupScore]:
    """Scores of one system on every group, pooled over folds.

    A group of all utterances has the pooled scores of ``score_hard`` and ``score_soft``.

    Args:
        folds: the system's answers, all hard or all distributions.
        grouping: the groups.
        rows: utterance number in the grouping of each row of each fold, each of shape (n_rows,).
        label_names: the label set, in order.
        metrics: metrics of one value each, all for hard answers or all for distributions, as the folds are.
        policy: what a failed answer is worth.
        resamples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the bootstrap; same inputs, same bytes.
        level: coverage of the intervals, 0 to 1.

    Returns:
        Group by group in the order of the grouping, in each the metrics in the order given; groups that the system was
        not tested on are left out.
    """
    scorer = _scorer(folds, label_names=label_names, metrics=metrics, policy=policy)
    if not rows:
        return []
    # Utterances of no group are collected in a unit of their own, which no group has.
    n_units = len(grouping.unit_groups) + 1
    of_folds = [collect(grouping.units[own], n_units) for collect, own in zip(scorer.collect, rows, strict=True)]
    totals = np.sum(of_folds, axis=0)[:-1]
    groups = np.concatenate([grouping.groups[own] for own in rows])
    failed = np.concatenate([_failed(fold) for fold in folds])

    scores = []
    for number, name in enumerate(grouping.names):
        n, n_failed = int((groups == number).sum()), int((failed & (groups == number)).sum())
        if not n:
            continue
        of_group = totals[grouping.unit_groups == number]
        # Units that this system has no answers from, in a run that is not finished, are nothing to resample.
        of_group = of_group[of_group.any(axis=1)]
        values = scorer.read(of_group.sum(axis=0), policy)
        varies = resamples > 0 and len(of_group) > 1
        drawn = resample_totals(of_group, resamples=resamples if varies else 0, rng=np.random.default_rng([seed, 0]))
        draws = scorer.read(drawn, policy)
        for metric in metrics:
            value = float(values[metric.name, None])
            # A metric that is not defined has no interval either, and neither has what cannot vary.
            of_value = draws[metric.name, None] if not np.isnan(value) else np.zeros(0)
            low, high = percentile_interval(of_value, value=value, level=level)
            scores.append(
                GroupScore(
                    group=name, metric=metric.name, value=value, ci_low=low, ci_high=high, n=n, n_failed=n_failed
                )
            )
    return scores


def _scorer(
    folds: Sequence[HardFold] | Sequence[SoftFold],
    *,
    label_names: Sequence[str],
    metrics: Sequence[Metric],
    policy: FailurePolicy,
) -> Scorer:
    hard = [fold for fold in folds if isinstance(fold, HardFold)]
    soft = [fold for fold in folds if isinstance(fold, SoftFold)]
    if not soft and all(metric.kind in HARD_KINDS for metric in metrics):
        return hard_scorer(hard, label_names=label_names, metrics=metrics)
    if not hard and not any(metric.kind in HARD_KINDS for metric in metrics):
        return soft_scorer(soft, None, label_names=label_names, policies=[policy], metrics=metrics)
    raise ValueError(
        f"metrics {[metric.name for metric in metrics]} do not fit {len(hard)} hard folds and {len(soft)} soft ones"
    )


def _failed(fold: HardFold | SoftFold) -> BoolArray:
    return fold.failed if isinstance(fold, SoftFold) else np.asarray(fold.predicted == FAILED)


# --- bins of shares ----------------------------------------------------------------------------------------------


def bin_numbers(shares: FloatArray, *, n_bins: int) -> IntArray:
    """Number of the bin that each share lies in; an edge belongs to the bin below it, and 0 to the first.

    So certainty (1.0) shares the last bin with no round share of votes below it, and bins are those of the usual
    calibration error (Guo et al., ICML 2017).

    Args:
        shares: 0 to 1, of any shape.
        n_bins: bins of equal width over 0 to 1.

    >>> bin_numbers(np.array([0.0, 0.4, 0.41, 1.0]), n_bins=5).tolist()
    [0, 1, 2, 4]
    """
    # 3 of 5 votes are 0.6, and three times 0.2 are a rounding step more.
    return np.clip(np.ceil(shares * n_bins - TOLERANCE).astype(np.int64) - 1, 0, n_bins - 1)


def bin_names(n_bins: int) -> tuple[str, ...]:
    """Names of up to ten bins of equal width over 0 to 1, by their edges.

    >>> bin_names(5)
    ('0.0-0.2', '0.2-0.4', '0.4-0.6', '0.6-0.8', '0.8-1.0')
    """
    return tuple(f"{number / n_bins:.1f}-{(number + 1) / n_bins:.1f}" for number in range(n_bins))
