"""One row per tested utterance with every system's answer as a number: what the listening page filters and counts.

Pure functions over tables: nothing is read or written here. A page, a count and an export of the same question are
about the same rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from voxemo.core.errors import UnknownName
from voxemo.core.types import ENSEMBLE
from voxemo.scoring import ensembles
from voxemo.scoring.hard import FAILED
from voxemo.steps.parse import READINGS

PAGE_ROWS = 50
UNANSWERED = FAILED - 1
"""In arrays of answers; in tables it is null."""
EVERY = "*"
"""In place of a system: all of its form."""
NO_LABEL = "none"
NO_ANSWER = "no answer"
FAILED_ANSWER = "failed"

OUTCOMES: Mapping[str, str] = {
    "right": "all right",
    "wrong": "a wrong label",
    "none_right": "none right",
    "failed": "a failed answer",
    "unanswered": "not answered",
}
"""Of the answers of the chosen systems to one utterance. A failed answer names no label, so it is not a wrong one."""
AGREEMENTS: Mapping[str, str] = {
    "unanimous": "all agree",
    "majority": "more than half agree",
    "ambiguous": "ambiguous (half or less)",
    NO_LABEL: "no votes",
}
SORTS: Mapping[str, str] = {
    "plan": "as planned",
    "id": "by name",
    "wrong": "most wrong first",
    "failed": "most failed first",
    "agreement": "least agreement first",
    "duration": "longest first",
    "speaker": "by speaker",
}
_TOLERANCE = 1e-9
"""Some corpora publish shares of votes, which need not sum to one exactly."""


@dataclass(frozen=True, slots=True)
class System:
    """One prompt's answers in one form, or the vote of five of them."""

    system_id: str
    form: str
    """``hard``, ``distribution``, ``likelihood`` or ``vote``."""

    @property
    def key(self) -> str:
        """Its name in questions and columns: two forms of a prompt share a system id."""
        return f"{self.form}/{self.system_id}"


@dataclass(frozen=True, slots=True)
class RunTable:
    """The tested utterances of a run, read by one reading.

    ``rows`` has ``utterance_id``, ``partition``, ``fold_id``, ``speaker_id``, ``speaker_gender``, ``language``,
    ``duration_s``; ``gold``, a label number or null; ``vote_sum`` and ``vote_top``, votes within the label set and
    those on the likeliest label; ``n_different``, the different labels among the hard answers; and a column per system,
    named by its key: a label number, ``FAILED``, or null for what is not answered.
    """

    rows: pl.DataFrame
    label_names: tuple[str, ...]
    systems: tuple[System, ...]

    def keys(self, system: str) -> tuple[str, ...]:
        """The columns that a question about a system, or about all of one form, is about.

        Raises:
            UnknownName: the run has no such system.
        """
        known: dict[str, tuple[str, ...]] = {one.key: (one.key,) for one in self.systems}
        for one in self.systems:
            known[f"{one.form}/{EVERY}"] = tuple(other.key for other in self.systems if other.form == one.form)
        if system not in known:
            raise UnknownName("answers", system, tuple(known))
        return known[system]

    @property
    def groups(self) -> tuple[str, ...]:
        """Forms with more than one system, as names of all of them; hard answers first."""
        forms = [one.form for one in self.systems]
        return tuple(f"{form}/{EVERY}" for form in dict.fromkeys(forms) if forms.count(form) > 1)

    @property
    def default_system(self) -> str:
        """What a question is about that does not say: all hard answers, or what comes first."""
        return (*self.groups, *(one.key for one in self.systems))[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked of a table. The empty word asks for nothing in particular."""

    system: str = ""
    """Whose answers are meant: a system's key, or all of a form; the table's default when empty."""
    outcome: str = ""
    gold: str = ""
    """A label, or ``none``."""
    answer: str = ""
    """A label, ``failed`` or ``no answer``: what any of the chosen systems said."""
    agreement: str = ""
    speaker: str = ""
    partition: str = ""
    text: str = ""
    """Stands in the utterance's name, in any case."""
    disagree: str = ""
    """``yes``: hard answers that name different labels."""
    reading: str = "strict"
    sort: str = "plan"

    @classmethod
    def of(cls, words: Mapping[str, str]) -> "Query":
        """The query that words such as those of an address mean; unknown ones are not looked at.

        Raises:
            UnknownName: a value that its field does not know.
        """
        known = {one.name: words[one.name] for one in fields(cls) if words.get(one.name)}
        query = cls(**known)
        for field, choices in (
            ("outcome", OUTCOMES),
            ("agreement", AGREEMENTS),
            ("sort", SORTS),
            ("reading", READINGS),
            ("disagree", ("yes",)),
        ):
            value = getattr(query, field)
            if value and value not in choices:
                raise UnknownName(field, value, tuple(choices))
        return query


# --- making ------------------------------------------------------------------------------------------------------


def assemble(
    utterances: pl.DataFrame,
    answers: pl.DataFrame,
    votes: pl.DataFrame,
    *,
    label_names: Sequence[str],
    five: Sequence[str],
) -> RunTable:
    """Put a run's table together.

    Args:
        utterances: the tested ones with the plain columns of a ``RunTable``, in the order of the plan.
        answers: ``row`` (of ``utterances``), ``system_id``, ``form`` and ``code``: a label number or ``FAILED``. Of
            several answers of a system to one utterance, as models of several folds give, the first counts.
        votes: ``utterance_id``, ``vote_sum`` and ``vote_top``.
        label_names: in order.
        five: prompts whose hard answers vote together, if all of them were asked.
    """
    systems = [System(*row) for row in answers.select("system_id", "form").unique(maintain_order=True).iter_rows()]
    systems.sort(key=lambda one: _FORM_ORDER.index(one.form))
    numbers = {one.key: number for number, one in enumerate(systems)}
    codes = np.full((utterances.height, len(systems)), UNANSWERED, dtype=np.int8)
    # Backwards, so that the first of several is written last.
    backwards = answers.reverse()
    place = (backwards["form"] + "/" + backwards["system_id"]).replace_strict(numbers, return_dtype=pl.Int64)
    codes[backwards["row"].to_numpy().astype(np.intp), place.to_numpy().astype(np.intp)] = backwards["code"].to_numpy()
    columns = {one.key: _nullable(codes[:, number]) for one, number in zip(systems, numbers.values(), strict=True)}
    hard = codes[:, [numbers[one.key] for one in systems if one.form == "hard"]]
    members = [numbers.get(f"hard/{name}") for name in five]
    if members and None not in members:
        voting = codes[:, [number for number in members if number is not None]].astype(np.int64)
        # An utterance that is not yet answered under all five has no vote.
        missing = (voting == UNANSWERED).any(axis=1)
        label = ensembles.vote_label(np.where(missing[:, None], FAILED, voting), n_labels=len(label_names))
        vote = System(ENSEMBLE, "vote")
        columns[vote.key] = _nullable(np.where(missing, UNANSWERED, label).astype(np.int8))
        systems.append(vote)
    rows = utterances.join(votes, on="utterance_id", how="left", maintain_order="left").with_columns(
        n_different=pl.Series(_n_different(hard, len(label_names)), dtype=pl.Int8),
        **columns,
    )
    return RunTable(rows, tuple(label_names), tuple(systems))


_FORM_ORDER = ("hard", "distribution", "likelihood")


def _nullable(codes: npt.NDArray[np.int8]) -> pl.Series:
    return pl.Series(codes, dtype=pl.Int8).set(pl.Series(codes == UNANSWERED), None)


def _n_different(codes: npt.NDArray[np.int8], n_labels: int) -> npt.NDArray[np.int8]:
    """How many different labels stand in each row."""
    named = np.zeros(len(codes), dtype=np.int8)
    for label in range(n_labels):
        named += (codes == label).any(axis=1)
    return named


# --- asking ------------------------------------------------------------------------------------------------------


def select(table: RunTable, query: Query) -> pl.DataFrame:
    """The rows that a query means, sorted. Ties stay in the order of the plan.

    Raises:
        UnknownName: it names a system or label that the run does not have.
    """
    rows = table.rows.filter(pl.lit(True), *conditions(table, query))
    keys = table.keys(query.system or table.default_system)
    match query.sort:
        case "id":
            return rows.sort("utterance_id", maintain_order=True)
        case "speaker":
            return rows.sort("speaker_id", nulls_last=True, maintain_order=True)
        case "duration":
            return rows.sort("duration_s", descending=True, nulls_last=True, maintain_order=True)
        case "agreement":
            return rows.sort(pl.col("vote_top") / pl.col("vote_sum"), nulls_last=True, maintain_order=True)
        case "wrong":
            return rows.sort(_how_many(keys, _wrong), descending=True, maintain_order=True)
        case "failed":
            return rows.sort(_how_many(keys, _failed), descending=True, maintain_order=True)
    return rows


def conditions(table: RunTable, query: Query) -> list[pl.Expr]:
    """What must hold of a row, each apart, so that their order cannot matter."""
    keys = table.keys(query.system or table.default_system)
    found = []
    if query.outcome:
        found.append(_OUTCOME[query.outcome](keys))
    if query.gold:
        found.append(
            pl.col("gold").is_null() if query.gold == NO_LABEL else pl.col("gold") == _label(table, query.gold)
        )
    if query.answer:
        said = {NO_ANSWER: _unanswered, FAILED_ANSWER: _failed}.get(query.answer)
        label = _label(table, query.answer) if said is None else None
        found.append(
            pl.any_horizontal((pl.col(key) == label).fill_null(False) if said is None else said(key) for key in keys)
        )
    if query.agreement:
        found.append(agreement() == query.agreement)
    if query.disagree:
        found.append(pl.col("n_different") > 1)
    if query.speaker:
        found.append(pl.col("speaker_id") == query.speaker)
    if query.partition:
        found.append(pl.col("partition") == query.partition)
    if query.text:
        # Lowered by one rule on both sides: Python's and the table's lower case are not the same for every letter.
        asked = pl.lit(query.text).str.to_lowercase()
        found.append(pl.col("utterance_id").str.to_lowercase().str.contains(asked, literal=True))
    return found


def counts(table: RunTable, rows: pl.DataFrame, query: Query) -> dict[str, int]:
    """How many answers of the chosen systems to these rows are right, wrong, failed, without a true label, not given.

    They add up to rows times systems.
    """
    keys = table.keys(query.system or table.default_system)
    kinds = {"right": _right, "wrong": _wrong, "failed": _failed, "no_gold": _without_gold, "unanswered": _unanswered}
    found = rows.select(
        reduce(lambda total, one: total + one, (kind(key).sum().cast(pl.Int64) for key in keys)).alias(name)
        for name, kind in kinds.items()
    )
    return found.row(0, named=True)


def page_of(table: RunTable, rows: pl.DataFrame, query: Query, *, number: int) -> list[dict[str, Any]]:
    """One page of selected rows as values for people: labels are names, and answers are counted by outcome.

    Args:
        table: that the rows are from.
        rows: as ``select`` gave them.
        query: that selected them.
        number: of the page, from 1.
    """
    keys = table.keys(query.system or table.default_system)
    part = rows.slice((number - 1) * PAGE_ROWS, PAGE_ROWS).select(
        "utterance_id",
        "speaker_id",
        "duration_s",
        label_name(table, "gold").alias("gold"),
        agreement().alias("agreement"),
        (pl.col("vote_top") / pl.col("vote_sum")).alias("vote_share"),
        _how_many(keys, _right).alias("n_right"),
        _how_many(keys, _wrong).alias("n_wrong"),
        _how_many(keys, _failed).alias("n_failed"),
        _how_many(keys, _unanswered).alias("n_unanswered"),
        (answer_name(table, keys[0]) if len(keys) == 1 else pl.lit(None, pl.String)).alias("answer"),
    )
    return part.to_dicts()


def export(table: RunTable, rows: pl.DataFrame) -> pl.DataFrame:
    """Every fact of selected rows, for a file: labels by name, one column per system."""
    return rows.select(
        "utterance_id",
        "partition",
        "fold_id",
        "speaker_id",
        "speaker_gender",
        "language",
        "duration_s",
        label_name(table, "gold").alias("true_label"),
        agreement().alias("agreement"),
        pl.col("vote_top").alias("votes_on_likeliest"),
        pl.col("vote_sum").alias("votes"),
        pl.col("n_different").alias("different_hard_answers"),
        *(answer_name(table, one.key).alias(one.key) for one in table.systems),
    )


def agreement() -> pl.Expr:
    """A row's class of ``AGREEMENTS``."""
    top, total = pl.col("vote_top"), pl.col("vote_sum")
    return (
        pl.when(total.is_null())
        .then(pl.lit(NO_LABEL))
        .when(top >= total * (1 - _TOLERANCE))
        .then(pl.lit("unanimous"))
        .when(2 * top > total * (1 + _TOLERANCE))
        .then(pl.lit("majority"))
        .otherwise(pl.lit("ambiguous"))
    )


def label_name(table: RunTable, column: str) -> pl.Expr:
    """A column of label numbers as names; null stays null."""
    return pl.col(column).replace_strict(dict(enumerate(table.label_names)), default=None, return_dtype=pl.String)


def answer_name(table: RunTable, key: str) -> pl.Expr:
    """A system's column in words."""
    return pl.when(_failed(key)).then(pl.lit(FAILED_ANSWER)).otherwise(label_name(table, key)).fill_null(NO_ANSWER)


def _label(table: RunTable, name: str) -> int:
    if name not in table.label_names:
        raise UnknownName("label", name, table.label_names)
    return table.label_names.index(name)


def _right(key: str) -> pl.Expr:
    return ((pl.col(key) >= 0) & (pl.col(key) == pl.col("gold"))).fill_null(False)


def _wrong(key: str) -> pl.Expr:
    return ((pl.col(key) >= 0) & (pl.col(key) != pl.col("gold"))).fill_null(False)


def _failed(key: str) -> pl.Expr:
    return (pl.col(key) == FAILED).fill_null(False)


def _without_gold(key: str) -> pl.Expr:
    return (pl.col(key) >= 0).fill_null(False) & pl.col("gold").is_null()


def _unanswered(key: str) -> pl.Expr:
    return pl.col(key).is_null()


def _how_many(keys: Sequence[str], kind: Callable[[str], pl.Expr]) -> pl.Expr:
    return pl.sum_horizontal(kind(key).cast(pl.Int32) for key in keys)


_OUTCOME: Mapping[str, Callable[[Sequence[str]], pl.Expr]] = {
    "right": lambda keys: pl.all_horizontal(_right(key) for key in keys),
    "wrong": lambda keys: pl.any_horizontal(_wrong(key) for key in keys),
    "none_right": lambda keys: pl.all_horizontal(_wrong(key) | _failed(key) for key in keys),
    "failed": lambda keys: pl.any_horizontal(_failed(key) for key in keys),
    "unanswered": lambda keys: pl.any_horizontal(_unanswered(key) for key in keys),
}
