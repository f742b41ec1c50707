"""From rows to totals, and from totals to values.

Each fold is reduced once to totals per unit (a speaker, an utterance, or all of it). Every score is read from such
totals: of one fold, of several folds together, or of a resample, under any failure policy. Policies and metrics act on
totals of hard answers, so they cost nothing per utterance there. Of distributions, answered and failed rows have totals
apart, the failed ones once for each policy that gives them a stand-in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import BoolArray, FloatArray, IntArray, ratio
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
Read: TypeAlias = Callable[[FloatArray, FailurePolicy], dict[Key, FloatArray]]
"""Values of shape (...) under one policy, from totals of shape (..., n_statistics)."""


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


def hard_scorer(folds: Sequence[AnyHardFold], *, label_names: Sequence[str], metrics: Sequence[Metric]) -> Scorer:
    """Confusion tables as totals; arguments as in ``evaluate.score_hard``."""
    n_labels = len(label_names)

    def collect(fold: AnyHardFold, codes: IntArray, n_units: int) -> FloatArray:
        if isinstance(fold, HardReference):
            tables = constant_confusions(fold.gold, fold.distribution, codes, n_groups=n_units)
        else:
            tables = group_confusions(fold.gold, fold.predicted, codes, n_labels=n_labels, n_groups=n_units)
        return tables.reshape(n_units, n_labels * (n_labels + 1))

    def read(totals: FloatArray, policy: FailurePolicy) -> dict[Key, FloatArray]:
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
    policies: Sequence[FailurePolicy],
    metrics: Sequence[Metric],
) -> Scorer:
    """Sums of row values and counts of label sets as totals; arguments as in ``evaluate.score_soft``."""
    n_labels = len(label_names)
    row_metrics = [metric for metric in metrics if metric.kind == "row"]
    skills = [] if prior is None else [metric for metric in row_metrics if metric.skill]
    n_row_values = len(row_metrics) + len(skills)
    n_values = n_row_values + 3 * n_labels
    stand_ins = [policy for policy in policies if policy != "excluded"]

    def values(gold: FloatArray, predicted: FloatArray, guess: FloatArray | None) -> list[npt.NDArray[Any]]:
        of_rows = [metric.compute(gold, predicted) for metric in row_metrics]
        # The prior is held against the same utterances: those that a policy leaves out count for neither.
        of_prior = [] if guess is None else [metric.compute(gold, guess) for metric in skills]
        of_sets = [outcome[:, c] for outcome in set_outcomes(gold, predicted) for c in range(n_labels)]
        return [*of_rows, *of_prior, *of_sets]

    def collect_chunk(fold: SoftFold, prior: SoftFold | None, rows: slice, codes: IntArray, n_units: int) -> FloatArray:
        failed = fold.failed[rows]
        weights = np.ones(len(failed)) if fold.weights is None else fold.weights[rows]

        def total(policy: FailurePolicy, marked: BoolArray) -> FloatArray:
            gold = fold.gold[rows][marked]
            guess = None if prior is None else prior.predicted[rows][marked]
            predicted, _ = settle_failures(gold, fold.predicted[rows][marked], failed[marked], policy)
            weighted = [weights[marked] * column for column in values(gold, predicted, guess)]
            return _sum_by_unit(weighted, codes[marked], n_units)

        of_answered = total("excluded", ~failed)
        no_failure = np.zeros((n_units, n_values))
        of_failed = [total(policy, failed) if failed.any() else no_failure for policy in stand_ins]
        n_rows = _sum_by_unit([weights, weights * ~failed], codes, n_units)
        return np.hstack([n_rows, of_answered, *of_failed])

    def collect(fold: SoftFold, prior: SoftFold | None, codes: IntArray, n_units: int) -> FloatArray:
        totals = np.zeros((n_units, 2 + (1 + len(stand_ins)) * n_values))
        for start in range(0, fold.n_rows, _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            units, local = np.unique(codes[rows], return_inverse=True)
            totals[units] += collect_chunk(fold, prior, rows, local, len(units))
        return totals

    def read(totals: FloatArray, policy: FailurePolicy) -> dict[Key, FloatArray]:
        everything, answered = totals[..., 0], totals[..., 1]
        blocks = totals[..., 2:].reshape(*totals.shape[:-1], 1 + len(stand_ins), n_values)
        counted, sums = answered, blocks[..., 0, :]
        if policy != "excluded":
            counted, sums = everything, sums + blocks[..., 1 + stand_ins.index(policy), :]
        means = np.moveaxis(ratio(sums[..., :n_row_values], counted[..., None]), -1, 0)
        mean_of = {metric.name: mean for metric, mean in zip(row_metrics, means[: len(row_metrics)], strict=True)}
        hits, false_alarms, misses = np.split(sums[..., n_row_values:], 3, axis=-1)
        scores: dict[Key, FloatArray] = {}
        for metric in metrics:
            if metric.kind == "row":
                scores[metric.name, None] = mean_of[metric.name]
            else:
                score = metric.compute(hits, false_alarms, misses)
                scores[metric.name, None] = np.where(counted > 0, score, np.nan)
        for metric, of_prior in zip(skills, means[len(row_metrics) :], strict=True):
            distance = np.abs(mean_of[metric.name] - metric.best)
            scores[f"{metric.name}_skill", None] = 1 - ratio(distance, np.abs(of_prior - metric.best))
        return scores | _coverage(answered, everything)

    _check_label_count([(fold.fold_id, fold.gold.shape[1]) for fold in folds], n_labels)
    guesses = [None] * len(folds) if prior is None else prior
    collectors = [partial(collect, fold, guess) for fold, guess in zip(folds, guesses, strict=True)]
    return Scorer(folds=folds, collect=collectors, read=read)
