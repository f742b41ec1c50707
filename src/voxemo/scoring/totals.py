"""From rows to totals, and from totals to values.

Each fold is reduced once to totals per unit (a speaker, an utterance, or all of it). Every score is read from such
totals: of one fold, of several folds together, or of a resample. Policies and metrics act on totals of hard answers,
so they cost nothing per utterance there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import FloatArray, IntArray, ratio
from voxemo.scoring.folds import AnyFold, AnyHardFold, HardReference, SoftFold
from voxemo.scoring.hard import apply_failure_policy, constant_confusions, group_confusions
from voxemo.scoring.soft import set_outcomes, settle_failures
from voxemo.scoring.table import Metric

COVERAGE = "coverage"
"""Share of answers that could be read; stands beside the metrics, whatever the policy."""
FAILURE_RATE = "failure_rate"

_CHUNK_ROWS = 16_384
"""Rows of distributions worked on at once, so that intermediate arrays stay in the processor's cache."""

Key: TypeAlias = tuple[str, str | None]
"""Metric and class label."""
Collect: TypeAlias = Callable[[IntArray, int], FloatArray]
"""Totals of each unit, shape (n_units, n_statistics), from the unit of each row and the number of units."""
Read: TypeAlias = Callable[[FloatArray], dict[Key, FloatArray]]
"""Values of shape (...) from totals of shape (..., n_statistics)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scorer:
    """How the totals of each fold are made, and how scores are read from them."""

    folds: Sequence[AnyFold]
    collect: Sequence[Collect]
    """One for each fold."""
    read: Read


def _sum_by_unit(columns: Sequence[npt.NDArray[Any]], codes: IntArray, n_units: int) -> FloatArray:
    sums = [np.bincount(codes, weights=column, minlength=n_units) for column in columns]
    return np.stack(sums, axis=1)


def _check_label_count(found: Sequence[tuple[str, int]], n_labels: int) -> None:
    for fold_id, n_found in found:
        if n_found != n_labels:
            raise ValueError(f"fold {fold_id} has distributions over {n_found} labels, the label set has {n_labels}")


def _coverage(answered: FloatArray, everything: FloatArray) -> dict[Key, FloatArray]:
    coverage = ratio(answered, everything)
    return {(COVERAGE, None): coverage, (FAILURE_RATE, None): 1 - coverage}


def hard_scorer(
    folds: Sequence[AnyHardFold], *, label_names: Sequence[str], policy: FailurePolicy, metrics: Sequence[Metric]
) -> Scorer:
    """Confusion tables as totals; arguments as in ``evaluate.score_hard``."""
    n_labels = len(label_names)

    def collect(fold: AnyHardFold, codes: IntArray, n_units: int) -> FloatArray:
        if isinstance(fold, HardReference):
            tables = constant_confusions(fold.gold, fold.distribution, codes, n_groups=n_units)
        else:
            tables = group_confusions(fold.gold, fold.predicted, codes, n_labels=n_labels, n_groups=n_units)
        return tables.reshape(n_units, n_labels * (n_labels + 1))

    def read(totals: FloatArray) -> dict[Key, FloatArray]:
        confusions = totals.reshape(*totals.shape[:-1], n_labels, n_labels + 1)
        settled = apply_failure_policy(confusions, policy)
        values: dict[Key, FloatArray] = {}
        for metric in metrics:
            computed = metric.compute(settled)
            if metric.kind == "per_class_confusion":
                values |= {(metric.name, label): computed[..., c] for c, label in enumerate(label_names)}
            else:
                values[metric.name, None] = computed
        return values | _coverage(confusions[..., :-1].sum(axis=(-2, -1)), confusions.sum(axis=(-2, -1)))

    references = [fold for fold in folds if isinstance(fold, HardReference)]
    _check_label_count([(fold.fold_id, len(fold.distribution)) for fold in references], n_labels)
    return Scorer(folds=folds, collect=[partial(collect, fold) for fold in folds], read=read)


def soft_scorer(
    folds: Sequence[SoftFold],
    prior: Sequence[SoftFold] | None,
    *,
    label_names: Sequence[str],
    policy: FailurePolicy,
    metrics: Sequence[Metric],
) -> Scorer:
    """Sums of row values and counts of label sets as totals; arguments as in ``evaluate.score_soft``."""
    n_labels = len(label_names)
    row_metrics = [metric for metric in metrics if metric.kind == "row"]
    skills = [] if prior is None else [metric for metric in row_metrics if metric.skill]
    n_row_values = len(row_metrics) + len(skills)

    def columns(fold: SoftFold, guess: SoftFold | None, rows: slice) -> list[npt.NDArray[Any]]:
        gold, failed = fold.gold[rows], fold.failed[rows]
        weights = np.ones(len(gold)) if fold.weights is None else fold.weights[rows]
        predicted, counted = settle_failures(gold, fold.predicted[rows], failed, policy)
        counting = weights * counted
        # The prior is held against the same utterances: those that the policy leaves out count for neither.
        of_rows = [counting * metric.compute(gold, predicted) for metric in row_metrics]
        of_prior = [] if guess is None else [counting * m.compute(gold, guess.predicted[rows]) for m in skills]
        of_sets = [counting * outcome[:, c] for outcome in set_outcomes(gold, predicted) for c in range(n_labels)]
        return [weights, weights * ~failed, counting, *of_rows, *of_prior, *of_sets]

    def collect(fold: SoftFold, guess: SoftFold | None, codes: IntArray, n_units: int) -> FloatArray:
        totals = np.zeros((n_units, 3 + n_row_values + 3 * n_labels))
        for start in range(0, fold.n_rows, _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            units, local = np.unique(codes[rows], return_inverse=True)
            totals[units] += _sum_by_unit(columns(fold, guess, rows), local, len(units))
        return totals

    def read(totals: FloatArray) -> dict[Key, FloatArray]:
        everything, answered, counted = totals[..., 0], totals[..., 1], totals[..., 2]
        means = np.moveaxis(ratio(totals[..., 3 : 3 + n_row_values], counted[..., None]), -1, 0)
        mean_of = {metric.name: mean for metric, mean in zip(row_metrics, means[: len(row_metrics)], strict=True)}
        hits, false_alarms, misses = np.split(totals[..., 3 + n_row_values :], 3, axis=-1)
        values: dict[Key, FloatArray] = {}
        for metric in metrics:
            if metric.kind == "row":
                values[metric.name, None] = mean_of[metric.name]
            else:
                score = metric.compute(hits, false_alarms, misses)
                values[metric.name, None] = np.where(counted > 0, score, np.nan)
        for metric, of_prior in zip(skills, means[len(row_metrics) :], strict=True):
            distance = np.abs(mean_of[metric.name] - metric.best)
            values[f"{metric.name}_skill", None] = 1 - ratio(distance, np.abs(of_prior - metric.best))
        return values | _coverage(answered, everything)

    _check_label_count([(fold.fold_id, fold.gold.shape[1]) for fold in folds], n_labels)
    guesses = [None] * len(folds) if prior is None else prior
    collectors = [partial(collect, fold, guess) for fold, guess in zip(folds, guesses, strict=True)]
    return Scorer(folds=folds, collect=collectors, read=read)
