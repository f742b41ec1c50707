"""The EMOTION DISTRIBUTION of an answer."""

import pytest

from voxemo.core.labels import LabelSet
from voxemo.parsing.soft import parse_distribution

FIELD = "EMOTION DISTRIBUTION: "


def test_distribution_stands_in_label_set_order_and_sums_to_one(basic_labels: LabelSet) -> None:
    prediction = parse_distribution(FIELD + '{"Sad": 1, "Angry": 3}', basic_labels)

    assert (prediction.status, prediction.distribution) == ("ok", (0.75, 0.0, 0.0, 0.25))


def test_keys_may_be_aliases_but_not_translations_by_the_strict_reading(basic_labels: LabelSet) -> None:
    assert parse_distribution(FIELD + '{" ANGER ": 1}', basic_labels).distribution == (1.0, 0.0, 0.0, 0.0)
    assert parse_distribution(FIELD + '{"Wut": 1}', basic_labels).reason == "unknown_key"
    assert parse_distribution(FIELD + '{"Wut": 1}', basic_labels, reading="lenient").repairs == ("translation",)


def test_the_label_beside_is_read_by_the_same_reading_and_kept_apart(basic_labels: LabelSet) -> None:
    answer = FIELD + '{"Sad": 1}\nFINAL LABEL: Joy'

    strict = parse_distribution(answer, basic_labels)
    lenient = parse_distribution(answer, basic_labels, reading="lenient")

    assert (strict.status, strict.label, strict.label_status, strict.label_reason) == (
        "ok",
        None,
        "failed",
        "out_of_set",
    )
    assert (lenient.status, lenient.label, lenient.label_status, lenient.repairs) == ("ok", "happy", "repaired", ())
    assert strict.raw_label == lenient.raw_label == "Joy"


def test_a_failed_distribution_keeps_the_label_beside(basic_labels: LabelSet) -> None:
    prediction = parse_distribution(FIELD + "none\nFINAL LABEL: Sad", basic_labels)

    assert (prediction.status, prediction.reason, prediction.distribution) == ("failed", "not_an_object", None)
    assert (prediction.label, prediction.label_status) == ("sad", "ok")


@pytest.mark.parametrize(("finish", "reason"), [("error", "model_error"), ("no_audio", "no_audio")])
def test_no_answer_fails_both_whatever_text_is_there(finish: str, reason: str, basic_labels: LabelSet) -> None:
    prediction = parse_distribution(FIELD + '{"Sad": 1}\nFINAL LABEL: Sad', basic_labels, finish=finish)

    assert (prediction.status, prediction.reason, prediction.distribution) == ("failed", reason, None)
    assert (prediction.label_status, prediction.label_reason, prediction.label) == ("failed", reason, None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("-1e-300", "bad_numbers"),
        ("NaN", "bad_numbers"),
        ("-Infinity", "bad_numbers"),
        ("1e999", "bad_numbers"),
        ("1" + "0" * 400, "bad_numbers"),
        ("9" * 5_000, "bad_numbers"),
        ("true", "bad_numbers"),
        ('"0.5"', "bad_numbers"),
        ("[0.5]", "bad_numbers"),
        ("0", "zero_sum"),
        ("01", "bad_json"),
        ("0.5.", "bad_json"),
    ],
)
def test_strict_reading_takes_finite_non_negative_json_numbers_only(
    value: str, reason: str, basic_labels: LabelSet
) -> None:
    assert parse_distribution(f'{FIELD}{{"Sad": {value}}}', basic_labels).reason == reason


@pytest.mark.parametrize("numbers", [("5e-324", "5e-324"), ("1e-300", "3e-300"), ("8e307", "8e307"), ("1", "3")])
def test_numbers_of_any_size_renormalise(numbers: tuple[str, str], basic_labels: LabelSet) -> None:
    prediction = parse_distribution(f'{FIELD}{{"Angry": {numbers[0]}, "Sad": {numbers[1]}}}', basic_labels)

    assert prediction.distribution is not None
    assert sum(prediction.distribution) == pytest.approx(1, abs=1e-9)


def test_minus_zero_is_zero(basic_labels: LabelSet) -> None:
    prediction = parse_distribution(FIELD + '{"Angry": -0.0, "Sad": 1}', basic_labels)

    assert str(prediction.distribution) == "(0.0, 0.0, 0.0, 1.0)"


@pytest.mark.parametrize("reading", ["strict", "lenient"])
@pytest.mark.parametrize("body", ['{"Sad": 1', '{"Sad": 1,', '{"Sad', "{'Sad': 0.5", "{", "{Sad: 1"])
def test_an_object_that_was_cut_off_is_never_completed(body: str, reading: str, basic_labels: LabelSet) -> None:
    limit = parse_distribution(FIELD + body, basic_labels, reading=reading, finish="length")
    stop = parse_distribution(FIELD + body, basic_labels, reading=reading)

    assert (limit.reason, stop.reason) == ("cut_off", "bad_json")


def test_an_object_that_is_complete_and_wrong_was_not_cut_off(basic_labels: LabelSet) -> None:
    assert parse_distribution(FIELD + '{"Sad": }', basic_labels, finish="length").reason == "bad_json"


@pytest.mark.parametrize("reading", ["strict", "lenient"])
@pytest.mark.parametrize("keys", [("Happy", "Happy"), ("Happy", "HAPPY"), ("Happy", "Joy"), ("Joy", "Happiness")])
def test_a_label_named_twice_is_a_failure_whatever_its_words(
    keys: tuple[str, str], reading: str, basic_labels: LabelSet
) -> None:
    answer = f'{FIELD}{{"{keys[0]}": 0.5, "{keys[1]}": 0.5}}'

    assert parse_distribution(answer, basic_labels, reading=reading).reason == "duplicate_key"


@pytest.mark.parametrize(
    "answer",
    [
        'They say {"Happy": 1}\nEMOTION DISTRIBUTION: {"Sad": 1}',
        'EMOTION DISTRIBUTION: {"Happy": 1}\nEMOTION DISTRIBUTION: {"Sad": 1}',
        'emotion  distribution :\n\n {"Sad": 1} {"Happy": 1}',
    ],
)
def test_the_object_right_after_the_last_field_counts(answer: str, basic_labels: LabelSet) -> None:
    assert parse_distribution(answer, basic_labels).distribution == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("value", ["70%, 'Sad': 0.3", "0.7, 'Sad': '30%'"])
def test_percent_signs_on_some_numbers_only_are_not_guessed_at(value: str, basic_labels: LabelSet) -> None:
    answer = f"{FIELD}{{'Happy': {value}}}"

    assert parse_distribution(answer, basic_labels, reading="lenient").reason == "bad_numbers"


def test_percent_signs_may_be_missing_on_zeros(basic_labels: LabelSet) -> None:
    prediction = parse_distribution(FIELD + '{"Happy": 100%, "Sad": 0}', basic_labels, reading="lenient")

    assert (prediction.distribution, prediction.repairs) == ((0.0, 1.0, 0.0, 0.0), ("percent",))


def test_an_object_elsewhere_is_not_taken_for_a_field_that_is_there(basic_labels: LabelSet) -> None:
    answer = 'EMOTION DISTRIBUTION: see below\n{"Happy": 1}'

    assert parse_distribution(answer, basic_labels, reading="lenient").reason == "not_an_object"


def test_the_fields_name_in_a_sentence_does_not_hide_the_one_object(basic_labels: LabelSet) -> None:
    answer = 'Here is the emotion distribution you asked for. {"Happy": 1}'

    assert parse_distribution(answer, basic_labels, reading="lenient").repairs == ("bare_object",)


def test_white_space_that_json_does_not_know_is_a_repair(basic_labels: LabelSet) -> None:
    answer = FIELD + '{\xa0"Happy": 1}'

    assert parse_distribution(answer, basic_labels).reason == "bad_json"
    assert parse_distribution(answer, basic_labels, reading="lenient").repairs == ("white_space",)


@pytest.mark.parametrize(
    ("key", "repairs"),
    [("Happy.", ("punctuation",)), ("**Joy**", ("markup",)), ("*Freude*", ("markup", "translation"))],
)
def test_dressed_keys_are_repaired_and_an_alias_is_no_repair(
    key: str, repairs: tuple[str, ...], basic_labels: LabelSet
) -> None:
    answer = f'{FIELD}{{"{key}": 1}}'

    assert parse_distribution(answer, basic_labels).reason == "unknown_key"
    assert parse_distribution(answer, basic_labels, reading="lenient").repairs == repairs
