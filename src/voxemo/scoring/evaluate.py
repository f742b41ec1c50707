"""Scores of one system on the folds of one test partition: values, intervals, and the difference of two systems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import FloatArray, IntArray, mean_of_defined
from voxemo.scoring.bootstrap import Units, percentile_interval, resample_totals, resampling_units
from voxemo.scoring.folds import AnyFold, AnyHardFold, HardFold, HardReference, SoftFold
from voxemo.scoring.significance import Precision, difference_p, precision, standard_error
from voxemo.scoring.table import HARD_KINDS, METRICS, SOFT_KINDS, Metric
from voxemo.scoring.totals import Key, Scorer, hard_scorer, soft_scorer

__all__ = [
    "MEAN",
    "POOLED",
    "Difference",
    "HardFold",
    "HardReference",
    "Score",
    "SideBySide",
    "SoftFold",
    "difference",
    "difference_of",
    "score_hard",
    "score_soft",
    "side_by_side",
]

MEAN = "mean"
POOLED = "pooled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number about one fold, the mean over folds, or the pooled folds. Fractions in 0 to 1."""

    fold_id: str
    """A fold's name, ``mean`` or ``pooled``."""
    class_label: str | None
    metric: str
    value: float | None
    """None where the metric is not defined, as on an empty partition."""
    ci_low: float | None
    ci_high: float | None
    ci_unit: str | None
    """``speaker`` or ``utterance``; both, for a mean over folds of both kinds; None without an interval."""
    n: int
    """Utterances with a gold label, answered or not."""
    n_failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Pooled scores of two systems, and how far apart they are."""

    value_a: float | None
    value_b: float | None
    value: float | None
    """a - b."""
    ci_low: float | None
    ci_high: float | None
    ci_unit: str | None
    """``speaker`` or ``utterance`` when both systems were resampled together, ``utterance, independent`` when not."""
    n_shared_units: int
    """Units that both systems were tested on."""
    n_units: int
    """Units that either was tested on."""
    standard_error: float | None
    """Of the difference (``significance.standard_error``)."""
    degrees: float | None
    """Degrees of freedom that ``p`` rests on; fewer than units where a few hold most utterances."""
    p: float | None
    """Two-sided p-value of this difference alone (``significance.difference_p``)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SideBySide:
    """Pooled scores of several systems on one corpus, and their resamples under the same weights."""

    values: FloatArray
    """Shape (n_systems,); NaN where not defined."""
    draws: FloatArray
    """Shape (resamples, n_systems)."""
    ci_unit: str
    """As in ``Difference``."""
    n_units: int
    """Units that any of them was tested on."""
    precision: Precision
    """Of these units."""
    n_shared_units: int
    """Units that all of them were tested on."""


# --- scores ------------------------------------------------------------------------------------------------------


def score_hard(
    folds: Sequence[AnyHardFold],
    *,
    label_names: Sequence[str],
    policies: Sequence[FailurePolicy],
    metrics: Mapping[str, Metric] = METRICS,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[FailurePolicy, list[Score]]:
    """Every hard-label score of one system under each policy: per fold, as mean and pooled, with intervals.

    Args:
        folds: the system's answers, one for each fold.
        label_names: the corpus's label set, in order.
        policies: what a failed answer is worth. One set of resamples serves all, so asking for several costs little.
        metrics: metrics by name; those for distributions are passed over.
        resamples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the bootstrap; same inputs, same bytes.
        level: coverage of the intervals, 0 to 1.

    Returns:
        By policy: fold by fold in the order given, then ``mean`` (folds resampled independently; folds where a metric
        is undefined are left out), then ``pooled`` (counts summed; a speaker found in several folds is resampled as
        one). In each the metrics come in their own order, then coverage and failure rate. A resample weighs every
        speaker, so it holds each class and label that the fold holds, and an interval always holds its value; one fold
        is its own mean and pool.

    Raises:
        ValueError: there is no fold, or a label number outside the label set.
    """
    chosen = [metric for metric in metrics.values() if metric.kind in HARD_KINDS]
    scorer = hard_scorer(folds, label_names=label_names, metrics=chosen)
    return _scores(scorer, policies=policies, resamples=resamples, seed=seed, level=level)


def score_soft(
    folds: Sequence[SoftFold],
    *,
    label_names: Sequence[str],
    policies: Sequence[FailurePolicy],
    prior: Sequence[SoftFold] | None = None,
    metrics: Mapping[str, Metric] = METRICS,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[FailurePolicy, list[Score]]:
    """Every soft-label score of one system under each policy: per fold, as mean and pooled, with intervals.

    Args:
        folds: the system's answers, one for each fold.
        label_names: the corpus's label set, in order.
        policies: what a failed answer is worth; ``uniform`` is the paper's.
        prior: the train prior on the same rows. With it, every metric that has a skill score gets one more row,
            ``<metric>_skill`` = 1 - d / d_prior: 1 is perfect, 0 no better than never listening.
        metrics: metrics by name; those for hard labels are passed over.
        resamples: bootstrap resamples; 0 leaves the intervals out.
        seed: of the bootstrap; same inputs, same bytes.
        level: coverage of the intervals, 0 to 1.

    Returns:
        As ``score_hard`` does; skill scores come after the metrics.

    Raises:
        ValueError: there is no fold, or the prior's rows are not those of the folds.
    """
    if prior is not None:
        _check_same_rows(folds, prior)
    chosen = [metric for metric in metrics.values() if metric.kind in SOFT_KINDS]
    scorer = soft_scorer(folds, prior, label_names=label_names, policies=policies, metrics=chosen)
    return _scores(scorer, policies=policies, resamples=resamples, seed=seed, level=level)


def _check_same_rows(folds: Sequence[SoftFold], prior: Sequence[SoftFold]) -> None:
    if len(folds) != len(prior):
        raise ValueError(f"the prior has {len(prior)} folds, the system {len(folds)}")
    for fold, guess in zip(folds, prior, strict=True):
        if not np.array_equal(fold.gold, guess.gold) or guess.failed.any():
            raise ValueError(
                f"fold {fold.fold_id}: the prior must answer exactly the rows of the system, and never fail"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Totals of one fold, or of the pooled folds."""

    units: Units
    statistics: FloatArray

    @property
    def ci_unit(self) -> str | None:
        """What its intervals resample; None with less than two units, where nothing can vary."""
        return self.units.kind if self.units.n_units > 1 else None


def _units(folds: Sequence[AnyFold]) -> Units:
    """Units of all rows of the folds together."""
    n_rows = sum(fold.n_rows for fold in folds)
    speakers = np.full(n_rows, None, dtype=object)
    # A fold without utterance ids has another utterance in each row; numbers keep them apart from other folds' names.
    utterances = np.arange(n_rows).astype(object)
    start = 0
    for fold in folds:
        rows = slice(start, start + fold.n_rows)
        if fold.speakers is not None:
            speakers[rows] = fold.speakers
        if fold.utterances is not None:
            utterances[rows] = [f"named {name}" for name in fold.utterances]
        start += fold.n_rows
    return resampling_units(speakers=speakers, utterances=utterances)


def _one_unit(n_rows: int) -> Units:
    # Naming a million rows takes longer than scoring them, and only resampling asks for the names.
    return Units(kind="utterance", codes=np.zeros(n_rows, dtype=np.int64), n_units=1)


def _scores(
    scorer: Scorer, *, policies: Sequence[FailurePolicy], resamples: int, seed: int, level: float
) -> dict[FailurePolicy, list[Score]]:
    if not scorer.folds:
        raise ValueError("a score needs at least one fold, got none")

    parts = []
    for fold, collect in zip(scorer.folds, scorer.collect, strict=True):
        units = _units([fold]) if resamples else _one_unit(fold.n_rows)
        parts.append(_Part(units=units, statistics=collect(units.codes, units.n_units)))
    if len(parts) > 1:
        units = _units(scorer.folds) if resamples else _one_unit(sum(fold.n_rows for fold in scorer.folds))
        parts.append(_pool(scorer.folds, parts, units))

    def draw(part: _Part, stream: int) -> FloatArray:
        # One stream for each fold, so that folds vary independently.
        rng = np.random.default_rng([seed, stream])
        return resample_totals(part.statistics, resamples=resamples, rng=rng)

    wholes = [part.statistics.sum(axis=0) for part in parts]
    drawn = [draw(part, stream % len(scorer.folds)) for stream, part in enumerate(parts)]
    ci_units = [part.ci_unit for part in parts]
    return {
        policy: _under_policy(
            scorer.folds,
            [scorer.read(whole, policy) for whole in wholes],
            [scorer.read(totals, policy) for totals in drawn],
            ci_units,
            level=level,
        )
        for policy in policies
    }


def _under_policy(
    folds: Sequence[AnyFold],
    values: Sequence[dict[Key, FloatArray]],
    draws: Sequence[dict[Key, FloatArray]],
    ci_units: Sequence[str | None],
    *,
    level: float,
) -> list[Score]:
    """Rows of the folds, their mean and their pool; the pool comes last in each, unless there is one fold."""
    n_folds = len(folds)
    scores = []
    for fold, value, draw, ci_unit in zip(folds, values, draws, ci_units, strict=False):
        scores += _rows(fold.fold_id, value, draw, ci_unit=ci_unit, n=fold.n, n_failed=fold.n_failed, level=level)
    if n_folds == 1:
        return scores + [replace(score, fold_id=fold_id) for fold_id in (MEAN, POOLED) for score in scores]
    n, n_failed = sum(fold.n for fold in folds), sum(fold.n_failed for fold in folds)
    mean_unit = " and ".join(sorted({unit for unit in ci_units[:n_folds] if unit is not None})) or None
    mean, mean_draws = _mean(values[:n_folds]), _mean(draws[:n_folds])
    scores += _rows(MEAN, mean, mean_draws, ci_unit=mean_unit, n=n, n_failed=n_failed, level=level)
    return scores + _rows(POOLED, values[-1], draws[-1], ci_unit=ci_units[-1], n=n, n_failed=n_failed, level=level)


def _pool(folds: Sequence[AnyFold], parts: Sequence[_Part], units: Units) -> _Part:
    """Totals of the folds together, by units that reach over folds."""
    statistics = np.zeros((units.n_units, parts[0].statistics.shape[1]))
    start = 0
    for fold, part in zip(folds, parts, strict=True):
        # A fold's unit lies within one pooled unit: a fold of few speakers has utterances where the pool has speakers.
        pooled_unit = np.zeros(part.units.n_units, dtype=np.int64)
        pooled_unit[part.units.codes] = units.codes[start : start + fold.n_rows]
        np.add.at(statistics, pooled_unit, part.statistics)
        start += fold.n_rows
    return _Part(units=units, statistics=statistics)


def _mean(values: Sequence[dict[Key, FloatArray]]) -> dict[Key, FloatArray]:
    return {key: mean_of_defined(np.stack([fold[key] for fold in values]), axis=0) for key in values[0]}


def _rows(
    fold_id: str,
    values: dict[Key, FloatArray],
    draws: dict[Key, FloatArray],
    *,
    ci_unit: str | None,
    n: int,
    n_failed: int,
    level: float,
) -> list[Score]:
    rows = []
    for (metric, class_label), value in values.items():
        defined = _number(value)
        low, high = None, None
        if ci_unit is not None and defined is not None:
            low, high = _interval(defined, draws[metric, class_label], level=level)
        rows.append(
            Score(
                fold_id=fold_id,
                class_label=class_label,
                metric=metric,
                value=defined,
                ci_low=low,
                ci_high=high,
                ci_unit=ci_unit if defined is not None else None,
                n=n,
                n_failed=n_failed,
            )
        )
    return rows


def _interval(value: float, draws: FloatArray, *, level: float) -> tuple[float | None, float | None]:
    low, high = percentile_interval(draws, value=value, level=level)
    return _number(low), _number(high)


def _number(value: FloatArray | np.floating[Any] | float) -> float | None:
    return None if np.isnan(value) else float(value)


# --- two systems -------------------------------------------------------------------------------------------------


def difference(
    folds_a: Sequence[AnyFold],
    folds_b: Sequence[AnyFold],
    *,
    metric: Metric,
    label_names: Sequence[str],
    policy: FailurePolicy,
    class_label: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Difference of two systems in one metric, with the interval of a paired bootstrap.

    The values are pooled over each system's folds, never means over folds: a speaker who was tested in different folds
    by the two systems can only be paired in the pool. The two may have been tested on different parts of one corpus.

    From five speakers on, in both together, one weight for each speaker serves both systems: a speaker tested by
    one of them weighs there only. With fewer, utterances are weighed in the same way if both systems name them and
    share any. Else the two are resampled independently, and ``ci_unit`` says so.

    Args:
        folds_a: answers of the first system.
        folds_b: answers of the second, hard or distributions as the first.
        metric: the metric that is compared; it decides which kind of folds is needed.
        label_names: the label set of both, in order.
        policy: what a failed answer is worth.
        class_label: the class, for metrics that have one value for each.
        resamples: bootstrap resamples, at least 1.
        seed: of the bootstrap; same inputs, same bytes.
        level: coverage of the interval, 0 to 1.

    Raises:
        ValueError: a system has no fold.
    """
    both = side_by_side(
        [folds_a, folds_b],
        metric=metric,
        label_names=[label_names, label_names],
        policy=policy,
        class_label=class_label,
        resamples=resamples,
        seed=seed,
    )
    return difference_of(both, 0, 1, level=level)


def difference_of(together: SideBySide, a: int, b: int, *, level: float = 0.95) -> Difference:
    """Difference of two of several systems; arguments are their numbers, and the coverage of the interval."""
    value_a, value_b = together.values[a], together.values[b]
    value = _number(value_a - value_b)
    ci_unit, low, high, error, degrees, p = None, None, None, None, None, None
    if value is not None and together.n_units > 1:
        apart = together.draws[:, a] - together.draws[:, b]
        ci_unit = together.ci_unit
        low, high = _interval(value, apart, level=level)
        error, degrees = standard_error(apart, together.precision), together.precision.degrees
        p = _number(difference_p(apart, value=value, precision=together.precision))
    return Difference(
        value_a=_number(value_a),
        value_b=_number(value_b),
        value=value,
        ci_low=low,
        ci_high=high,
        ci_unit=ci_unit,
        n_shared_units=together.n_shared_units,
        n_units=together.n_units,
        standard_error=error,
        degrees=degrees,
        p=p,
    )


def side_by_side(
    systems: Sequence[Sequence[AnyFold]],
    *,
    metric: Metric,
    label_names: Sequence[Sequence[str]],
    policy: FailurePolicy,
    class_label: str | None = None,
    resamples: int = 1000,
    seed: int | Sequence[int] = 0,
) -> SideBySide:
    """Scores of several systems on one corpus, resampled together as ``difference`` resamples two.

    Args:
        systems: folds of each.
        metric: the metric that is compared; it decides which kind of folds is needed.
        label_names: the label set of each, in order.
        policy: what a failed answer is worth.
        class_label: the class, for metrics that have one value for each.
        resamples: bootstrap resamples, at least 1.
        seed: of the bootstrap; same inputs, same bytes.

    Raises:
        ValueError: a system has no fold, or folds of the wrong kind.
    """
    if not all(systems):
        raise ValueError("a difference needs at least one fold of each system")
    if (metric.kind == "per_class_confusion") != (class_label is not None):
        raise ValueError(f"metric {metric.name!r} is of kind {metric.kind}, class_label is {class_label!r}")
    scorers = [
        _scorer(folds, metric=metric, label_names=names, policy=policy)
        for folds, names in zip(systems, label_names, strict=True)
    ]
    units = _units([fold for folds in systems for fold in folds])
    ends = np.cumsum([sum(fold.n_rows for fold in folds) for folds in systems])
    codes = np.split(units.codes, ends[:-1])
    totals = [_totals(scorer, of, units.n_units) for scorer, of in zip(scorers, codes, strict=True)]
    tested_by = np.stack([np.bincount(of, minlength=units.n_units) > 0 for of in codes]).sum(axis=0)

    rng = np.random.default_rng(seed)
    if units.kind == "speaker" or (tested_by > 1).any():
        together = resample_totals(np.hstack(totals), resamples=resamples, rng=rng)
        drawn = np.split(together, np.cumsum([of.shape[1] for of in totals])[:-1], axis=1)
        how = ""
    else:
        own = [of[np.unique(of_rows)] for of, of_rows in zip(totals, codes, strict=True)]
        drawn = [resample_totals(of, resamples=resamples, rng=rng) for of in own]
        how = ", independent"

    key = (metric.name, class_label)
    read = [scorer.read for scorer in scorers]
    return SideBySide(
        values=np.array([one(of.sum(axis=0), policy)[key] for one, of in zip(read, totals, strict=True)], dtype=float),
        draws=np.stack([one(of, policy)[key] for one, of in zip(read, drawn, strict=True)], axis=1),
        ci_unit=f"{units.kind}{how}",
        n_units=units.n_units,
        precision=precision(np.bincount(units.codes, minlength=units.n_units)),
        n_shared_units=int((tested_by == len(systems)).sum()),
    )


def _scorer(folds: Sequence[AnyFold], *, metric: Metric, label_names: Sequence[str], policy: FailurePolicy) -> Scorer:
    soft = [fold for fold in folds if isinstance(fold, SoftFold)]
    hard = [fold for fold in folds if not isinstance(fold, SoftFold)]
    if metric.kind in HARD_KINDS and not soft:
        return hard_scorer(hard, label_names=label_names, metrics=[metric])
    if metric.kind in SOFT_KINDS and not hard:
        return soft_scorer(soft, None, label_names=label_names, policies=[policy], metrics=[metric])
    raise ValueError(f"metric {metric.name!r} is of kind {metric.kind}; {len(hard)} folds are hard, {len(soft)} soft")


def _totals(scorer: Scorer, codes: IntArray, n_units: int) -> FloatArray:
    """Totals per unit of all folds together, from the unit of each of their rows."""
    ends = np.cumsum([fold.n_rows for fold in scorer.folds])
    of_folds = np.split(codes, ends[:-1])
    by_fold = [collect(of_fold, n_units) for collect, of_fold in zip(scorer.collect, of_folds, strict=True)]
    return np.asarray(np.sum(by_fold, axis=0))
