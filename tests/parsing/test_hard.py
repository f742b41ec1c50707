# ruff: noqa: RUF001 - signs that look alike are what is tested
"""The FINAL LABEL of an answer."""

from itertools import permutations

import pytest

from label_sets import EVERY_LABEL, label_set_of
from voxemo.catalog.lookup import label_table
from voxemo.core.labels import LabelSet
from voxemo.parsing.fields import MAX_LABEL_CHARS, MAX_RAW_CHARS
from voxemo.parsing.hard import parse_hard

NEGATIONS = ["not {}", "isn't {}", "isn’t {}", "no {}", "nicht {}", "non {}", "не {}", "{} değil", "不 {}"]
ALTERNATIVES = ["{} or {}", "{}/{}", "{}, {}", "{} and {}", "{}|{}", "{} ({})", "between {} and {}"]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("FINAL LABEL: Happy", "happy"),
        ("final label:  ANGRY.", "angry"),
        ("REASONING: not sad\nFINAL LABEL: Angry", "angry"),
        ("FINAL LABEL: **happy**", None),
        ("FINAL LABEL: Anger", None),
        ("FINAL LABEL: Happy or Sad", None),
    ],
    ids=[
        "name",
        "case and full stop",
        "earlier words ignored",
        "markdown is lenient",
        "alias is lenient",
        "two labels is no label",
    ],
)
def test_strict_reading_maps_an_answer_to_one_label_or_none(
    answer: str, label: str | None, basic_labels: LabelSet
) -> None:
    assert label == parse_hard(answer, basic_labels, reading="strict").label


@pytest.mark.parametrize(
    "answer", ["FINAL LABEL: Happy..", "FINAL LABEL: .Happy", "FINAL LABEL: Happy,", "FINAL LABEL: 'Happy'"]
)
def test_strict_reading_takes_off_one_closing_period_and_nothing_else(answer: str, basic_labels: LabelSet) -> None:
    assert parse_hard(answer, basic_labels).reason == "out_of_set"


@pytest.mark.parametrize("space", [" ", "\t", "\xa0", "\u3000"])
def test_white_space_of_any_kind_may_stand_in_and_around_the_field(space: str, basic_labels: LabelSet) -> None:
    answer = f"FINAL{space}{space}LABEL{space}:{space}Happy{space}.{space}"

    assert parse_hard(answer, basic_labels).label == "happy"


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_label_ends_with_its_line(line_end: str, basic_labels: LabelSet) -> None:
    assert parse_hard(f"FINAL LABEL: Happy{line_end}and more", basic_labels).label == "happy"
    assert parse_hard(f"FINAL LABEL:{line_end}Happy", basic_labels).reason == "empty_field"


@pytest.mark.parametrize(("finish", "reason"), [("error", "model_error"), ("no_audio", "no_audio")])
def test_no_answer_is_a_failure_whatever_text_is_there(finish: str, reason: str, basic_labels: LabelSet) -> None:
    prediction = parse_hard("FINAL LABEL: Happy", basic_labels, finish=finish)

    assert (prediction.status, prediction.label, prediction.reason) == ("failed", None, reason)


@pytest.mark.parametrize("reading", ["strict", "lenient"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [("", "empty"), ("The speaker", "cut_off"), ("FINAL LABEL:", "cut_off"), ("FINAL LABEL: Hap", "out_of_set")],
)
def test_the_token_limit_explains_a_field_that_is_missing_or_empty(
    answer: str, reason: str, reading: str, basic_labels: LabelSet
) -> None:
    assert parse_hard(answer, basic_labels, reading=reading, finish="length").reason == reason


@pytest.mark.parametrize("name", EVERY_LABEL)
def test_lenient_reading_knows_every_word_of_the_label_table(name: str) -> None:
    label_set = label_set_of(*EVERY_LABEL)
    entry = label_table().labels[name]

    for word in {*entry.aliases, *(word for words in entry.translations.values() for word in words)} - {name}:
        prediction = parse_hard(f"FINAL LABEL: {word.capitalize()}", label_set, reading="lenient")
        assert (prediction.label, prediction.status) == (name, "repaired")
        assert parse_hard(f"FINAL LABEL: {word}", label_set).label is None


@pytest.mark.parametrize("reading", ["strict", "lenient"])
@pytest.mark.parametrize("negation", NEGATIONS)
def test_a_denied_label_is_no_label(negation: str, reading: str, basic_labels: LabelSet) -> None:
    prediction = parse_hard("FINAL LABEL: " + negation.format("angry"), basic_labels, reading=reading)

    assert (prediction.label, prediction.reason) == (None, "negated")


@pytest.mark.parametrize("reading", ["strict", "lenient"])
@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_two_labels_are_no_label(alternative: str, reading: str, basic_labels: LabelSet) -> None:
    for one, other in permutations(["Angry", "Happy", "Proud"], 2):
        prediction = parse_hard(f"FINAL LABEL: {alternative.format(one, other)}", basic_labels, reading=reading)

        # Proud is no label of this set, but a model that offers it has not chosen.
        assert (prediction.label, prediction.reason) == (None, "several_labels")


def test_raw_label_keeps_what_stood_in_the_field_for_any_file_to_hold(basic_labels: LabelSet) -> None:
    prediction = parse_hard("FINAL LABEL:  mostly \ud800 calm" + "!" * 300, basic_labels)

    assert prediction.raw_label is not None
    assert prediction.raw_label.startswith("mostly \ufffd calm!")
    assert len(prediction.raw_label) == MAX_RAW_CHARS


def test_a_line_longer_than_any_label_is_not_read_to_its_end(basic_labels: LabelSet) -> None:
    answer = "FINAL LABEL:" + " " * MAX_LABEL_CHARS + "Happy"

    assert parse_hard(answer, basic_labels).reason == "empty_field"


def test_an_answer_longer_than_any_label_is_no_bare_label(basic_labels: LabelSet) -> None:
    assert parse_hard("Happy" + "!" * MAX_LABEL_CHARS, basic_labels, reading="lenient").reason == "no_field"


def test_only_the_next_line_with_anything_on_it_may_hold_the_label(basic_labels: LabelSet) -> None:
    answer = "FINAL LABEL:\n\nREASONING: a laugh\nHappy"

    assert parse_hard(answer, basic_labels, reading="lenient").reason == "empty_field"


def test_of_two_fields_without_colons_the_last_counts(basic_labels: LabelSet) -> None:
    answer = "FINAL LABEL sad\nFINAL LABEL happy"

    assert parse_hard(answer, basic_labels, reading="lenient").label == "happy"


def test_a_label_of_two_words_is_read_as_one() -> None:
    label_set = LabelSet(("mixed feelings", "sad"), aliases={"ambivalence": "mixed feelings"})

    assert parse_hard("FINAL LABEL: Mixed feelings", label_set).label == "mixed feelings"
    assert parse_hard("FINAL LABEL: I hear mixed feelings", label_set, reading="lenient").label == "mixed feelings"


@pytest.mark.parametrize(
    ("answer", "repairs"),
    [
        ("**Final_Label** = `Joy`!", ("field_form", "colon", "markup", "punctuation", "alias")),
        ("FINAL LABEL:\n- Happy", ("next_line", "punctuation")),
        ("FINAL LABEL: (Happy, since she laughs)", ("sentence",)),
        ("“Happy”", ("bare_label", "quotes")),
    ],
)
def test_every_repair_that_mattered_is_named_in_the_order_of_use(
    answer: str, repairs: tuple[str, ...], basic_labels: LabelSet
) -> None:
    prediction = parse_hard(answer, basic_labels, reading="lenient")

    assert (prediction.label, prediction.status, prediction.repairs) == ("happy", "repaired", repairs)
