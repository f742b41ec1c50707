"""Trainings of one base on one corpus beside each other: validation UA, by which to choose, and test UA."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from voxemo.core.cards import RunManifest, TrainingRecord
from voxemo.reports.scoreboard import FinishedRun
from voxemo.reports.tables import markdown_table

WARNING = (
    "Choose by validation UA. A row that is chosen by its test UA has been fitted to the test part, and its score says "
    "nothing about other speech."
)
SWEPT = {
    "rank": "rank",
    "alpha": "alpha",
    "dropout": "dropout",
    "learning_rate": "learning rate",
    "batch_size": "batch",
    "n_epochs": "epochs",
    "warmup_share": "warm-up",
    "weight_decay": "decay",
}
"""Values of a recipe that a column may show, and its head."""
VALID, TEST = "valid UA %", "test UA %"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """One training: the mean over its folds."""

    corpus_id: str
    base_model_id: str
    split_id: str
    partition: str
    model_id: str
    seed: int
    recipe: dict[str, float]
    valid_ua: float | None
    """Of the epoch that each card names, in [0, 1]; None where nothing was validated."""
    test_ua: float | None
    run_id: str
    partial: bool


def sweep_rows(runs: Sequence[FinishedRun]) -> list[SweepRow]:
    """A row for each fine-tuned model that was run in its own corpus, by validation UA; of sweeps alone.

    A sweep is two or more trainings of one base on one corpus and split.
    """
    rows = [row for run in runs if _records(run.manifest) for row in _rows(run)]
    groups: dict[tuple[str, ...], list[SweepRow]] = {}
    for row in rows:
        groups.setdefault((row.corpus_id, row.base_model_id, row.split_id, row.partition), []).append(row)
    return [
        row
        for members in groups.values()
        if len(members) > 1
        for row in sorted(members, key=lambda row: (-(row.valid_ua or 0.0), row.model_id))
    ]


def _records(manifest: RunManifest) -> list[TrainingRecord]:
    records = [card.training for card in manifest.model_cards.values()]
    own = manifest.corpus_card.corpus_id
    return [one for one in records if one is not None and one.kind == "sft" and one.corpus_id == own]


def _rows(run: FinishedRun) -> Iterator[SweepRow]:
    manifest, records = run.manifest, _records(run.manifest)
    found = [_kept_valid_ua(record) for record in records]
    valid = [value for value in found if value is not None]
    first = records[0]
    for partition in manifest.split.partitions:
        test = run.scores.filter(
            pl.col("metric") == "unweighted_accuracy",
            pl.col("partition") == partition,
            pl.col("system_id") == "direct",
            pl.col("form") == "hard",
            pl.col("reading") == "strict",
            pl.col("failure_policy") == "wrong",
            pl.col("fold_id") == "mean",
        )["value"]
        yield SweepRow(
            corpus_id=manifest.corpus_card.corpus_id,
            base_model_id=str(first.base_model_id),
            split_id=manifest.split.split_id,
            partition=partition,
            model_id=next(iter(manifest.model_cards.values())).model_id,
            seed=first.seed,
            recipe={name: first.recipe[name] for name in SWEPT if name in first.recipe},
            valid_ua=sum(valid) / len(valid) if valid and len(valid) == len(found) else None,
            test_ua=test[0] if len(test) else None,
            run_id=manifest.run_id,
            partial=run.partial is not None,
        )


def _kept_valid_ua(record: TrainingRecord) -> float | None:
    kept = record.recipe.get("kept_epoch")
    return next((one["valid_ua"] for one in record.recipe.get("epochs", ()) if one["epoch"] == kept), None)


def table_rows(rows: Sequence[SweepRow]) -> list[list[str]]:
    """The sweep as rows of text, header first; of the recipe, what differs between rows."""
    shown = [name for name in SWEPT if len({row.recipe.get(name) for row in rows}) > 1]
    header = ["corpus", "part", "model", *(SWEPT[name] for name in shown), "seed", VALID, TEST]
    return [
        header,
        *(
            [
                row.corpus_id,
                row.partition,
                row.model_id + (", PARTIAL" if row.partial else ""),
                *(f"{row.recipe[name]:g}" if name in row.recipe else "-" for name in shown),
                str(row.seed),
                _percent(row.valid_ua),
                _percent(row.test_ua),
            ]
            for row in rows
        ),
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def markdown(rows: Sequence[SweepRow]) -> str:
    """The sweep as a Markdown document."""
    header, *lines = table_rows(rows)
    return f"# Sweep\n\n{WARNING}\n\n{markdown_table(header, lines, n_text=3)}"


def csv_table(rows: Sequence[SweepRow]) -> pl.DataFrame:
    """One row for each training; fractions, not percent."""
    return pl.DataFrame(
        [
            {
                "corpus_id": row.corpus_id,
                "split_id": row.split_id,
                "partition": row.partition,
                "base_model_id": row.base_model_id,
                "model_id": row.model_id,
                **row.recipe,
                "seed": row.seed,
                "valid_ua": row.valid_ua,
                "test_ua": row.test_ua,
                "partial": row.partial,
                "run_id": row.run_id,
            }
            for row in rows
        ],
        infer_schema_length=None,
    )
