"""What hearing is worth, as a table: a run's scores beside those with something else in place of the clips."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from voxemo.core.escape import for_markdown
from voxemo.core.types import AudioCondition
from voxemo.reports.scoreboard import Board, FinishedRun
from voxemo.reports.tables import markdown_table
from voxemo.reports.told_apart import board_systems, told_apart, units_file
from voxemo.scoring.evaluate import Difference
from voxemo.store.files import write_text
from voxemo.store.layout import RunPaths

Gain: TypeAlias = tuple[str, str, AudioCondition, Difference]
"""Test part, prompt, what was heard instead, and the score about the clips minus that."""
HEADER = ("part", "prompt", "heard instead", "UA of clips", "UA instead", "gain", "95 % interval")


def gain_rows(gains: Iterable[Gain]) -> list[list[str]]:
    """A row for each test part, prompt and condition, in percent."""
    rows = []
    for partition, system_id, condition, d in sorted(gains, key=lambda gain: gain[:2]):
        interval = "-" if d.ci_low is None or d.ci_high is None else f"[{100 * d.ci_low:.1f}, {100 * d.ci_high:.1f}]"
        values = ("-" if value is None else f"{100 * value:.1f}" for value in (d.value_a, d.value_b, d.value))
        rows.append([partition, system_id, condition, *values, interval])
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardGain:
    """What hearing is worth to one prompt of a run. Fractions, pooled over folds; None where a score is not defined."""

    model_id: str
    corpus_name: str
    partition: str
    system_id: str
    condition: AudioCondition
    """What was heard instead."""
    value: float | None
    """UA about the clips."""
    instead: float | None
    gain: float | None
    ci_low: float | None
    ci_high: float | None
    """95 % interval of the gain, of a bootstrap that weighs the same speakers the same in both runs."""


def heard_gains(boards: Sequence[Board], runs: Sequence[FinishedRun]) -> list[HeardGain]:
    """The gains of every run that was answered again with something else in place of the clips, from run folders alone.

    Whole runs by the strict reading with failed answers as wrong: of others there are no counts by speaker, nor of runs
    that an older version scored. For a workspace, `steps.hearing.measure_hearing` gives the same differences.

    Args:
        boards: of ``scoreboard.boards(runs)``.
        runs: finished runs of one corpus.

    Returns:
        By condition, run and prompt, in the order of the boards.
    """
    by_id = {run.manifest.run_id: run for run in runs}
    hard = [board for board in boards if board.vote_rule is None]
    return [
        gain
        for deaf in hard
        if deaf.audio_condition != "clean"
        for clean in hard
        if clean.audio_condition == "clean" and _about(clean) == _about(deaf)
        for deafened in _runs_of(deaf, by_id)
        for heard in [one for one in _runs_of(clean, by_id) if _asked(one) == _asked(deafened)][:1]
        for gain in _gains(clean, deaf, heard, deafened)
    ]


def _about(board: Board) -> tuple[str, ...]:
    return board.corpus_id, board.partition, board.split_id, board.label_source


def _runs_of(board: Board, by_id: dict[str, FinishedRun]) -> list[FinishedRun]:
    return [by_id[name] for name in dict.fromkeys(str(one.run_id) for one in board.entries if one.kind == "run")]


def _asked(run: FinishedRun) -> tuple[object, ...]:
    """What two runs share that differ only in what was heard."""
    manifest = run.manifest
    cards = sorted(card.sha256() for card in manifest.model_cards.values())
    return cards, manifest.generation, manifest.split.split_sha256, manifest.label_source


def _gains(clean: Board, deaf: Board, heard: FinishedRun, deafened: FinishedRun) -> Iterator[HeardGain]:
    if not all(units_file(clean, run.path).is_file() for run in (heard, deafened)):
        return
    heard_id, deaf_id = heard.manifest.run_id, deafened.manifest.run_id
    by_run = {
        run_id: {one.system: one for one in board.entries if one.run_id == run_id}
        for board, run_id in ((clean, heard_id), (deaf, deaf_id))
    }
    for system in (name for name in by_run[heard_id] if name in by_run[deaf_id]):
        both = replace(clean, entries=tuple(by_run[run_id][system] for run_id in (heard_id, deaf_id)))
        systems = board_systems(both, [heard, deafened])
        if len(systems.keys) < 2:
            continue
        apart = told_apart(systems, against=(deaf_id, system))[heard_id, system]
        value, instead = (None if np.isnan(one) else float(one) for one in systems.scores.values)
        yield HeardGain(
            model_id=next(iter(heard.manifest.model_cards.values())).model_id,
            corpus_name=clean.corpus_name,
            partition=clean.partition,
            system_id=system,
            condition=deaf.audio_condition,
            value=value,
            instead=instead,
            gain=apart.difference,
            ci_low=apart.ci_low,
            ci_high=apart.ci_high,
        )


def write_hearing(run: Path, gains: Sequence[Gain]) -> Path:
    """Write ``report/hearing.md`` of a run and return its path."""
    path = RunPaths(run).report / "hearing.md"
    units = sorted({d.ci_unit for *_, d in gains if d.ci_unit is not None})
    text = (
        f"# What hearing is worth: {for_markdown(run.name)}\n\n"
        "Unweighted accuracy in percent, pooled over folds, failed answers as wrong: about the clips, and about what "
        "was heard in their place. Silence and noise are as long as the clip, and noise is as strong; shuffled is the "
        "clip of another utterance of the run. A gain whose interval holds 0 is no sign of hearing.\n\n"
        f"Intervals: 95 %, paired bootstrap, resampling by {', '.join(units) or 'nothing'}.\n\n"
        + markdown_table(HEADER, gain_rows(gains), n_text=3)
    )
    write_text(path, text)
    return path
