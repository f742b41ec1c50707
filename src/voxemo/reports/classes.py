"""What a run does class by class: recall, precision and F1 of every label, and where its answers go."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from voxemo.core.escape import for_markdown
from voxemo.reports.scoreboard import FinishedRun, prompt_title
from voxemo.reports.tables import markdown_table
from voxemo.store.files import write_text
from voxemo.store.layout import RunPaths
from voxemo.store.tables import CONFUSIONS, read_table

FAILED = "failed"
CLASS_METRICS = ("recall", "precision", "f1")


def class_scores(run: FinishedRun, *, partition: str, system_id: str) -> pl.DataFrame:
    """Recall, precision and F1 of each label: strict reading, failed answers as wrong, mean over folds.

    Columns: class_label, recall, precision, f1; in label-set order. Null where a metric is undefined.
    """
    rows = run.scores.filter(
        pl.col("metric").is_in(CLASS_METRICS),
        pl.col("partition") == partition,
        pl.col("system_id") == system_id,
        pl.col("reading") == "strict",
        pl.col("failure_policy") == "wrong",
        pl.col("fold_id") == "mean",
    )
    return rows.pivot("metric", index="class_label", values="value", maintain_order=True)


def confusion(
    confusions: pl.DataFrame, label_names: Sequence[str], *, partition: str, system_id: str
) -> list[list[int]]:
    """Counts pooled over folds: a row for each true label, a column for each answer, failed answers last."""
    rows = confusions.filter(
        pl.col("partition") == partition, pl.col("system_id") == system_id, pl.col("reading") == "strict"
    )
    cells = {
        (gold, predicted): n for gold, predicted, n in rows.group_by("gold", "predicted").agg(pl.sum("n")).iter_rows()
    }
    return [[cells.get((gold, predicted), 0) for predicted in (*label_names, FAILED)] for gold in label_names]


def classes_markdown(run: FinishedRun, confusions: pl.DataFrame) -> str:
    """Per-class scores and confusions of every prompt of a run, as a Markdown document."""
    names = run.manifest.label_names
    parts = [f"# Class by class: {for_markdown(run.manifest.run_id)}\n"]
    parts.append(
        "Strict reading; a failed answer is a miss for its class. Scores: percent, mean over folds. "
        "Confusions: utterances, pooled over folds; rows are the truth.\n"
    )
    keys = confusions.select("partition", "system_id").unique(maintain_order=True)
    for partition, system_id in keys.iter_rows():
        parts.append(f"## {for_markdown(f'{partition}, {prompt_title(system_id)}')}\n")
        scores = {row[0]: row[1:] for row in class_scores(run, partition=partition, system_id=system_id).iter_rows()}
        counts = confusion(confusions, names, partition=partition, system_id=system_id)
        header = ["truth", "recall", "precision", "F1", *(f"→ {name}" for name in (*names, FAILED))]
        rows = [
            [name, *(_percent(value) for value in scores.get(name, (None, None, None))), *map(str, row)]
            for name, row in zip(names, counts, strict=True)
        ]
        parts.append(markdown_table(header, rows, n_text=1))
    return "\n".join(parts)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def write_classes(run: FinishedRun) -> Path:
    """Write ``report/classes.md`` of a run and return its path."""
    paths = RunPaths(run.path)
    path = paths.report / "classes.md"
    write_text(path, classes_markdown(run, read_table(paths.confusions, CONFUSIONS)))
    return path
