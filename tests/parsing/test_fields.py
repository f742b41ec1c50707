# ruff: noqa: RUF001 - signs that look alike are what is tested
"""Finding fields."""

import pytest

from voxemo.parsing.fields import EMOTION_DISTRIBUTION, FINAL_LABEL, MAX_CANDIDATES, Answer


@pytest.mark.parametrize("before", ["", "İ", "\ud800", "愤怒 ", "ﬁnal ", "\U0001f600"])
def test_offsets_are_those_of_the_text_whatever_stands_before(before: str) -> None:
    text = f"{before}FINAL LABEL:x"

    start = Answer(text).field(FINAL_LABEL)

    assert start is not None
    assert text[start:] == "x"


@pytest.mark.parametrize(
    "text",
    ["", "FINAL", "FINAL LABEL", "FINALLABEL:", "LABEL: x", "FINAL: LABEL", "**FINAL LABEL**: x", "FINAL-LABEL: x"],
)
def test_strict_form_is_two_words_and_a_colon(text: str) -> None:
    assert Answer(text).field(FINAL_LABEL) is None


@pytest.mark.parametrize(
    ("text", "marked", "repairs"),
    [
        ("FINAL LABEL: x", True, ()),
        ("final\tlabel :x", True, ()),
        ("**Final Label**: x", True, ("field_form",)),
        ("<b>FINAL LABEL</b>: x", True, ("field_form",)),
        ("FINAL_LABEL: x", True, ("field_form",)),
        ('"FINAL LABEL": x', True, ("field_form",)),
        ("FINALLABEL: x", True, ("field_form",)),
        ("FINAL LABEL： x", True, ("colon",)),
        ("FINAL LABEL = x", True, ("colon",)),
        ("FINAL LABEL x", False, ("colon",)),
        ("FINAL LABEL is x", False, ("colon",)),
        ("FINAL LABEL - x", False, ("colon",)),
    ],
)
def test_loose_forms_are_found_and_named(text: str, marked: bool, repairs: tuple[str, ...]) -> None:
    answer = Answer(text)

    field = answer.loose_field(FINAL_LABEL)

    assert field is not None
    assert (text[field.start :].strip(), field.marked, field.repairs) == ("x", marked, repairs)


def test_a_name_with_a_colon_goes_before_a_later_one_in_prose() -> None:
    text = "FINAL LABEL = sad. The final label says it."

    field = Answer(text).loose_field(FINAL_LABEL)

    assert field is not None
    assert text[field.start :].startswith(" sad")


def test_fields_do_not_take_each_others_names() -> None:
    answer = Answer("FINAL DISTRIBUTION: 1\nEMOTION LABEL: 2")

    assert answer.field(FINAL_LABEL) is answer.field(EMOTION_DISTRIBUTION) is None


def test_a_field_is_found_behind_as_many_false_starts_as_an_answer_can_hold() -> None:
    assert Answer("FINAL LABEL: x\n" + "final " * 5_000).field(FINAL_LABEL) is not None
    assert Answer("FINAL LABEL: x\n" + "final " * MAX_CANDIDATES).field(FINAL_LABEL) is None
