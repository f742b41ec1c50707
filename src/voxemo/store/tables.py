"""Parquet in and out: one explicit schema per row type, taken from the row types of ``core.types``."""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import polars as pl

from voxemo.core.errors import RunError
from voxemo.core.types import AnalysisRow, Fold, ParsedPrediction, Request, ScoreRow, Split, Utterance
from voxemo.store.files import write_atomically

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

_KINDS: Mapping[Any, pl.DataType | type[pl.DataType]] = {
    str: pl.String,
    int: pl.Int64,
    float: pl.Float64,
    tuple[str, ...]: pl.List(pl.String),
    tuple[float, ...]: pl.List(pl.Float64),
}


def _schema(row: type) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Columns of a row type; None is allowed in every column."""
    return {name: _kind(hint) for name, hint in get_type_hints(row).items()}


def _kind(hint: Any) -> pl.DataType | type[pl.DataType]:
    origin = get_origin(hint)
    if origin is Literal:
        return pl.String
    if origin in (Union, UnionType):
        (kind,) = (one for one in get_args(hint) if one is not type(None))
        return _kind(kind)
    return _KINDS[hint]


UTTERANCES: Schema = _schema(Utterance)

VOTES: Schema = {
    "utterance_id": pl.String,
    "rule": pl.String,
    "raw_label": pl.String,
    "label": pl.String,
    "n": pl.Float64,
}

SPLIT: Schema = {"fold_id": pl.String, "partition": pl.String, "utterance_id": pl.String}

PLAN: Schema = {**_schema(Request), "fold_id": pl.String, "partition": pl.String}

PREDICTIONS: Schema = {
    "request_id": pl.String,
    "utterance_id": pl.String,
    "system_id": pl.String,
    "form": pl.String,
    "reading": pl.String,
    **_schema(ParsedPrediction),
}

SCORES: Schema = _schema(ScoreRow)

ANALYSES: Schema = _schema(AnalysisRow)

UNIT_COUNTS: Schema = {
    "partition": pl.String,
    "fold_id": pl.String,
    "system_id": pl.String,
    "unit_kind": pl.String,
    "unit": pl.String,
    "gold": pl.String,
    "predicted": pl.String,
    "n": pl.Int64,
}
"""Strict reading; ``unit`` is what intervals resample (``unit_kind``: speaker or utterance); ``predicted`` may be
``failed``."""

UNIT_SUMS: Schema = {
    "partition": pl.String,
    "fold_id": pl.String,
    "system_id": pl.String,
    "form": pl.String,
    "vote_rule": pl.String,
    "unit_kind": pl.String,
    "unit": pl.String,
    "metric": pl.String,
    "n": pl.Int64,
    "sum": pl.Float64,
}
"""Strict reading, failed distributions as uniform; ``sum`` is of the metric's values of a unit's ``n`` utterances."""

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
    # Through memory, so that a full disk is met by our own writing and not inside of polars.
    content = io.BytesIO()
    fitted.write_parquet(content)
    write_atomically(path, lambda file: file.write(content.getbuffer()))


STEPS = {
    "scores.parquet": "score",
    "confusions.parquet": "score",
    "analyses.parquet": "score",
    "unit_counts.parquet": "score",
    "unit_sums.parquet": "score",
    "predictions.parquet": "parse",
}
"""Derived table to the verb that writes it."""


def read_table(path: Path, schema: Schema) -> pl.DataFrame:
    """Read a table and check its columns.

    Raises:
        RunError: the file is missing, damaged, or of another schema.
    """
    with _readable(path):
        # A folder may be called [1], and is no pattern.
        table = pl.read_parquet(path, glob=False)
    _check_columns(path, table.schema, schema)
    return table


def scan_table(path: Path, schema: Schema) -> pl.LazyFrame:
    """Open a table of which only some rows or columns are wanted, and check its columns.

    Raises:
        RunError: the file is missing, damaged, or of another schema.
    """
    with _readable(path):
        table = pl.scan_parquet(path, glob=False)
        found = table.collect_schema()
    _check_columns(path, found, schema)
    return table


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as cause:
        step = STEPS.get(path.name)
        hint = f"Run: voxemo {step} {path.parent}" if step else "The step that writes it has not run."
        raise RunError(f"{path} is missing. {hint}") from cause
    except PermissionError as cause:
        raise RunError(f"{path} cannot be opened ({cause.strerror}). Give access to it.") from cause
    except (OSError, pl.exceptions.PolarsError) as cause:
        raise RunError(f"{path} is damaged ({cause}). Run the step that writes it again.") from cause


def _check_columns(path: Path, found: pl.Schema, schema: Schema) -> None:
    if dict(found) != {name: pl.Schema({name: kind})[name] for name, kind in schema.items()}:
        raise RunError(
            f"{path} has other columns than this version writes: {', '.join(found)}. "
            "It was written by another version of voxemo; run the step that writes it again."
        )


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
