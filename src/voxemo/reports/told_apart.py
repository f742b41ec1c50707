"""Which systems of a board cannot be told apart: paired by speaker, from run folders alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl

from voxemo.core.errors import UnknownName
from voxemo.reports.scoreboard import Board, FinishedRun
from voxemo.scoring.arrays import BoolArray, FloatArray, IntArray
from voxemo.scoring.paired import (
    PAIRED_MEANS,
    PAIRED_METRICS,
    PairedScores,
    SystemCounts,
    SystemSums,
    paired_differences,
    paired_means,
    paired_scores,
)
from voxemo.scoring.table import METRICS
from voxemo.store.layout import RunPaths
from voxemo.store.tables import UNIT_COUNTS, UNIT_SUMS, Schema, read_table

ALPHA = 0.05

SystemKey: TypeAlias = tuple[str, str]
"""Run id and system id, as an entry of a board has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """One system of a board held against another one. Fractions, not percent."""

    run_id: str
    system: str
    against: SystemKey
    difference: float | None
    """This system minus the other, pooled over folds; None where a score is not defined."""
    ci_low: float | None
    ci_high: float | None
    """95 % interval of this difference alone, of a bootstrap that weighs the same speakers the same in both. Over few
    speakers it is too narrow and may leave 0 out where ``p``, which allows for their number, says nothing."""
    p: float | None
    p_holm: float | None
    """Adjusted for all comparisons with the same other system on the board; None where nothing can vary."""

    @property
    def told_apart(self) -> bool:
        """Whether the two differ by more than chance explains, at a family-wise error rate of 5 %."""
        return self.p_holm is not None and self.p_holm <= ALPHA


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardSystems:
    """The systems of a board, scored on resamples that all of them share."""

    keys: tuple[SystemKey, ...]
    """In the order of the board."""
    metric: str
    best: SystemKey | None
    """The one with the best number on the board (the lowest of a divergence), the first of several; None where there is
    none."""
    scores: PairedScores


def board_systems(
    board: Board, runs: Sequence[FinishedRun], *, metric: str | None = None, resamples: int = 1000, seed: int = 0
) -> BoardSystems:
    """Every whole run's systems on a board, resampled together: by UA on hard labels, by JSD on soft ones.

    Partial runs are left out, since they answer other utterances. There are no systems on a board of the lenient
    reading, or of another failure policy than the benchmark's (``wrong`` for hard answers, ``uniform`` for
    distributions): counts and sums by speaker are kept of the others only.

    Args:
        board: one of ``scoreboard.boards(runs)``.
        runs: the runs that the board was made of; others are passed over.
        metric: what is compared; the board's main metric when None.
        resamples: bootstrap resamples.
        seed: of the bootstrap; same inputs, same bytes.

    Raises:
        RunError: a run was scored before counts, or sums, by speaker were kept.
        UnknownName: the metric is none of hard answers with one value, or, on soft labels, none that sums are kept of.
    """
    name = metric or board.main
    if board.vote_rule is None:
        if name not in PAIRED_METRICS:
            raise UnknownName("hard metric", name, PAIRED_METRICS)
        keys, counts = read_system_counts(board, runs)
        scores = paired_scores(counts, [name], resamples=resamples, seed=seed)[name]
    else:
        if name not in PAIRED_MEANS:
            raise UnknownName("soft metric summed by speaker", name, PAIRED_MEANS)
        keys, sums = read_system_sums(board, runs, metric=name)
        scores = paired_means(sums, resamples=resamples, seed=seed)
    return BoardSystems(keys=keys, metric=name, best=_best(board, keys, name), scores=scores)


def _best(board: Board, keys: Sequence[SystemKey], metric: str) -> SystemKey | None:
    cells = {(str(entry.run_id), entry.system): entry.cells.get(metric) for entry in board.entries}
    values = {key: cell.value for key in keys if (cell := cells[key]) is not None and cell.value is not None}
    better = max if METRICS[metric].direction == "higher" else min
    return better(values, key=lambda key: values[key], default=None)


def told_apart(systems: BoardSystems, *, against: SystemKey | None = None) -> dict[SystemKey, Apart]:
    """Every other system of a board held against one.

    Args:
        systems: of ``board_systems``.
        against: the one; the best of the board when None. The best is so partly by luck, so that a difference from it
            is found a little too often.

    Returns:
        By system, in the order of the board, without ``against``; empty where there is nothing to compare.

    Raises:
        UnknownName: ``against`` is not among the systems.
    """
    other = against or systems.best
    if other is None:
        return {}
    if other not in systems.keys:
        raise UnknownName("system of the board", " ".join(other), [" ".join(key) for key in systems.keys])
    found = {}
    for one in paired_differences(systems.scores, against=systems.keys.index(other)):
        run_id, system = systems.keys[one.system]
        found[run_id, system] = Apart(
            run_id=run_id,
            system=system,
            against=other,
            difference=_number(one.value),
            ci_low=_number(one.ci_low),
            ci_high=_number(one.ci_high),
            p=_number(one.p),
            p_holm=_number(one.p_holm),
        )
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


# --- counts and sums from run folders ----------------------------------------------------------------------------


def units_file(board: Board, run: Path) -> Path:
    """What ``board_systems`` reads of a run folder; a run that was scored by an older version lacks it."""
    paths = RunPaths(run)
    return paths.unit_counts if board.vote_rule is None else paths.unit_sums


def read_system_counts(
    board: Board, runs: Sequence[FinishedRun], *, only: Collection[SystemKey] | None = None
) -> tuple[tuple[SystemKey, ...], SystemCounts]:
    """Counts by speaker of every system that ``board_systems`` compares on a board of hard labels, or of some of them.

    Raises:
        RunError: as there.
    """
    counted = (board.vote_rule, board.reading, board.failure_policy) == (None, "strict", "wrong")
    keys, chosen = _compared(board, runs, only) if counted else ((), [])
    label_names = next((run.manifest.label_names for run in chosen), ())
    tables = [_read_counts(run, board, label_names, keys) for run in chosen]
    return keys, _counts(pl.concat(tables), len(keys), len(label_names)) if tables else _nothing()


def read_system_sums(
    board: Board, runs: Sequence[FinishedRun], *, metric: str
) -> tuple[tuple[SystemKey, ...], SystemSums]:
    """Sums by speaker of every system that ``board_systems`` compares on a board of soft labels.

    Raises:
        RunError: as there.
    """
    summed = board.vote_rule is not None and (board.reading, board.failure_policy) == ("strict", "uniform")
    keys, chosen = _compared(board, runs) if summed else ((), [])
    tables = [_read_sums(run, board, metric, keys) for run in chosen]
    if not tables:
        return keys, SystemSums(sums=np.zeros((0, 0)), n=np.zeros((0, 0)))
    rows = pl.concat(tables)
    unit, n_units = _unit_numbers(rows)
    cells = unit * len(keys) + rows["system"].to_numpy()

    def total(column: str) -> FloatArray:
        sums = np.bincount(cells, weights=rows[column].to_numpy(), minlength=n_units * len(keys))
        return np.asarray(sums.reshape(n_units, len(keys)), dtype=np.float64)

    return keys, SystemSums(sums=total("sum"), n=total("n"))


def _compared(
    board: Board, runs: Sequence[FinishedRun], only: Collection[SystemKey] | None = None
) -> tuple[tuple[SystemKey, ...], list[FinishedRun]]:
    """Systems of whole runs, in the order of the board, and their runs."""
    whole = [entry for entry in board.entries if entry.kind == "run" and not entry.partial]
    known = [(str(entry.run_id), entry.system) for entry in whole]
    keys = tuple(key for key in known if only is None or key in only)
    by_id = {run.manifest.run_id: run for run in runs}
    return keys, [by_id[run_id] for run_id in dict.fromkeys(run_id for run_id, _ in keys)]


def _read_counts(run: FinishedRun, board: Board, label_names: Sequence[str], keys: Sequence[SystemKey]) -> pl.DataFrame:
    """Rows of one run: unit by name, system, true and predicted label by number; -1 for a failed answer."""
    labels = {name: place for place, name in enumerate(label_names)}
    table, same = _read_units(run, board, UNIT_COUNTS, keys)
    return table.select(
        *same, gold=_coded("gold", labels), predicted=_coded("predicted", {**labels, "failed": -1}), n="n"
    )


def _read_sums(run: FinishedRun, board: Board, metric: str, keys: Sequence[SystemKey]) -> pl.DataFrame:
    """Rows of one run: unit by name, system by number, utterances and the sum of the metric."""
    table, same = _read_units(run, board, UNIT_SUMS, keys)
    return table.filter(vote_rule=board.vote_rule, metric=metric).select(*same, "n", "sum")


def _read_units(
    run: FinishedRun, board: Board, schema: Schema, keys: Sequence[SystemKey]
) -> tuple[pl.DataFrame, tuple[pl.Expr, pl.Expr]]:
    """Rows of one run's systems on a board's partition; and what they are about: unit by name, system by number."""
    number = {system: place for place, (run_id, system) in enumerate(keys) if run_id == run.manifest.run_id}
    table = read_table(units_file(board, run.path), schema).filter(
        pl.col("partition") == board.partition, pl.col("system_id").is_in(list(number))
    )
    # An utterance of an unknown speaker could have a speaker's name.
    unit = pl.concat_str("unit_kind", pl.lit(" "), "unit").alias("unit")
    return table, (unit, _coded("system_id", number).alias("system"))


def _coded(column: str, codes: Mapping[str, int]) -> pl.Expr:
    return pl.col(column).cast(pl.Categorical).replace_strict(codes, return_dtype=pl.Int64)


def _unit_numbers(rows: pl.DataFrame) -> tuple[IntArray, int]:
    """Number of each row's unit in the order of their names, and how many there are."""
    units = rows["unit"].unique().sort()
    return rows["unit"].cast(pl.Enum(units)).to_physical().cast(pl.Int64).to_numpy(), len(units)


def _counts(rows: pl.DataFrame, n_systems: int, n_labels: int) -> SystemCounts:
    unit, n_units = _unit_numbers(rows)
    gold, predicted, n = (rows[name].to_numpy() for name in ("gold", "predicted", "n"))
    shape = (n_units, n_systems, n_labels)
    start = (unit * n_systems + rows["system"].to_numpy()) * n_labels

    def total(labels: IntArray, counted: BoolArray) -> FloatArray:
        cells = (start + labels)[counted]
        sums = np.bincount(cells, weights=n[counted], minlength=int(np.prod(shape)))
        return np.asarray(sums.reshape(shape), dtype=np.float64)

    truths, truth_of = _distinct(total(gold, np.ones(len(n), dtype=bool)))
    return SystemCounts(
        hits=total(gold, gold == predicted),
        predicted=total(predicted, predicted >= 0),
        truths=truths,
        truth_of=truth_of,
    )


def _distinct(true: FloatArray) -> tuple[FloatArray, IntArray]:
    """Truths that differ, and which one each system has; whole runs over one split all have the same."""
    number: dict[bytes, int] = {}
    first: list[int] = []
    truth_of: list[int] = []
    for system in range(true.shape[1]):
        content = true[:, system].tobytes()
        if content not in number:
            number[content] = len(number)
            first.append(system)
        truth_of.append(number[content])
    return true[:, first], np.array(truth_of, dtype=np.int64)


def _nothing() -> SystemCounts:
    empty = np.zeros((0, 0, 1))
    return SystemCounts(hits=empty, predicted=empty, truths=empty, truth_of=np.zeros(0, dtype=np.int64))
