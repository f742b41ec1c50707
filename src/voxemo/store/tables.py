"""Parquet in and out: one explicit schema per row type."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.core.errors import RunError
from voxemo.core.types import Fold, Split, Utterance
from voxemo.store.files import write_atomically

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

UTTERANCES: Schema = {
    "utterance_id": pl.String,
    "corpus_id": pl.String,
    "audio_path": pl.String,
    "start_s": pl.Float64,
    "end_s": pl.Float64,
    "duration_s": pl.Float64,
    "sample_rate_hz": pl.Int64,
    "n_channels": pl.Int64,
    "audio_sha256": pl.String,
    "speaker_id": pl.String,
    "speaker_gender": pl.String,
    "speaker_age": pl.Int64,
    "language": pl.String,
    "transcript": pl.String,
    "session_id": pl.String,
    "expressed": pl.String,
    "perceived": pl.String,
    "provider_partition": pl.String,
    "unusable_reason": pl.String,
    "excluded_reason": pl.String,
}

VOTES: Schema = {
    "utterance_id": pl.String,
    "rule": pl.String,
    "raw_label": pl.String,
    "label": pl.String,
    "n": pl.Float64,
}

SPLIT: Schema = {"fold_id": pl.String, "partition": pl.String, "utterance_id": pl.String}

PLAN: Schema = {
    "request_id": pl.String,
    "utterance_id": pl.String,
    "fold_id": pl.String,
    "partition": pl.String,
    "form": pl.String,
    "variant_id": pl.String,
    "prompt_sha256": pl.String,
    "audio_sha256": pl.String,
    "audio_condition": pl.String,
    "model_id": pl.String,
    "model_sha256": pl.String,
    "sample_index": pl.Int64,
}

PREDICTIONS: Schema = {
    "request_id": pl.String,
    "utterance_id": pl.String,
    "system_id": pl.String,
    "form": pl.String,
    "reading": pl.String,
    "status": pl.String,
    "label": pl.String,
    "distribution": pl.List(pl.Float64),
    "repairs": pl.List(pl.String),
    "reason": pl.String,
    "raw_label": pl.String,
    "label_status": pl.String,
    "label_reason": pl.String,
}

SCORES: Schema = {
    "run_id": pl.String,
    "model_id": pl.String,
    "training": pl.String,
    "source_corpus_id": pl.String,
    "corpus_id": pl.String,
    "split_id": pl.String,
    "partition": pl.String,
    "fold_id": pl.String,
    "system_id": pl.String,
    "form": pl.String,
    "reading": pl.String,
    "audio_condition": pl.String,
    "label_source": pl.String,
    "vote_rule": pl.String,
    "class_label": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "ci_unit": pl.String,
    "n": pl.Int64,
    "n_failed": pl.Int64,
    "failure_policy": pl.String,
    "tie_break": pl.String,
    "scorer_version": pl.String,
}

CONFUSIONS: Schema = {
    "system_id": pl.String,
    "reading": pl.String,
    "partition": pl.String,
    "fold_id": pl.String,
    "gold": pl.String,
    "predicted": pl.String,
    "n": pl.Int64,
}


def frame(rows: Iterable[Mapping[str, Any]], schema: Schema) -> pl.DataFrame:
    """Make a table of rows, with exactly the columns and types of the schema."""
    return pl.DataFrame(list(rows), schema=dict(schema), orient="row")


def write_table(path: Path, table: pl.DataFrame, schema: Schema) -> None:
    """Write a table atomically, after casting it to its schema."""
    fitted = table.select([pl.col(name).cast(kind) for name, kind in schema.items()])
    write_atomically(path, lambda file: fitted.write_parquet(file))


def read_table(path: Path, schema: Schema) -> pl.DataFrame:
    """Read a table and check its columns.

    Raises:
        RunError: the file is missing, damaged, or of another schema.
    """
    try:
        table = pl.read_parquet(path)
    except FileNotFoundError as cause:
        raise RunError(f"{path} is missing; the step that writes it has not run.") from cause
    except (OSError, pl.exceptions.PolarsError) as cause:
        raise RunError(f"{path} cannot be read: {cause}. Delete it and run the step that writes it again.") from cause
    if dict(table.schema) != {name: pl.Schema({name: kind})[name] for name, kind in schema.items()}:
        raise RunError(
            f"{path} has other columns than this version writes: {', '.join(table.columns)}. "
            "It was written by another version of voxemo; run the step that writes it again."
        )
    return table


# --- utterances and splits as values -----------------------------------------------------------------------------


def utterance_frame(utterances: Iterable[Utterance]) -> pl.DataFrame:
    """Utterances as a table."""
    return frame((asdict(utterance) for utterance in utterances), UTTERANCES)


def utterance_rows(table: pl.DataFrame) -> tuple[Utterance, ...]:
    """The rows of an utterance table as values."""
    names = [f.name for f in fields(Utterance)]
    return tuple(Utterance(**row) for row in table.select(names).iter_rows(named=True))


def split_frame(folds: Iterable[Fold]) -> pl.DataFrame:
    """Folds as a table of (fold, partition, utterance)."""
    return frame(
        (
            {"fold_id": fold.fold_id, "partition": partition, "utterance_id": name}
            for fold in folds
            for partition, names in fold.partitions.items()
            for name in names
        ),
        SPLIT,
    )


def split_folds(table: pl.DataFrame) -> tuple[Fold, ...]:
    """The folds of a split table, in the order in which they were written."""
    folds: dict[str, dict[str, list[str]]] = {}
    for fold_id, partition, name in table.iter_rows():
        folds.setdefault(fold_id, {}).setdefault(partition, []).append(name)
    return tuple(
        Fold(fold_id=fold_id, partitions={partition: tuple(names) for partition, names in partitions.items()})
        for fold_id, partitions in folds.items()
    )


def split_document(split: Split) -> dict[str, Any]:
    """A split's facts without its folds, for the JSON file beside the table."""
    content = asdict(split)
    del content["folds"]
    return content
