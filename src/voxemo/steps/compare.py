"""Runs side by side: how far apart their scores are, and what such a test can show.

Everything is about the speakers of these test parts: they are resampled, the corpora stay. A difference over several
corpora says how other speakers of *these* corpora would be answered, and nothing about other corpora.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxemo.core.errors import RunError, listing
from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import FloatArray
from voxemo.scoring.evaluate import Difference, difference_of, side_by_side
from voxemo.scoring.significance import detectable_difference
from voxemo.scoring.table import Metric
from voxemo.steps.comparable import PairFacts, pair_facts, refuse_incomparable
from voxemo.steps.paired_folds import (
    ALPHA,
    Shared,
    System,
    check_names,
    chosen_metrics,
    holm_adjusted,
    mean_difference,
    paired_folds,
    policy_for,
    prompts_of,
    systems_of,
    why_unshared,
)
from voxemo.steps.score import ScoredTable, load_scored
from voxemo.store.layout import Workspace

POWER = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The difference of two runs in one metric and system, on one test part."""

    corpus_id: str
    run_a: str
    run_b: str
    system_id: str
    form: str
    """``hard``, ``distribution``, ``vote`` or ``likelihood``, as in the scores."""
    metric: str
    policy: FailurePolicy
    partition: str
    utterances: Shared
    """Of the first run and the second."""
    difference: Difference
    p_holm: float | None
    """Adjusted for all test parts and prompts that were compared in this metric."""
    detectable: float | None
    """The smallest true difference that a test of this size finds in 80 % of the cases, at 5 % two-sided."""
    overlap_a: str
    overlap_b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanDifference:
    """The mean over test parts, each of which counts the same."""

    system_id: str
    form: str
    metric: str
    n_parts: int
    utterances: Shared
    """Of all parts together; ``left_out`` if they are in any of the parts."""
    difference: Difference
    p_holm: float | None
    """Adjusted for all prompts that were compared in this metric."""
    detectable: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareResult:
    """What differs between two sets of runs, and their scores' differences."""

    pairs: tuple[PairFacts, ...]
    comparisons: tuple[Comparison, ...]
    means: tuple[MeanDifference, ...]
    """Over test parts, of the systems that were compared on all of several."""
    left_out: tuple[str, ...]
    """Runs without a counterpart, and metrics without what they need, in words."""


def compare_runs(
    workspace: Workspace,
    run_a: Path,
    run_b: Path,
    *,
    metric: str = "unweighted_accuracy",
    systems: Sequence[str] | None = None,
    policy: FailurePolicy = "wrong",
    resamples: int = 1000,
) -> CompareResult:
    """Compare two parsed runs over one corpus in one metric, whatever else differs between them.

    As `compare_sets` with ``force``, for callers that know what differs because they made it so.

    Raises:
        RunError: the runs are over different corpora, or share no system.
        UnknownName: there is no such metric or system.
    """
    return compare_sets(
        workspace,
        [run_a],
        [run_b],
        metric_names=(metric,),
        systems=systems,
        policy=policy,
        resamples=resamples,
        force=True,
    )


def compare_sets(
    workspace: Workspace,
    runs_a: Sequence[Path],
    runs_b: Sequence[Path],
    *,
    metric_names: Sequence[str] = ("unweighted_accuracy",),
    systems: Sequence[str] | None = None,
    policy: FailurePolicy | None = None,
    resamples: int = 1000,
    force: bool = False,
) -> CompareResult:
    """Compare two systems by their runs, corpus by corpus and over all, by a bootstrap that pairs their speakers.

    Runs are paired by corpus and split, on the utterances that both answered: of a whole run beside a limited one, only
    what the limited one was asked. Where a corpus has one run on each side, over different splits too: each counts
    whole, and the speakers of both are drawn together. Values are pooled over folds.

    Args:
        workspace: holds the gold labels of all.
        runs_a: parsed runs of the first system, over one corpus or several.
        runs_b: of the second; the difference is first minus second.
        metric_names: hard or soft metrics with one value.
        systems: prompt variants, ``ensemble`` or other system ids; by default all that both runs have.
        policy: what a failed answer is worth; by default wrong on hard metrics and uniform on soft ones.
        resamples: bootstrap resamples.
        force: compare what is not comparable.

    Raises:
        RunError: no corpus is on both sides, a corpus has several runs that cannot be told apart, no system is shared,
            or the runs are not comparable.
        UnknownName: there is no such metric or system.
    """
    chosen = chosen_metrics(metric_names)
    a, b = ([load_scored(workspace, run) for run in runs] for runs in (runs_a, runs_b))
    pairs, left_out = _pairs(a, b)
    facts = tuple(pair_facts(left.manifest, right.manifest) for left, right in pairs)
    if not force:
        refuse_incomparable(facts)
    if systems:
        shared = (prompts_of(left, chosen) & prompts_of(right, chosen) for left, right in pairs)
        check_names(systems, set.union(*shared))
    comparisons: list[Comparison] = []
    means: list[MeanDifference] = []
    for metric in chosen:
        found: list[tuple[Comparison, FloatArray]] = []
        for number, (left, right) in enumerate(pairs):
            made = _compared(left, right, metric, systems, policy_for(metric, policy), resamples, number)
            if not made:
                left_out.append(f"{metric.name}: {why_unshared([left, right])}")
            found += made
        comparisons += _adjusted([one for one, _ in found])
        means += _means(found)
    if not comparisons:
        why = "; ".join(why_unshared([left, right]) for left, right in pairs)
        raise RunError(f"{listing([metric.name for metric in chosen])} cannot be compared: {why}.")
    return CompareResult(pairs=facts, comparisons=tuple(comparisons), means=tuple(means), left_out=tuple(left_out))


def _pairs(
    a: Sequence[ScoredTable], b: Sequence[ScoredTable]
) -> tuple[list[tuple[ScoredTable, ScoredTable]], list[str]]:
    """Runs over one corpus and split, or over one corpus where there is one on each side; and what is left."""
    pairs: list[tuple[ScoredTable, ScoredTable]] = []
    left_out: list[str] = []
    sides = [_by_corpus(side) for side in (a, b)]
    for corpus in dict.fromkeys([*sides[0], *sides[1]]):
        left, right = (side.get(corpus, {}) for side in sides)
        shared = [split for split in left if split in right]
        if not shared and len(left) == len(right) == 1:
            pairs += zip(left.values(), right.values(), strict=True)
            continue
        pairs += [(left[split], right[split]) for split in shared]
        for side in (left, right):
            left_out += [
                f"{table.manifest.run_id} has no counterpart over the same corpus and split"
                for split, table in side.items()
                if split not in shared
            ]
    if not pairs:
        raise RunError(
            "The runs to compare are over different corpora; a difference of their scores would compare corpora, not "
            "systems. Give runs of both systems over at least one corpus."
        )
    return pairs, left_out


def _by_corpus(tables: Iterable[ScoredTable]) -> dict[str, dict[str, ScoredTable]]:
    found: dict[str, dict[str, ScoredTable]] = {}
    for table in tables:
        manifest = table.manifest
        of_corpus = found.setdefault(manifest.corpus_card.corpus_id, {})
        if other := of_corpus.get(manifest.split.split_id):
            raise RunError(
                f"{other.manifest.run_id} and {manifest.run_id} are on one side, over one corpus and split. A side is "
                "one system: give one of them, or compare the two with each other."
            )
        of_corpus[manifest.split.split_id] = table
    return found


def _compared(
    a: ScoredTable,
    b: ScoredTable,
    metric: Metric,
    systems: Sequence[str] | None,
    policy: FailurePolicy,
    resamples: int,
    number: int,
) -> list[tuple[Comparison, FloatArray]]:
    """Comparisons of two runs on every test part that both have, and the resampled differences."""
    found = []
    for partition in sorted(set(a.rows["partition"]) & set(b.rows["partition"])):
        left, right = (systems_of(table, metric, partition=partition) for table in (a, b))
        for system, folds in left.items():
            if system not in right or (systems is not None and system[0] not in systems):
                continue
            paired, utterances = paired_folds([folds, right[system]], [a, b])
            if not all(paired):
                continue
            together = side_by_side(
                paired,
                metric=metric,
                label_names=[a.manifest.label_names, b.manifest.label_names],
                policy=policy,
                resamples=resamples,
                # The first pair draws as a single one would; others draw other speakers' weights.
                seed=[0, number] if number else 0,
            )
            difference = difference_of(together, 0, 1)
            one = Comparison(
                corpus_id=a.manifest.corpus_card.corpus_id,
                run_a=a.manifest.run_id,
                run_b=b.manifest.run_id,
                system_id=system[0],
                form=system[1],
                metric=metric.name,
                policy=policy,
                partition=partition,
                utterances=utterances,
                difference=difference,
                p_holm=None,
                detectable=_detectable(difference),
                overlap_a=a.manifest.split.overlap,
                overlap_b=b.manifest.split.overlap,
            )
            found.append((one, together.draws[:, 0] - together.draws[:, 1]))
    return found


def _detectable(difference: Difference) -> float | None:
    if difference.standard_error is None or difference.degrees is None:
        return None
    return detectable_difference(difference.standard_error, degrees=difference.degrees, alpha=ALPHA, power=POWER)


def _adjusted(rows: Sequence[Comparison]) -> list[Comparison]:
    corrected = holm_adjusted([row.difference.p for row in rows])
    return [replace(row, p_holm=p) for row, p in zip(rows, corrected, strict=True)]


def _means(found: Sequence[tuple[Comparison, FloatArray]]) -> list[MeanDifference]:
    """Means over test parts, of systems that are compared on all of at least two."""
    parts = {(one.run_a, one.run_b, one.partition) for one, _ in found}
    rows: dict[System, list[tuple[Comparison, FloatArray]]] = {}
    for one, draws in found:
        rows.setdefault((one.system_id, one.form), []).append((one, draws))
    means = [
        _mean(system, of)
        for system, of in rows.items()
        if len(of) == len(parts) > 1 and all(one.difference.standard_error is not None for one, _ in of)
    ]
    corrected = holm_adjusted([mean.difference.p for mean in means])
    return [replace(mean, p_holm=p) for mean, p in zip(means, corrected, strict=True)]


def _mean(system: System, rows: Sequence[tuple[Comparison, FloatArray]]) -> MeanDifference:
    difference = mean_difference([one.difference for one, _ in rows], [draws for _, draws in rows])
    return MeanDifference(
        system_id=system[0],
        form=system[1],
        metric=rows[0][0].metric,
        n_parts=len(rows),
        utterances=_together([one.utterances for one, _ in rows]),
        difference=difference,
        p_holm=None,
        detectable=_detectable(difference),
    )


def _together(parts: Sequence[Shared]) -> Shared:
    return Shared(
        n_shared=sum(part.n_shared for part in parts),
        n_alone=tuple(map(sum, zip(*(part.n_alone for part in parts), strict=True))),
        left_out=any(part.left_out for part in parts),
    )
