"""What can be asked of a run's table: laws first."""

import itertools
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.core.errors import UnknownName
from voxemo.core.types import ENSEMBLE
from voxemo.scoring.hard import FAILED
from voxemo.steps.view_table import (
    AGREEMENTS,
    EVERY,
    FAILED_ANSWER,
    NO_ANSWER,
    NO_LABEL,
    OUTCOMES,
    PAGE_ROWS,
    SORTS,
    Query,
    RunTable,
    agreement,
    answer_name,
    assemble,
    conditions,
    counts,
    export,
    page_of,
    select,
)

LABELS = ("angry", "happy", "sad")
FIVE = ("direct", "caption")
SYSTEMS = [("direct", "hard"), ("caption", "hard"), ("direct", "distribution"), ("likelihood:direct", "likelihood")]
KEYS = [f"{form}/{name}" for name, form in SYSTEMS]


@st.composite
def tables(draw: st.DrawFn, *, most: int = 12) -> RunTable:
    n = draw(st.integers(1, most))
    code = st.integers(FAILED, len(LABELS) - 1)
    utterances = pl.DataFrame(
        {
            "utterance_id": [f"toy/{draw(st.sampled_from('AbÄ'))}_{number}" for number in range(n)],
            "partition": draw(st.lists(st.sampled_from(["test1", "test2"]), min_size=n, max_size=n)),
            "fold_id": ["1"] * n,
            "speaker_id": draw(st.lists(st.sampled_from(["anna", "=ben", None]), min_size=n, max_size=n)),
            "speaker_gender": [None] * n,
            "language": ["en"] * n,
            "duration_s": draw(st.lists(st.none() | st.floats(0.1, 9), min_size=n, max_size=n)),
            "gold": draw(st.lists(st.none() | st.integers(0, len(LABELS) - 1), min_size=n, max_size=n)),
        },
        schema_overrides={
            "speaker_id": pl.String,
            "speaker_gender": pl.String,
            "gold": pl.Int8,
            "duration_s": pl.Float64,
        },
    )
    given_answers = draw(st.lists(st.tuples(st.integers(0, n - 1), st.sampled_from(SYSTEMS), code), max_size=4 * n))
    answers = pl.DataFrame(
        [(row, *system, said) for row, system, said in given_answers],
        schema={"row": pl.UInt32, "system_id": pl.String, "form": pl.String, "code": pl.Int8},
        orient="row",
    )
    voted = draw(st.lists(st.sampled_from(utterances["utterance_id"].to_list()), unique=True))
    tops = draw(st.lists(st.integers(1, 5), min_size=len(voted), max_size=len(voted)))
    votes = pl.DataFrame(
        {"utterance_id": voted, "vote_sum": [5.0] * len(voted), "vote_top": [float(top) for top in tops]},
        schema={"utterance_id": pl.String, "vote_sum": pl.Float64, "vote_top": pl.Float64},
    )
    return assemble(utterances, answers, votes, label_names=LABELS, five=FIVE)


@st.composite
def questions(draw: st.DrawFn) -> tuple[RunTable, Query]:
    table = draw(tables().filter(lambda table: table.systems))
    known = [*(one.key for one in table.systems), *table.groups]
    query = Query(
        system=draw(st.sampled_from(["", *known])),
        outcome=draw(st.sampled_from(["", *OUTCOMES])),
        gold=draw(st.sampled_from(["", *LABELS, NO_LABEL])),
        answer=draw(st.sampled_from(["", *LABELS, FAILED_ANSWER, NO_ANSWER])),
        agreement=draw(st.sampled_from(["", *AGREEMENTS])),
        speaker=draw(st.sampled_from(["", "anna", "=ben"])),
        partition=draw(st.sampled_from(["", "test1"])),
        text=draw(st.sampled_from(["", "a", "ä_", "toy/A", ".*"])),
        disagree=draw(st.sampled_from(["", "yes"])),
        sort=draw(st.sampled_from([*SORTS])),
    )
    return table, query


def names(rows: pl.DataFrame) -> list[str]:
    return rows["utterance_id"].to_list()


@given(asked=questions(), data=st.data())
def test_filters_commute(asked: tuple[RunTable, Query], data: st.DataObject) -> None:
    table, query = asked
    at_once = names(select(table, replace(query, sort="plan")))

    one_by_one = table.rows
    for condition in data.draw(st.permutations(conditions(table, query))):
        one_by_one = one_by_one.filter(condition)

    assert names(one_by_one) == at_once


@given(asked=questions())
def test_sorting_neither_adds_nor_drops_a_row(asked: tuple[RunTable, Query]) -> None:
    table, query = asked

    found = {name: select(table, replace(query, sort=name)) for name in SORTS}

    assert all(sorted(names(rows)) == sorted(names(found["plan"])) for rows in found.values())


@given(asked=questions())
def test_counts_add_up_to_the_answers_asked_about(asked: tuple[RunTable, Query]) -> None:
    table, query = asked
    rows = select(table, query)

    found = counts(table, rows, query)

    assert sum(found.values()) == rows.height * len(table.keys(query.system or table.default_system))


@given(table=tables().filter(lambda table: table.systems), data=st.data())
def test_outcomes_of_one_system_divide_what_has_a_true_label(table: RunTable, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from([one.key for one in table.systems]))

    found = [
        names(select(table, Query(system=key, outcome=outcome)))
        for outcome in ("right", "wrong", "failed", "unanswered")
    ]
    unknown = names(table.rows.filter(pl.col("gold").is_null() & (pl.col(key) >= 0)))

    assert sorted([*itertools.chain(*found), *unknown]) == sorted(names(table.rows))


@given(table=tables(), field=st.sampled_from(["gold", "agreement", "partition"]))
def test_the_choices_of_a_field_divide_all_rows(table: RunTable, field: str) -> None:
    choices = {"gold": (*LABELS, NO_LABEL), "agreement": tuple(AGREEMENTS), "partition": ("test1", "test2")}[field]
    if not table.systems:
        return

    found = [names(select(table, Query(**{field: choice}))) for choice in choices]

    assert sorted(itertools.chain(*found)) == sorted(names(table.rows))


@given(asked=questions())
def test_pages_one_after_the_other_are_the_whole(asked: tuple[RunTable, Query]) -> None:
    table, query = asked
    rows = pl.concat([select(table, query)] * 9)

    pages = [page_of(table, rows, query, number=number) for number in range(1, -(-rows.height // PAGE_ROWS) + 1)]

    assert [row["utterance_id"] for page in pages for row in page] == names(rows)
    assert all(len(page) == PAGE_ROWS for page in pages[:-1])


@given(asked=questions())
def test_what_a_row_says_is_what_is_counted(asked: tuple[RunTable, Query]) -> None:
    table, query = asked
    rows = select(table, query)

    shown = page_of(table, rows, query, number=1)

    total = counts(table, rows, query)
    for outcome in ("right", "wrong", "failed", "unanswered"):
        assert sum(row[f"n_{outcome}"] for row in shown) == total[outcome]


@given(table=tables())
def test_an_export_says_of_each_row_what_the_table_knows(table: RunTable) -> None:
    exported = export(table, table.rows)

    assert exported.height == table.rows.height
    for one in table.systems:
        assert exported[one.key].to_list() == table.rows.select(answer_name(table, one.key)).to_series().to_list()
        assert set(exported[one.key]) <= {*LABELS, FAILED_ANSWER, NO_ANSWER}


def table_of(*rows: tuple[int | None, dict[str, int]]) -> RunTable:
    """True label and answers by key of each row."""
    utterances = pl.DataFrame(
        {
            "utterance_id": [f"toy/{number}" for number in range(len(rows))],
            **dict.fromkeys(("partition", "fold_id", "speaker_id", "speaker_gender", "language"), "x"),
            "duration_s": 1.0,
            "gold": pl.Series([gold for gold, _ in rows], dtype=pl.Int8),
        }
    )
    answers = [
        {"row": number, "system_id": key.partition("/")[2], "form": key.partition("/")[0], "code": code}
        for number, (_, said) in enumerate(rows)
        for key, code in said.items()
    ]
    schema = {"row": pl.UInt32, "system_id": pl.String, "form": pl.String, "code": pl.Int8}
    votes = pl.DataFrame(schema={"utterance_id": pl.String, "vote_sum": pl.Float64, "vote_top": pl.Float64})
    return assemble(utterances, pl.DataFrame(answers, schema=schema), votes, label_names=LABELS, five=FIVE)


def test_of_a_group_right_means_all_and_wrong_means_any() -> None:
    table = table_of(
        (0, {"hard/direct": 0, "hard/caption": 0}),
        (0, {"hard/direct": 0, "hard/caption": 1}),
        (0, {"hard/direct": 1, "hard/caption": FAILED}),
    )
    group = f"hard/{EVERY}"

    found = {name: names(select(table, Query(system=group, outcome=name))) for name in OUTCOMES}

    assert found == {
        "right": ["toy/0"],
        "wrong": ["toy/1", "toy/2"],
        "none_right": ["toy/2"],
        "failed": ["toy/2"],
        "unanswered": [],
    }
    assert table.default_system == group


def test_failed_answers_are_no_other_label() -> None:
    table = table_of((0, {"hard/direct": 0, "hard/caption": FAILED}), (0, {"hard/direct": 0, "hard/caption": 2}))

    assert names(select(table, Query(disagree="yes"))) == ["toy/1"]


def test_the_five_vote_where_all_were_asked_and_ties_go_to_the_first_label() -> None:
    table = table_of((0, {"hard/direct": 2, "hard/caption": 1}), (0, {"hard/direct": 0}))

    vote = table.rows[f"vote/{ENSEMBLE}"].to_list()

    assert vote == [1, None]


def test_of_several_answers_of_a_system_the_first_counts() -> None:
    utterances = table_of((0, {"hard/direct": 0})).rows.select(
        "utterance_id", "partition", "fold_id", "speaker_id", "speaker_gender", "language", "duration_s", "gold"
    )
    answers = pl.DataFrame(
        {"row": [0, 0], "system_id": ["direct"] * 2, "form": ["hard"] * 2, "code": [2, 1]},
        schema_overrides={"code": pl.Int8},
    )
    votes = pl.DataFrame(schema={"utterance_id": pl.String, "vote_sum": pl.Float64, "vote_top": pl.Float64})

    table = assemble(utterances, answers, votes, label_names=LABELS, five=FIVE)

    assert table.rows["hard/direct"].to_list() == [2]


@pytest.mark.parametrize(
    ("top", "total", "expected"),
    [(5, 5, "unanimous"), (3, 5, "majority"), (2, 4, "ambiguous"), (1, 3, "ambiguous"), (None, None, NO_LABEL)],
)
def test_agreement_is_by_the_share_of_the_likeliest_label(
    top: float | None, total: float | None, expected: str
) -> None:
    rows = pl.DataFrame(
        {"vote_top": [top], "vote_sum": [total]}, schema={"vote_top": pl.Float64, "vote_sum": pl.Float64}
    )

    assert rows.select(agreement()).item() == expected


@pytest.mark.parametrize(
    "words",
    [{"outcome": "good"}, {"agreement": "x"}, {"sort": "x"}, {"reading": "x"}, {"disagree": "no"}],
    ids=lambda words: next(iter(words)),
)
def test_a_value_that_a_field_does_not_know_is_refused(words: dict[str, str]) -> None:
    with pytest.raises(UnknownName):
        Query.of(words)


@pytest.mark.parametrize("words", [{"gold": "bored"}, {"answer": "bored"}, {"system": "hard/none"}])
def test_a_label_or_system_that_the_run_lacks_is_refused(words: dict[str, str]) -> None:
    table = table_of((0, {"hard/direct": 0}))

    with pytest.raises(UnknownName):
        select(table, Query.of(words))


def test_words_of_an_address_that_are_no_field_are_not_looked_at() -> None:
    assert Query.of({"page": "3", "outcome": "", "gold": "sad"}) == Query(gold="sad")
