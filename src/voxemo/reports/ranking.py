"""The overall ranking: mean macro-F1 over the evaluation splits, of systems that cover every one of them.

A system is a model and how it was trained. It is ranked by the vote of the paper's five prompts where all five were
asked, and by its prompt where it was asked one only, as fine-tuned models are. Its best prompt is no basis: the best of
five, chosen on the very test part that it is then scored on, is good partly by luck, the more so the fewer the
utterances and the more prompts there are to choose from. The mean of the best prompts stands beside, unranked, because
the paper's analyses speak of it.

Synthetic corpora are never ranked beside real ones, and transfers are not ranked at all: the corpus that a model was
trained on would be missing among those it is tested on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.types import CORRECTED, ENSEMBLE, LIKELIHOOD
from voxemo.reports.scoreboard import Board, Entry, FinishedRun
from voxemo.reports.told_apart import read_system_counts
from voxemo.scoring.arrays import FloatArray
from voxemo.scoring.bootstrap import percentile_interval
from voxemo.scoring.paired import paired_scores
from voxemo.scoring.ranks import rank_intervals

METRIC = "macro_f1"
LEVEL = 0.95

System: TypeAlias = tuple[str, str]
"""Model id, and how it was trained as an entry of a board says it: ``zero-shot``, ``sft``, ``supervised``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedSplit:
    """One evaluation split of a ranking."""

    corpus_id: str
    corpus_name: str
    partition: str
    split_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedSystem:
    """One system of a ranking. Scores are fractions; they and the rank are None under partial coverage."""

    model: str
    training: str
    system: str | None
    """What it is ranked by: ``ensemble``, or its only prompt; None where several were asked and not all five."""
    rank: int | None
    rank_low: int | None
    """Best rank in 95 % of the resamples."""
    rank_high: int | None
    mean: float | None
    """Macro-F1, mean over the splits."""
    ci_low: float | None
    ci_high: float | None
    best_prompt_mean: float | None
    """The same with the best prompt of each split, chosen on its test part: flatters, and is not ranked."""
    n_splits: int
    """Splits that it covers."""
    missing: tuple[str, ...]
    """Splits that it lacks, as ``corpus partition``."""
    deviations: tuple[str, ...]
    """How its runs deviate from the standard protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Systems over the same evaluation splits."""

    synthetic: bool
    """Of synthetic corpora alone: shows how ranking works, and says nothing about real speech."""
    splits: tuple[RankedSplit, ...]
    systems: tuple[RankedSystem, ...]
    """Ranked ones from the best, then the others by coverage."""


def rankings(
    boards: Sequence[Board],
    runs: Sequence[FinishedRun],
    *,
    splits: Iterable[tuple[str, str]] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Ranking]:
    """Rank systems over real corpora and, apart from them, over synthetic ones.

    The evaluation splits are those of ``evaluation_boards``; where a corpus of the paper is among them, real corpora
    that are not the paper's are left out. A system that lacks one of the splits has no rank.

    Intervals are about the speakers of the test parts: those of each corpus are resampled, all systems with the same
    weights, around its score, while the corpora stay as they are. Ranks are counted in the same resamples.

    Args:
        boards: of ``scoreboard.boards(runs)``, strict reading, failed answers wrong.
        runs: the runs that the boards were made of.
        splits: the evaluation splits of real corpora as (corpus, partition), where not all of them are meant.
        resamples: bootstrap resamples.
        seed: of the bootstrap; same inputs, same bytes.

    Returns:
        One ranking, or two, or none where there is no split.

    Raises:
        RunError: a run was scored before counts by speaker were kept.
    """
    by_id = {run.manifest.run_id: run for run in runs}
    places = evaluation_boards(boards, runs)
    if splits is None:
        of_paper = {place for place, board in places.items() if _card(board, by_id).paper is not None}
        wanted = {place for place in places if place in of_paper or not of_paper}
    else:
        wanted = set(splits)
    made = []
    for synthetic in (False, True):
        chosen = {
            place: board
            for place, board in places.items()
            if (synthetic or place in wanted) and _card(board, by_id).synthetic == synthetic
        }
        if chosen:
            made.append(_ranking(chosen, by_id, synthetic=synthetic, resamples=resamples, seed=seed))
    return made


def evaluation_boards(boards: Sequence[Board], runs: Sequence[FinishedRun]) -> dict[tuple[str, str], Board]:
    """The board of hard labels that counts for each (corpus, test partition), sorted.

    Strict reading, failed answers wrong, clean audio, the corpus's own gold labels and its whole label set. Of several
    such boards, as for two ways of splitting a corpus, the one with most systems; the first of equals.

    Args:
        boards: of ``scoreboard.boards(runs)``.
        runs: the runs that the boards were made of.
    """
    by_id = {run.manifest.run_id: run for run in runs}
    found: dict[tuple[str, str], Board] = {}
    for board in sorted(boards, key=lambda board: (board.corpus_id, board.partition, board.split_id)):
        counted = (board.vote_rule, board.reading, board.failure_policy, board.audio_condition)
        members = _systems(board, by_id)
        if counted != (None, "strict", "wrong", "clean") or not members:
            continue
        manifest = by_id[str(next(iter(members.values()))[0].run_id)].manifest
        card = manifest.corpus_card
        if (manifest.label_source, manifest.label_names) != (card.gold, card.labels.names):
            continue
        place = (board.corpus_id, board.partition)
        if place not in found or len(members) > len(_systems(found[place], by_id)):
            found[place] = board
    return found


def _card(board: Board, by_id: Mapping[str, FinishedRun]) -> CorpusCard:
    run_id = next(entry.run_id for entry in board.entries if entry.kind == "run")
    return by_id[str(run_id)].manifest.corpus_card


def _systems(board: Board, by_id: Mapping[str, FinishedRun]) -> dict[System, list[Entry]]:
    """Entries of each system on a board: its prompts and their vote, of whole runs."""
    found: dict[System, list[Entry]] = {}
    for entry in board.entries:
        if entry.kind == "run" and not entry.partial and not entry.training.startswith("transfer"):
            # Not the entry's name: that gets the hash of its run where two would read the same.
            card = next(iter(by_id[str(entry.run_id)].manifest.model_cards.values()))
            found.setdefault((card.model_id, entry.training), []).append(entry)
    return found


def _ranking(
    places: Mapping[tuple[str, str], Board],
    by_id: Mapping[str, FinishedRun],
    *,
    synthetic: bool,
    resamples: int,
    seed: int,
) -> Ranking:
    on_boards = {place: _systems(board, by_id) for place, board in places.items()}
    every = sorted({system for members in on_boards.values() for system in members})
    standing = {
        system: {place: members[system] for place, members in on_boards.items() if system in members}
        for system in every
    }
    chosen = {system: _representatives(entries) for system, entries in standing.items()}
    whole = [system for system in every if chosen[system].keys() == places.keys()]
    values = np.array([[_value(chosen[system][place]) for place in places] for system in whole], dtype=np.float64)
    values = values.reshape(len(whole), len(places))
    draws = _draws(places, [chosen[system] for system in whole], values, by_id, resamples=resamples, seed=seed)
    rows = [
        _row(system, standing[system], chosen[system], places, by_id, numbers=numbers)
        for system, numbers in zip(whole, _numbers(values.mean(axis=1), draws), strict=True)
    ]
    others = [
        _row(system, standing[system], chosen[system], places, by_id, numbers=UNRANKED)
        for system in every
        if system not in whole
    ]
    return Ranking(
        synthetic=synthetic,
        splits=tuple(
            RankedSplit(
                corpus_id=board.corpus_id,
                corpus_name=board.corpus_name,
                partition=board.partition,
                split_id=board.split_id,
            )
            for board in places.values()
        ),
        systems=(*sorted(rows, key=lambda row: row.rank or 0), *sorted(others, key=lambda row: -row.n_splits)),
    )


def _representatives(standing: Mapping[tuple[str, str], Sequence[Entry]]) -> dict[tuple[str, str], Entry]:
    """What one system is ranked by on each split, where there is one such entry; see the module."""
    names = {entry.system for entries in standing.values() for entry in entries}
    asked = {name for name in names if name != ENSEMBLE and not name.startswith((LIKELIHOOD, CORRECTED))}
    if ENSEMBLE not in names and len(asked) != 1:
        return {}
    (by,) = {ENSEMBLE} if ENSEMBLE in names else asked
    found = {}
    for place, entries in standing.items():
        able = [entry for entry in entries if entry.system == by and _value(entry) is not None]
        # Of runs with other decoding or prompts the standard one counts.
        standard = [entry for entry in able if not entry.note] if len(able) > 1 else able
        if len(standard) == 1:
            found[place] = standard[0]
    return found


def _value(entry: Entry) -> float | None:
    cell = entry.cells.get(METRIC)
    return None if cell is None else cell.value


def _draws(
    places: Mapping[tuple[str, str], Board],
    chosen: Sequence[Mapping[tuple[str, str], Entry]],
    values: FloatArray,
    by_id: Mapping[str, FinishedRun],
    *,
    resamples: int,
    seed: int,
) -> FloatArray:
    """Resampled means over the splits, shape (resamples, n_systems).

    Resamples are of pooled scores, as counts by speaker give them, and moved to the board's means over folds.
    """
    total = np.zeros((resamples, len(chosen)))
    for number, (place, board) in enumerate(places.items()):
        wanted = [(str(entries[place].run_id), entries[place].system) for entries in chosen]
        keys, counts = read_system_counts(board, list(by_id.values()), only=wanted)
        scores = paired_scores(counts, [METRIC], resamples=resamples, seed=[seed, number])[METRIC]
        order = [keys.index(key) for key in wanted]
        total += scores.draws[:, order] - scores.values[order] + values[:, number]
    return total / max(len(places), 1)


def _numbers(means: FloatArray, draws: FloatArray) -> list[dict[str, Any]]:
    """Rank, mean and their intervals of each system."""
    numbers = []
    ranks = rank_intervals(means, draws, direction="higher", level=LEVEL)
    for system, (mean, rank) in enumerate(zip(means.tolist(), ranks, strict=True)):
        low, high = percentile_interval(draws[:, system], value=mean, level=LEVEL)
        numbers.append(
            {
                "rank": rank.rank,
                "rank_low": rank.low,
                "rank_high": rank.high,
                "mean": mean,
                "ci_low": None if np.isnan(low) else low,
                "ci_high": None if np.isnan(high) else high,
            }
        )
    return numbers


UNRANKED = dict.fromkeys(("rank", "rank_low", "rank_high", "mean", "ci_low", "ci_high"))


def _row(
    system: System,
    standing: Mapping[tuple[str, str], Sequence[Entry]],
    chosen: Mapping[tuple[str, str], Entry],
    places: Mapping[tuple[str, str], Board],
    by_id: Mapping[str, FinishedRun],
    *,
    numbers: Mapping[str, Any],
) -> RankedSystem:
    deviations = {text for entry in chosen.values() for text in by_id[str(entry.run_id)].manifest.deviations}
    return RankedSystem(
        model=system[0],
        training=system[1],
        system=next((entry.system for entry in chosen.values()), None),
        best_prompt_mean=_best_prompt_mean([standing.get(place, ()) for place in places]),
        n_splits=len(chosen),
        missing=tuple(" ".join(place) for place in places if place not in chosen),
        deviations=tuple(sorted(deviations)),
        **numbers,
    )


def _best_prompt_mean(standing: Sequence[Sequence[Entry]]) -> float | None:
    """Mean over the splits of the best of the paper's five prompts; None unless all five stand on every split."""
    best = []
    for entries in standing:
        scores = {entry.system: value for entry in entries if (value := _value(entry)) is not None}
        if not set(lookup.prompt_names()) <= scores.keys():
            return None
        best.append(max(scores[name] for name in lookup.prompt_names()))
    return sum(best) / len(best)
