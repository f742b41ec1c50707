"""Do a bundle's scores come out again, from what is in it, by the code that scores a run?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from voxemo.core.ids import canonical_json
from voxemo.steps.bundle_contents import Contents, Finding, bundled_truth, wrong
from voxemo.steps.score import score_table, scored_table
from voxemo.store.bundles import (
    ANALYSES,
    CONFUSIONS,
    SCORES,
    UNIT_COUNTS,
    UNIT_SUMS,
)
from voxemo.store.tables import ANALYSES as ANALYSIS_COLUMNS
from voxemo.store.tables import CONFUSIONS as CONFUSION_COLUMNS
from voxemo.store.tables import SCORES as SCORE_COLUMNS
from voxemo.store.tables import UNIT_COUNTS as UNIT_COUNT_COLUMNS
from voxemo.store.tables import UNIT_SUMS as UNIT_SUM_COLUMNS
from voxemo.store.tables import Schema

TOLERANCE = 1e-9
"""Machines round differently in the last digits; no score that anybody prints changes by this."""

NUMBERS = ("value", "ci_low", "ci_high")
MEASURED = (*NUMBERS, "ci_unit", "n", "n_failed")
"""Columns of a score row that are computed; the others say what the row is about."""
ABOUT = tuple(name for name in SCORE_COLUMNS if name not in (*MEASURED, "scorer_version"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDifference:
    """One number of one score row that is not what comes out, or a row that only one side has."""

    partition: str | None
    fold_id: str | None
    system_id: str | None
    form: str | None
    reading: str | None
    vote_rule: str | None
    class_label: str | None
    metric: str | None
    failure_policy: str | None
    column: str
    """The column that differs; ``row`` where a side has no such row, or another one stands in its place."""
    stated: float | str | None
    recomputed: float | str | None

    @property
    def only_here(self) -> bool:
        """Whether the row comes out and is not stated."""
        return self.column == "row" and self.stated is None

    @property
    def size(self) -> float:
        """How far apart two numbers are; infinite where they are no two numbers."""
        if isinstance(self.stated, str) or isinstance(self.recomputed, str):
            return float("inf")
        if self.stated is None or self.recomputed is None:
            return float("inf")
        return abs(self.stated - self.recomputed)


def scored_again(content: Contents) -> tuple[int, tuple[RowDifference, ...], list[Finding]]:
    """Rows that hold, what differs, and what that means."""
    table = scored_table(content.manifest, content.plan, content.predictions, bundled_truth(content))
    made = score_table(table, policies=content.index.failure_policies, resamples=content.index.resamples)
    findings = []
    differences = compare_scores(content.scores, made.scores)
    rows = {tuple(getattr(one, name) for name in _SHOWN) for one in differences}
    if differences:
        largest = max((one.size for one in differences if one.size != float("inf")), default=None)
        apart = "" if largest is None else f"; numbers differ by up to {largest:.2g}"
        findings.append(wrong("scores_differ", SCORES, f"{len(rows)} score rows do not come out as stated{apart}"))
    if set(content.scores["scorer_version"]) - {content.index.scorer_version}:
        findings.append(wrong("scorer_version", SCORES, "score rows name another version of the formulas"))
    for file, what, stated, computed, schema in (
        (CONFUSIONS, "counts of true against predicted labels", content.confusions, made.confusions, CONFUSION_COLUMNS),
        (ANALYSES, "analyses", content.analyses, made.analyses, ANALYSIS_COLUMNS),
        (UNIT_COUNTS, "counts by speaker", content.unit_counts, made.unit_counts, UNIT_COUNT_COLUMNS),
        (UNIT_SUMS, "sums by speaker", content.unit_sums, made.unit_sums, UNIT_SUM_COLUMNS),
    ):
        if not _same_table(stated, computed, schema):
            findings.append(wrong(f"{file.partition('.')[0]}_differ", file, f"{what} do not come out as stated"))
    n_apart = len({tuple(getattr(one, name) for name in _SHOWN) for one in differences if not one.only_here})
    return content.scores.height - n_apart, differences, findings


_SHOWN = (
    "partition",
    "fold_id",
    "system_id",
    "form",
    "reading",
    "vote_rule",
    "class_label",
    "metric",
    "failure_policy",
)


def _same_table(stated: pl.DataFrame, computed: pl.DataFrame, schema: Schema) -> bool:
    """Whether two tables have the same rows in some order, numbers but for rounding."""
    fractions = [name for name, kind in schema.items() if kind == pl.Float64]
    about = [name for name in schema if name not in fractions]
    if stated.height != computed.height:
        return False
    left, right = (
        table.select(list(schema)).sort(about, nulls_last=True, maintain_order=True) for table in (stated, computed)
    )
    if not left.select(about).equals(right.select(about)):
        return False
    return all(not _apart(left[name], right[name]).any() for name in fractions)


def _apart(stated: pl.Series, computed: pl.Series) -> pl.Series:
    """Which numbers differ by more than rounding; one that is missing on one side does."""
    both = pl.DataFrame({"stated": stated, "computed": computed})
    return both.select(_differs("stated", "computed")).to_series()


def _differs(stated: str, computed: str) -> pl.Expr:
    left, right = pl.col(stated), pl.col(computed)
    bound = TOLERANCE * pl.max_horizontal(pl.lit(1.0), right.abs())
    return left.ne_missing(right) & ((left - right).abs() > bound).fill_null(True)


def compare_scores(stated: pl.DataFrame, recomputed: pl.DataFrame) -> tuple[RowDifference, ...]:
    """Where two tables of scores differ: rows that one of them lacks, and numbers apart by more than rounding."""
    ours = recomputed.select(*ABOUT, **{f"{name}_here": pl.col(name) for name in MEASURED}, here=pl.lit(True))
    joined = stated.with_columns(there=pl.lit(True)).join(
        ours, on=list(ABOUT), how="full", nulls_equal=True, coalesce=True
    )
    found = []
    both = joined.filter(pl.col("there") & pl.col("here"))
    for column in MEASURED:
        here = f"{column}_here"
        apart = _differs(column, here) if column in NUMBERS else pl.col(column).ne_missing(pl.col(here))
        for row in both.filter(apart).iter_rows(named=True):
            found.append(_difference(row, column, row[column], row[f"{column}_here"]))
    for row in joined.filter(pl.col("here").is_null()).iter_rows(named=True):
        found.append(_difference(row, "row", "stated", None))
    for row in joined.filter(pl.col("there").is_null()).iter_rows(named=True):
        found.append(_difference(row, "row", None, "comes out"))
    return tuple(sorted(found, key=lambda one: canonical_json([getattr(one, name) for name in (*_SHOWN, "column")])))


def _difference(row: Mapping[str, Any], column: str, stated: Any, recomputed: Any) -> RowDifference:
    return RowDifference(**{name: row[name] for name in _SHOWN}, column=column, stated=stated, recomputed=recomputed)
