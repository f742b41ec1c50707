"""Runs side by side: whether they are comparable, how far apart their scores are, and what such a test can show.

Everything is about the speakers of these test parts: they are resampled, the corpora stay. A difference over several
corpora says how other speakers of *these* corpora would be answered, and nothing about other corpora.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from voxemo.core.errors import RunError, UnknownName, listing
from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import FloatArray
from voxemo.scoring.bootstrap import percentile_interval
from voxemo.scoring.evaluate import Difference, SideBySide, difference_of, side_by_side
from voxemo.scoring.folds import AnyFold, HardFold, SoftFold, on_shared_utterances
from voxemo.scoring.multiplicity import holm
from voxemo.scoring.ranks import rank_intervals
from voxemo.scoring.significance import detectable_difference, joint_degrees, ratio_p
from voxemo.scoring.table import HARD_KINDS, Metric
from voxemo.steps.comparable import ManifestDifference, manifest_differences, plain_name, system_names
from voxemo.steps.score import ScoredTable, hard_systems, load_scored, metrics, soft_systems
from voxemo.store.layout import Workspace

ALPHA = 0.05
POWER = 0.8
OWN_PROMPT = "own prompt"
"""Stands for the one prompt of each run where runs are ranked that share none."""

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
class PairFacts:
    """What differs between the two runs over one corpus."""

    run_a: str
    run_b: str
    differences: tuple[ManifestDifference, ...]

    @property
    def breaking(self) -> tuple[ManifestDifference, ...]:
        """Those that leave a difference of scores without meaning."""
        return tuple(one for one in self.differences if one.weight == "breaks")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareResult:
    """What differs between two sets of runs, and their scores' differences."""

    pairs: tuple[PairFacts, ...]
    comparisons: tuple[Comparison, ...]
    means: tuple[MeanDifference, ...]
    """Over test parts, of the systems that were compared on all of several."""
    left_out: tuple[str, ...]
    """Runs without a counterpart, and metrics without what they need, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedRun:
    """The rank of one system beside others, on one test part or over all."""

    place: str
    """Corpus and test part, or ``mean``."""
    run: str
    """Run id; over several test parts, the system's name."""
    name: str
    system_id: str
    form: str
    metric: str
    value: float
    ci_low: float | None
    ci_high: float | None
    rank: int
    rank_low: int
    rank_high: int
    """Best and worst rank in 95 % of the resamples."""
    n_utterances: int
    """That the value is of."""
    n_left_out: int
    """Utterances of this run that are left out, as another run over the same split did not answer them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedPair:
    """The difference of two ranked systems over all test parts, each of which counts the same."""

    name_a: str
    name_b: str
    system_id: str
    form: str
    metric: str
    n_parts: int
    difference: Difference
    p_holm: float | None
    """Adjusted for all pairs and prompts that are ranked in this metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankResult:
    """Several systems side by side."""

    pairs: tuple[PairFacts, ...]
    """Each run beside the first one over its corpus."""
    ranked: tuple[RankedRun, ...]
    told_apart: tuple[RankedPair, ...]
    """Every two systems that are on all test parts, in the order of the ranks."""
    left_out: tuple[str, ...]


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
    chosen = _chosen_metrics(metric_names)
    a, b = ([load_scored(workspace, run) for run in runs] for runs in (runs_a, runs_b))
    pairs, left_out = _pairs(a, b)
    facts = tuple(_facts(left, right) for left, right in pairs)
    if not force:
        _refuse(facts)
    if systems:
        shared = (_system_names(left, chosen) & _system_names(right, chosen) for left, right in pairs)
        _check_names(systems, set.union(*shared))
    comparisons: list[Comparison] = []
    means: list[MeanDifference] = []
    for metric in chosen:
        found: list[tuple[Comparison, FloatArray]] = []
        for number, (left, right) in enumerate(pairs):
            made = _compared(left, right, metric, systems, _policy(metric, policy), resamples, number)
            if not made:
                left_out.append(f"{metric.name}: {_unshared([left, right])}")
            found += made
        comparisons += _adjusted([one for one, _ in found])
        means += _means(found)
    if not comparisons:
        why = "; ".join(_unshared([left, right]) for left, right in pairs)
        raise RunError(f"{listing([metric.name for metric in chosen])} cannot be compared: {why}.")
    return CompareResult(pairs=facts, comparisons=tuple(comparisons), means=tuple(means), left_out=tuple(left_out))


def rank_runs(
    workspace: Workspace,
    runs: Sequence[Path],
    *,
    metric_names: Sequence[str] = ("unweighted_accuracy",),
    systems: Sequence[str] | None = None,
    policy: FailurePolicy | None = None,
    resamples: int = 1000,
    force: bool = False,
) -> RankResult:
    """Rank several systems on each test part and, where all of them cover several, over them.

    A system is a model and how it met the corpus, and where several of these runs are of one model, what else differs
    between them (``system_names``); runs of the same over several corpora belong together. All runs over
    one corpus are resampled together, on the utterances that all of them answered, unless their splits differ.

    Args:
        workspace: as `compare_sets`, and so the others.
        runs: parsed runs, two or more over some corpus.
        metric_names: hard or soft metrics with one value.
        systems: prompt variants or other system ids, each ranked by itself; by default all that every run has.
        policy: what a failed answer is worth.
        resamples: bootstrap resamples.
        force: rank what is not comparable.

    Raises:
        RunError: no corpus has two runs, a run is given twice, or they are not comparable or share nothing to compare.
        UnknownName: there is no such metric or system.
    """
    chosen = _chosen_metrics(metric_names)
    tables = [load_scored(workspace, run) for run in runs]
    groups: dict[str, dict[str, ScoredTable]] = {}
    for table, name in zip(tables, system_names([table.manifest for table in tables]), strict=True):
        groups.setdefault(table.manifest.corpus_card.corpus_id, {})[name] = table
    left_out = [f"{corpus} has one run only" for corpus, group in groups.items() if len(group) < 2]
    groups = {corpus: group for corpus, group in groups.items() if len(group) > 1}
    if not groups:
        raise RunError("No corpus has two of these runs; ranks need systems over the same corpus.")
    facts = tuple(
        _facts(first, other) for group in groups.values() for first, *others in [[*group.values()]] for other in others
    )
    if not force:
        _refuse(facts)
    if systems:
        every = (_system_names(table, chosen) for group in groups.values() for table in group.values())
        _check_names(systems, set.union(*every))
    ranked: list[RankedRun] = []
    told_apart: list[RankedPair] = []
    for metric in chosen:
        boards: dict[System, list[_Board]] = {}
        for number, (corpus, group) in enumerate(groups.items()):
            made = _boards(corpus, group, metric, systems, _policy(metric, policy), resamples, number)
            if not made:
                left_out.append(f"{metric.name}: {_unshared([*group.values()])}")
            for board in made:
                boards.setdefault(board.system, []).append(board)
                ranked += _ranked(board, metric)
        tested: list[RankedPair] = []
        for of_system in boards.values():
            over = _mean_board(of_system)
            ranked += [] if over is None else _ranked(over, metric)
            tested += _ranked_pairs(of_system, metric)
        corrected = _holm([pair.difference.p for pair in tested])
        told_apart += [replace(pair, p_holm=p) for pair, p in zip(tested, corrected, strict=True)]
    if not ranked:
        raise RunError(
            f"{listing([metric.name for metric in chosen])} gives no ranks: "
            f"{'; '.join(_unshared([*group.values()]) for group in groups.values())}."
        )
    return RankResult(pairs=facts, ranked=tuple(ranked), told_apart=tuple(told_apart), left_out=tuple(left_out))


# --- what is compared with what ----------------------------------------------------------------------------------


def _chosen_metrics(names: Sequence[str]) -> list[Metric]:
    known = {name: metric for name, metric in metrics().items() if metric.kind != "per_class_confusion"}
    for name in names:
        if name not in known:
            raise UnknownName("metric with one value", name, tuple(known))
    return [known[name] for name in dict.fromkeys(names)]


def _check_names(systems: Sequence[str], known: set[str]) -> None:
    for name in systems:
        if name not in known:
            raise UnknownName("system", name, sorted(known))


def _policy(metric: Metric, policy: FailurePolicy | None) -> FailurePolicy:
    return policy or ("wrong" if metric.kind in HARD_KINDS else "uniform")


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


def _facts(a: ScoredTable, b: ScoredTable) -> PairFacts:
    return PairFacts(
        run_a=a.manifest.run_id, run_b=b.manifest.run_id, differences=manifest_differences(a.manifest, b.manifest)
    )


def _refuse(facts: Sequence[PairFacts]) -> None:
    broken = [(pair, one) for pair in facts for one in pair.breaking]
    if broken:
        pair, first = broken[0]
        more = f" ({len(broken) - 1} more such differences)" if len(broken) > 1 else ""
        raise RunError(
            f"{pair.run_a} and {pair.run_b} are not comparable: {first.field} is {first.a!r} in the one and "
            f"{first.b!r} in the other, and {first.why}{more}. --force compares them all the same."
        )


def _system_names(table: ScoredTable, chosen: Iterable[Metric]) -> set[str]:
    partitions = sorted(table.rows["partition"].unique())
    return {name for metric in chosen for part in partitions for name, _ in _systems(table, metric, partition=part)}


def _systems(table: ScoredTable, metric: Metric, *, partition: str) -> Mapping[System, Folds]:
    """Folds of every system that a metric is defined for, strict reading."""
    if metric.kind in HARD_KINDS:
        hard = hard_systems(table, partition=partition, reading="strict")
        return {(name, "hard"): folds for name, folds in hard.items()}
    rule = table.manifest.vote_rule
    if rule is None or rule not in table.votes:
        return {}
    return soft_systems(table, partition=partition, reading="strict", rule=rule)


def _unshared(tables: Sequence[ScoredTable]) -> str:
    """Why runs over one corpus cannot be compared in a metric, in words."""
    run_ids = listing([table.manifest.run_id for table in tables], most=len(tables))
    asked = [{*table.rows.select("partition", "fold_id", "utterance_id").iter_rows()} for table in tables]
    if _one_split(tables) and not set.intersection(*asked):
        return f"{run_ids} answer no utterance in common: they were limited to other folds or other utterances"
    return f"{run_ids} share no prompt variant on a common test part that it could be computed for"


def _one_split(tables: Iterable[ScoredTable]) -> bool:
    return len({table.manifest.split.split_sha256 for table in tables}) == 1


def _paired(
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


# --- differences -------------------------------------------------------------------------------------------------


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
        left, right = (_systems(table, metric, partition=partition) for table in (a, b))
        for system, folds in left.items():
            if system not in right or (systems is not None and system[0] not in systems):
                continue
            paired, utterances = _paired([folds, right[system]], [a, b])
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
    corrected = _holm([row.difference.p for row in rows])
    return [replace(row, p_holm=p) for row, p in zip(rows, corrected, strict=True)]


def _holm(p_values: Sequence[float | None]) -> list[float | None]:
    defined = [p for p in p_values if p is not None]
    corrected = iter(holm(np.asarray(defined, dtype=np.float64)).tolist())
    return [None if p is None else next(corrected) for p in p_values]


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
    corrected = _holm([mean.difference.p for mean in means])
    return [replace(mean, p_holm=p) for mean, p in zip(means, corrected, strict=True)]


def _mean(system: System, rows: Sequence[tuple[Comparison, FloatArray]]) -> MeanDifference:
    difference = _mean_difference([one.difference for one, _ in rows], [draws for _, draws in rows])
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


def _mean_difference(differences: Sequence[Difference], of_parts: Sequence[FloatArray]) -> Difference:
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


def _together(parts: Sequence[Shared]) -> Shared:
    return Shared(
        n_shared=sum(part.n_shared for part in parts),
        n_alone=tuple(map(sum, zip(*(part.n_alone for part in parts), strict=True))),
        left_out=any(part.left_out for part in parts),
    )


# --- ranks -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Board:
    """Systems side by side, on one test part or over all."""

    place: str
    system: System
    names: tuple[str, ...]
    runs: tuple[str, ...]
    values: FloatArray
    draws: FloatArray
    n_units: int
    together: SideBySide | None
    """What the differences of two of them are made of; None over all test parts."""
    n_utterances: tuple[int, ...]
    n_left_out: tuple[int, ...]


def _boards(
    corpus: str,
    group: Mapping[str, ScoredTable],
    metric: Metric,
    systems: Sequence[str] | None,
    policy: FailurePolicy,
    resamples: int,
    number: int,
) -> list[_Board]:
    """Every system id of every common test part of one corpus, with all runs side by side."""
    found = []
    tables = [*group.values()]
    partitions = set.intersection(*(set(table.rows["partition"]) for table in tables))
    for partition in sorted(partitions):
        of_runs = [_systems(table, metric, partition=partition) for table in tables]
        for system, own in _ranked_systems(of_runs, tables, systems):
            paired, utterances = _paired([of[name] for of, name in zip(of_runs, own, strict=True)], tables)
            if not all(paired):
                continue
            together = side_by_side(
                paired,
                metric=metric,
                label_names=[table.manifest.label_names for table in tables],
                policy=policy,
                resamples=resamples,
                seed=[0, number],
            )
            if np.isnan(together.values).any():
                continue
            found.append(
                _Board(
                    place=f"{corpus} {partition}",
                    system=system,
                    names=tuple(group),
                    runs=tuple(table.manifest.run_id for table in tables),
                    values=together.values,
                    draws=together.draws,
                    n_units=together.n_units,
                    together=together,
                    n_utterances=tuple(sum(fold.n for fold in folds) for folds in paired),
                    n_left_out=utterances.n_alone if utterances.left_out else (0,) * len(tables),
                )
            )
    return found


def _ranked_systems(
    of_runs: Sequence[Mapping[System, Folds]], tables: Sequence[ScoredTable], systems: Sequence[str] | None
) -> list[tuple[System, list[System]]]:
    """What is ranked, and which system of each run that is: the prompts that all runs share.

    Runs of one model that share none, each of one prompt, are ranked by these: the prompt is what they differ in.
    """
    asked = [[system for system in of if systems is None or system[0] in systems] for of in of_runs]
    shared = [system for system in asked[0] if all(system in of for of in asked)]
    if shared or len({plain_name(table.manifest) for table in tables}) > 1:
        return [(system, [system] * len(asked)) for system in shared]
    forms = dict.fromkeys(form for _, form in asked[0])
    by_form = [(form, [[system for system in of if system[1] == form] for of in asked]) for form in forms]
    return [
        ((OWN_PROMPT, form), [only for (only,) in found])
        for form, found in by_form
        if all(len(own) == 1 for own in found)
    ]


def _mean_board(boards: Sequence[_Board]) -> _Board | None:
    """The mean over test parts of the systems that are on all of them; None unless there are two of both."""
    every = set.intersection(*(set(board.names) for board in boards))
    names = tuple(name for name in boards[0].names if name in every)
    if len(boards) < 2 or len(names) < 2:
        return None
    columns = [[board.names.index(name) for name in names] for board in boards]
    placed = [*zip(boards, columns, strict=True)]
    return _Board(
        place="mean",
        system=boards[0].system,
        names=names,
        runs=names,
        values=np.mean([board.values[order] for board, order in placed], axis=0),
        draws=np.mean([board.draws[:, order] for board, order in placed], axis=0),
        n_units=sum(board.n_units for board in boards),
        together=None,
        n_utterances=tuple(sum(board.n_utterances[order[i]] for board, order in placed) for i in range(len(names))),
        n_left_out=tuple(sum(board.n_left_out[order[i]] for board, order in placed) for i in range(len(names))),
    )


def _ranked(board: _Board, metric: Metric) -> list[RankedRun]:
    ranks = rank_intervals(board.values, board.draws, direction=metric.direction)
    rows = []
    for number, rank in enumerate(ranks):
        value = float(board.values[number])
        low, high = None, None
        if board.n_units > 1:
            low, high = percentile_interval(board.draws[:, number], value=value, level=1 - ALPHA)
        rows.append(
            RankedRun(
                place=board.place,
                run=board.runs[number],
                name=board.names[number],
                system_id=board.system[0],
                form=board.system[1],
                metric=metric.name,
                value=value,
                ci_low=low,
                ci_high=high,
                rank=rank.rank,
                rank_low=rank.low,
                rank_high=rank.high,
                n_utterances=board.n_utterances[number],
                n_left_out=board.n_left_out[number],
            )
        )
    return sorted(rows, key=lambda row: row.rank)


def _ranked_pairs(boards: Sequence[_Board], metric: Metric) -> list[RankedPair]:
    """Every two of the systems that are on all test parts, the better one first; one test part is its own mean."""
    every = set.intersection(*(set(board.names) for board in boards))
    sign = 1.0 if metric.direction == "higher" else -1.0

    def mean(name: str) -> float:
        return -sign * float(np.mean([board.values[board.names.index(name)] for board in boards]))

    pairs = []
    for name_a, name_b in combinations(sorted((name for name in boards[0].names if name in every), key=mean), 2):
        differences, draws = [], []
        for board in boards:
            a, b = board.names.index(name_a), board.names.index(name_b)
            if board.together is not None:
                differences.append(difference_of(board.together, a, b))
                draws.append(board.draws[:, a] - board.draws[:, b])
        if any(one.standard_error is None for one in differences):
            continue
        pairs.append(
            RankedPair(
                name_a=name_a,
                name_b=name_b,
                system_id=boards[0].system[0],
                form=boards[0].system[1],
                metric=metric.name,
                n_parts=len(boards),
                difference=_mean_difference(differences, draws),
                p_holm=None,
            )
        )
    return pairs
