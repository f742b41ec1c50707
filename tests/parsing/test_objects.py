# ruff: noqa: RUF001 - signs that look alike are what is tested
"""Objects, by JSON's rules and loosely."""

import pytest

from voxemo.parsing.objects import MAX_DEPTH, decode_object, loose_object
from voxemo.parsing.reasons import UnreadableError


def reason_of(text: str, finish: str = "stop") -> str:
    with pytest.raises(UnreadableError) as failure:
        decode_object(text, finish=finish)
    return failure.value.reason


def test_pairs_keep_their_order_and_their_repetitions() -> None:
    assert decode_object('{"b": 1, "a": 2, "b": 3} tail', finish="stop")[0] == [("b", 1.0), ("a", 2.0), ("b", 3.0)]


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_refused_before_the_decoder_sees_it(opening: str) -> None:
    assert reason_of('{"a":' + opening * 100_000) == "too_deep"
    assert reason_of('{"a":' + opening * (MAX_DEPTH - 1) + "1") == "bad_json"


def test_brackets_in_strings_and_behind_the_object_are_no_nesting() -> None:
    assert decode_object('{"' + "[" * 100 + '": 1}' + "{" * 100, finish="stop")[0] == [("[" * 100, 1.0)]
    assert decode_object('{"\\"' + "{" * 100 + '": 1}', finish="stop")[0] == [('"' + "{" * 100, 1.0)]


@pytest.mark.parametrize("text", ["", "[1]", "1", " {}"])
def test_what_does_not_begin_as_an_object_is_none(text: str) -> None:
    assert reason_of(text) == "not_an_object"


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        ('{"Sad": 0.5}', ()),
        ("{ }", ()),
        ("{'Sad': 0.5}", ("quotes",)),
        ("{`Sad`: 0.5}", ("quotes",)),
        ("{Sad: 0.5}", ("unquoted_keys",)),
        ('{"Sad": 0.5,}', ("trailing_comma",)),
        ('{"Sad": 0.5\n}', ()),
        ('{"Sad" = 0.5}', ("separators",)),
        ('{"Sad"：0.5、}', ("separators", "trailing_comma")),
    ],
)
def test_loose_objects_are_read_and_their_looseness_named(text: str, repairs: tuple[str, ...]) -> None:
    pairs, found = loose_object(text)

    assert pairs == ([("Sad", 0.5)] if "Sad" in text else [])
    assert found == repairs


def test_line_ends_may_stand_for_commas() -> None:
    assert loose_object('{\n"Sad": 0.5\n"Happy": 0.5\n}') == ([("Sad", 0.5), ("Happy", 0.5)], ("separators",))


def test_only_numbers_as_json_writes_them_come_as_numbers() -> None:
    pairs, _ = loose_object('{a: 1, b: -1.5e3, c: "1", d: 1%, e: .5, f: NaN, g: }')

    assert [value for _, value in pairs] == [1.0, -1500.0, '"1"', "1%", ".5", "NaN", ""]


@pytest.mark.parametrize("text", ["{", "{'Sad': 0.5", "{'Sad' 0.5}", "{{'Sad': 1}}", "{: 1}", "{,}", "{'Sad': {}}"])
def test_what_is_no_flat_list_of_entries_is_not_guessed_at(text: str) -> None:
    with pytest.raises(UnreadableError) as failure:
        loose_object(text)

    assert failure.value.reason == "bad_json"
