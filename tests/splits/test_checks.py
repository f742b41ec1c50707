"""What the checks see in folds, and which folds they refuse."""

from collections.abc import Mapping

import pytest

from voxemo.core.errors import SplitError
from voxemo.core.types import Fold, Utterance
from voxemo.splits.checks import NO_LABEL, check_folds, label_counts, partition_sizes, speaker_overlap


def fold(fold_id: str = "1", **partitions: str) -> Fold:
    """A fold from words such as ``train="a b"``."""
    return Fold(fold_id=fold_id, partitions={name: tuple(members.split()) for name, members in partitions.items()})


def utterances(labels: Mapping[str, str | None]) -> list[Utterance]:
    return [
        Utterance(utterance_id=name, corpus_id="made", audio_path=f"{name}.wav", language="en", expressed=label)
        for name, label in labels.items()
    ]


SIX = utterances({"a": "angry", "b": "sad", "c": "angry", "d": "sad", "e": "angry", "f": None})


@pytest.mark.parametrize(
    ("folds", "speakers", "independent", "text"),
    [
        ([fold(train="a", valid="b", test="c")], {"a": "x", "b": "y", "c": "z"}, True, "no speaker shared"),
        (
            [fold(train="a", valid="b", test="c")],
            {"a": "x", "b": "y", "c": "y"},
            False,
            "1 of 1 test speakers also in train or valid",
        ),
        (
            [fold(train="a", test1="b", test2="c")],
            {"a": "x", "b": "x", "c": "z"},
            False,
            "1 of 2 test speakers also in train or valid",
        ),
        ([fold(train="a", test="b"), fold("2", train="b", test="a")], {"a": "x", "b": "y"}, True, "no speaker shared"),
        (
            [fold(train="a c", test="b"), fold("2", train="b c", test="a")],
            {"a": "x", "b": "y", "c": "y"},
            False,
            "1 of 2 test speakers also in train or valid",
        ),
        ([fold(train="a", test="b")], {}, None, "speakers unknown"),
        (
            [fold(train="a", test="b c")],
            {"a": "x", "b": "y", "c": None},
            None,
            "no known speaker shared (1 utterance without a speaker)",
        ),
        (
            [fold(train="a", test="b c")],
            {"a": "x", "b": "x", "c": None},
            False,
            "1 of 1 test speakers also in train or valid (1 utterance without a speaker)",
        ),
    ],
    ids=[
        "none",
        "with the validation part",
        "in one of two test parts",
        "tested and trained in different folds",
        "in one of two folds",
        "no ids",
        "some ids, none shared",
        "some ids, one shared",
    ],
)
def test_overlap_is_counted_within_each_fold_and_told_in_words(
    folds: list[Fold], speakers: dict[str, str | None], independent: bool | None, text: str
) -> None:
    overlap = speaker_overlap(folds, speakers)

    assert (overlap.speaker_independent, overlap.text) == (independent, text)


def test_overlap_is_given_for_each_fold() -> None:
    folds = [fold(train="a c", test="b"), fold("2", train="b c", test="a")]
    overlap = speaker_overlap(folds, {"a": "x", "b": "y", "c": "y"})

    assert [(part.fold_id, part.n_shared, part.n_test_speakers) for part in overlap.per_fold] == [
        ("1", 1, 1),
        ("2", 0, 1),
    ]


def test_sizes_and_labels_are_counted_per_partition() -> None:
    one = fold(train="a b c", test="d e f")
    labels = {utterance.utterance_id: utterance.expressed for utterance in SIX}

    assert partition_sizes(one) == {"train": 3, "test": 3}
    assert label_counts(one, labels) == {
        "train": {"angry": 2, "sad": 1},
        "test": {NO_LABEL: 1, "angry": 1, "sad": 1},
    }


def test_folds_that_fit_give_no_warning() -> None:
    folds = [fold(train="a b", valid="c d", test="e f"), fold("2", train="e b", valid="f d", test="a c")]

    assert check_folds(folds, SIX, label_source="expressed") == []


@pytest.mark.parametrize(
    ("folds", "said"),
    [
        ([], "no fold"),
        ([fold(train="a b", test="b c")], r"'b' \(train and test\)"),
        ([fold(train="a a", test="b")], r"'a' \(train and train\)"),
        ([fold(train="a x", test="b y")], "2 utterances that the corpus lacks: 'x', 'y'"),
        ([fold(train="a", valid="b")], "no test utterances"),
        ([fold(valid="a", test="b")], "no training utterances"),
        ([fold(train="a", test="b"), fold(train="b", test="a")], "two folds called '1'"),
    ],
    ids=["none", "shared", "twice", "unknown", "no test", "no train", "one name"],
)
def test_folds_that_do_not_fit_are_refused(folds: list[Fold], said: str) -> None:
    with pytest.raises(SplitError, match=said):
        check_folds(folds, SIX, label_source="expressed")


def test_labels_tested_but_not_trained_and_utterances_left_out_are_warned_about() -> None:
    assert check_folds([fold(train="a c", test="b e")], SIX, label_source="expressed") == [
        "fold 1 leaves out 2 of 6 utterances",
        "fold 1 tests labels that its training part lacks: 'sad'",
    ]


def test_sessions_on_both_sides_are_counted_in_words_and_numbers() -> None:
    folds = [
        Fold(fold_id="1", partitions={"train": ("a",), "valid": ("b",), "test": ("c", "d")}),
        Fold(fold_id="2", partitions={"train": ("c", "d"), "test": ("a", "b")}),
    ]
    sessions = {"a": "talk 1", "b": "talk 2", "c": "talk 2", "d": "talk 3"}

    overlap = speaker_overlap(folds, {}, sessions)

    assert (overlap.n_shared_sessions, overlap.n_test_sessions) == (1, 3)
    assert overlap.speaker_independent is None
    assert overlap.text == "speakers unknown; 1 of 3 test sessions also in train or valid"
