"""What of several runs is set side by side (metrics, systems, shared utterances), and means of what is found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxemo.core.errors import UnknownName, listing
from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import FloatArray
from voxemo.scoring.bootstrap import percentile_interval
from voxemo.scoring.evaluate import Difference
from voxemo.scoring.folds import AnyFold, HardFold, SoftFold, on_shared_utterances
from voxemo.scoring.multiplicity import holm
from voxemo.scoring.significance import joint_degrees, ratio_p
from voxemo.scoring.table import HARD_KINDS, Metric
from voxemo.steps.score import ScoredTable, hard_systems, metrics, soft_systems

ALPHA = 0.05

System = tuple[str, str]
"""System id and form."""
Folds = Sequence[HardFold] | Sequence[SoftFold]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Which utterances of one test part are compared, of those that have the truth that a metric needs."""

    n_shared: int
    """Utterances that all runs answered in the same test part of the same fold."""
    n_alone: tuple[int, ...]
    """Of each run, those that not all of the others answered."""
    left_out: bool
    """Whether the latter are left out, as they are over one split. Over different splits each run counts whole."""


def chosen_metrics(names: Sequence[str]) -> list[Metric]:
    """Metrics by name, each once.

    Raises:
        UnknownName: there is no such metric, or it has more than one value.
    """
    known = {name: metric for name, metric in metrics().items() if metric.kind != "per_class_confusion"}
    for name in names:
        if name not in known:
            raise UnknownName("metric with one value", name, tuple(known))
    return [known[name] for name in dict.fromkeys(names)]


def check_names(systems: Sequence[str], known: set[str]) -> None:
    """Refuse the name of a system that no run has.

    Raises:
        UnknownName: one is not known.
    """
    for name in systems:
        if name not in known:
            raise UnknownName("system", name, sorted(known))


def policy_for(metric: Metric, policy: FailurePolicy | None) -> FailurePolicy:
    """What a failed answer is worth: as asked for, or wrong on hard metrics and uniform on soft ones."""
    return policy or ("wrong" if metric.kind in HARD_KINDS else "uniform")


def prompts_of(table: ScoredTable, chosen: Iterable[Metric]) -> set[str]:
    """System ids of a run that some of these metrics are defined for, on any test part."""
    partitions = sorted(table.rows["partition"].unique())
    return {name for metric in chosen for part in partitions for name, _ in systems_of(table, metric, partition=part)}


def systems_of(table: ScoredTable, metric: Metric, *, partition: str) -> Mapping[System, Folds]:
    """Folds of every system that a metric is defined for, strict reading."""
    if metric.kind in HARD_KINDS:
        hard = hard_systems(table, partition=partition, reading="strict")
        return {(name, "hard"): folds for name, folds in hard.items()}
    rule = table.manifest.vote_rule
    if rule is None or rule not in table.votes:
        return {}
    return soft_systems(table, partition=partition, reading="strict", rule=rule)


def why_unshared(tables: Sequence[ScoredTable]) -> str:
    """Why runs over one corpus cannot be compared in a metric, in words."""
    run_ids = listing([table.manifest.run_id for table in tables], most=len(tables))
    asked = [{*table.rows.select("partition", "fold_id", "utterance_id").iter_rows()} for table in tables]
    if _one_split(tables) and not set.intersection(*asked):
        return f"{run_ids} answer no utterance in common: they were limited to other folds or other utterances"
    return f"{run_ids} share no prompt variant on a common test part that it could be computed for"


def _one_split(tables: Iterable[ScoredTable]) -> bool:
    return len({table.manifest.split.split_sha256 for table in tables}) == 1


def paired_folds(
    systems: Sequence[Sequence[AnyFold]], tables: Sequence[ScoredTable]
) -> tuple[list[Sequence[AnyFold]], Shared]:
    """The answers that are compared, of one test part: over one split, those to what every run was asked."""
    if _one_split(tables):
        paired: list[Sequence[AnyFold]] = [*on_shared_utterances(systems)]
        n_shared = sum(fold.n for fold in paired[0])
        n_alone = tuple(sum(fold.n for fold in folds) - n_shared for folds in systems)
        return paired, Shared(n_shared=n_shared, n_alone=n_alone, left_out=True)
    names = [{name for fold in folds if fold.utterances is not None for name in fold.utterances} for folds in systems]
    shared = set.intersection(*names)
    n_alone = tuple(len(of - shared) for of in names)
    return [*systems], Shared(n_shared=len(shared), n_alone=n_alone, left_out=False)


def holm_adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction over the p-values that there are."""
    defined = [p for p in p_values if p is not None]
    corrected = iter(holm(np.asarray(defined, dtype=np.float64)).tolist())
    return [None if p is None else next(corrected) for p in p_values]


def mean_difference(differences: Sequence[Difference], of_parts: Sequence[FloatArray]) -> Difference:
    """The mean of differences that have standard errors, and of their resamples."""
    draws = np.mean(of_parts, axis=0)
    value_a, value_b, value = (
        float(np.mean([getattr(one, name) for one in differences])) for name in ("value_a", "value_b", "value")
    )
    errors = [one.standard_error or 0.0 for one in differences]
    degrees = joint_degrees(errors, [one.degrees or 1.0 for one in differences])
    # Corpora share no speaker, so that their variances add up.
    error = float(np.sqrt(np.sum(np.square(errors)))) / len(errors)
    low, high = percentile_interval(draws, value=value, level=1 - ALPHA)
    return Difference(
        value_a=value_a,
        value_b=value_b,
        value=value,
        ci_low=low,
        ci_high=high,
        ci_unit=" and ".join(sorted({one.ci_unit for one in differences if one.ci_unit is not None})),
        n_shared_units=sum(one.n_shared_units for one in differences),
        n_units=sum(one.n_units for one in differences),
        standard_error=error,
        degrees=degrees,
        p=ratio_p(value, error, int(degrees)),
    )
