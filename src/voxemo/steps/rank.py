"""Several systems in order, with rank intervals, and every two of them tested. What is resampled is as in `compare`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from voxemo.core.errors import RunError, listing
from voxemo.core.types import FailurePolicy
from voxemo.scoring.arrays import FloatArray
from voxemo.scoring.bootstrap import percentile_interval
from voxemo.scoring.evaluate import Difference, SideBySide, difference_of, side_by_side
from voxemo.scoring.ranks import rank_intervals
from voxemo.scoring.table import Metric
from voxemo.steps.comparable import PairFacts, pair_facts, plain_name, refuse_incomparable, system_names
from voxemo.steps.paired_folds import (
    ALPHA,
    Folds,
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

OWN_PROMPT = "own prompt"
"""Stands for the one prompt of each run where runs are ranked that share none."""


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
        workspace: as `compare.compare_sets`, and so the others.
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
    chosen = chosen_metrics(metric_names)
    tables = [load_scored(workspace, run) for run in runs]
    groups: dict[str, dict[str, ScoredTable]] = {}
    for table, name in zip(tables, system_names([table.manifest for table in tables]), strict=True):
        groups.setdefault(table.manifest.corpus_card.corpus_id, {})[name] = table
    left_out = [f"{corpus} has one run only" for corpus, group in groups.items() if len(group) < 2]
    groups = {corpus: group for corpus, group in groups.items() if len(group) > 1}
    if not groups:
        raise RunError("No corpus has two of these runs; ranks need systems over the same corpus.")
    facts = tuple(
        pair_facts(first.manifest, other.manifest)
        for group in groups.values()
        for first, *others in [[*group.values()]]
        for other in others
    )
    if not force:
        refuse_incomparable(facts)
    if systems:
        every = (prompts_of(table, chosen) for group in groups.values() for table in group.values())
        check_names(systems, set.union(*every))
    ranked: list[RankedRun] = []
    told_apart: list[RankedPair] = []
    for metric in chosen:
        boards: dict[System, list[_Board]] = {}
        for number, (corpus, group) in enumerate(groups.items()):
            made = _boards(corpus, group, metric, systems, policy_for(metric, policy), resamples, number)
            if not made:
                left_out.append(f"{metric.name}: {why_unshared([*group.values()])}")
            for board in made:
                boards.setdefault(board.system, []).append(board)
                ranked += _ranked(board, metric)
        tested: list[RankedPair] = []
        for of_system in boards.values():
            over = _mean_board(of_system)
            ranked += [] if over is None else _ranked(over, metric)
            tested += _ranked_pairs(of_system, metric)
        corrected = holm_adjusted([pair.difference.p for pair in tested])
        told_apart += [replace(pair, p_holm=p) for pair, p in zip(tested, corrected, strict=True)]
    if not ranked:
        raise RunError(
            f"{listing([metric.name for metric in chosen])} gives no ranks: "
            f"{'; '.join(why_unshared([*group.values()]) for group in groups.values())}."
        )
    return RankResult(pairs=facts, ranked=tuple(ranked), told_apart=tuple(told_apart), left_out=tuple(left_out))


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
        of_runs = [systems_of(table, metric, partition=partition) for table in tables]
        for system, own in _ranked_systems(of_runs, tables, systems):
            paired, utterances = paired_folds([of[name] for of, name in zip(of_runs, own, strict=True)], tables)
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
                difference=mean_difference(differences, draws),
                p_holm=None,
            )
        )
    return pairs
