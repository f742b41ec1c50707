"""A run asks about test parts in full, or it is found not to."""

import polars as pl
import pytest

from voxemo.core.types import Fold, Split
from voxemo.steps.tested_parts import answered_less, asks_labelled_alone, parts_of

SPLIT = Split(
    split_id="protocol",
    corpus_id="toy",
    policy="k_fold",
    source="seed 1",
    seed=1,
    speaker_independent=True,
    utterances_sha256="0" * 64,
    folds=(
        Fold(fold_id="1", partitions={"train": ("c", "d"), "test": ("a", "b")}),
        Fold(fold_id="2", partitions={"train": ("a", "b"), "test": ("c", "d")}),
    ),
)
PARTS = parts_of(SPLIT, {"a", "c", "d"})


def plan(**folds: str) -> pl.DataFrame:
    """Both prompts of every utterance of a fold, given as letters."""
    rows = [
        {"fold_id": fold[1:], "partition": "test", "variant_id": variant, "form": "hard", "utterance_id": name}
        for fold, names in folds.items()
        for name in names
        for variant in ("direct", "caption")
    ]
    return pl.DataFrame(rows)


def test_parts_count_utterances_and_those_with_a_gold_label_and_name_none() -> None:
    assert set(PARTS) == {"1", "2"}
    assert set(PARTS["1"]) == {"test"}
    assert (PARTS["1"]["test"].n, PARTS["1"]["test"].n_labelled) == (2, 1)
    assert PARTS["2"]["test"].utterances_sha256 == PARTS["2"]["test"].labelled_sha256


def test_a_whole_plan_in_any_order_asks_nothing_less() -> None:
    whole = plan(f2="dc", f1="ba")

    assert answered_less(whole, PARTS) == []
    assert not asks_labelled_alone(whole, PARTS)


def test_a_plan_of_the_labelled_utterances_alone_is_whole_and_known_for_it() -> None:
    labelled = plan(f1="a", f2="cd")

    assert answered_less(labelled, PARTS) == []
    assert asks_labelled_alone(labelled, PARTS)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"f1": "ab", "f2": "c"}, ["fold 2, test: 1 of 2 utterances are asked"]),
        ({"f1": "b", "f2": "cd"}, ["fold 1, test: 1 of 2 utterances are asked"]),
        ({"f1": "ac", "f2": "cd"}, ["fold 1, test: 2 of 2 utterances are asked (others)"]),
        ({"f1": "ab"}, ["1 of 2 folds are not answered"]),
        ({"f1": "ab", "f2": "cd", "f3": "e"}, ["fold 3, test: 1 of none utterances are asked"]),
    ],
    ids=["fewer", "unlabelled alone", "others", "a fold less", "a fold more"],
)
def test_what_a_plan_asks_less_is_said_part_by_part(asked: dict[str, str], told: list[str]) -> None:
    assert answered_less(plan(**asked), PARTS) == told


def test_one_prompt_that_is_asked_of_fewer_utterances_is_found() -> None:
    rows = plan(f1="ab", f2="cd")
    fewer = rows.filter(~((pl.col("variant_id") == "caption") & (pl.col("utterance_id") == "d")))

    assert answered_less(fewer, PARTS) == ["fold 2, test: 1 of 2 utterances are asked"]
