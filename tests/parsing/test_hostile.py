"""Answers made to break a parser: each must come back as a prediction, whichever form and reading."""

import pytest

from label_sets import CREMA_D, label_set_of
from voxemo.core.types import ParsedPrediction
from voxemo.parsing.hard import parse_hard
from voxemo.parsing.soft import parse_distribution

SIZE = 1_000_000
LABEL = "FINAL LABEL: "
FIELD = "EMOTION DISTRIBUTION: "

HOSTILE = {
    "one letter": "a" * 10 * SIZE,
    "white space": " " * SIZE,
    "lone surrogates": "\ud800" * SIZE,
    "null bytes": LABEL + "\x00" * SIZE,
    "first words": "FINAL EMOTION " * (SIZE // 10),
    "first word and blanks": "FINAL" + " " * SIZE,
    "fields": (LABEL + FIELD) * (SIZE // 20),
    "names without colons": "FINAL LABEL EMOTION DISTRIBUTION " * (SIZE // 30),
    "endless label line": LABEL + "x" * SIZE,
    "endless sentence": LABEL + "not happy or, perhaps (sad)/" * (SIZE // 30),
    "markup": LABEL + "*<b>_`" * (SIZE // 6),
    "open tags": LABEL + "<b " * (SIZE // 3),
    "brackets and points": LABEL + ").(" * (SIZE // 3),
    "marks of direction": LABEL + "\u202e" * SIZE,
    "combining marks": LABEL + "e" + "\u0301" * SIZE,
    "ligatures that grow": LABEL + "\ufdfa" * SIZE,
    "open objects": FIELD + "{" * SIZE,
    "open arrays": FIELD + "[" * SIZE,
    "arrays in a value": FIELD + '{"Happy":' + "[" * SIZE,
    "objects in a value": FIELD + '{"Happy":' * SIZE,
    "nesting with an end": FIELD + '{"Happy":' + "[" * SIZE + "]" * SIZE + "}",
    "open strings": FIELD + '{"' * SIZE,
    "escapes": FIELD + '{"' + "\\" * SIZE,
    "surrogate escapes": FIELD + '{"\\ud800": 1, "Happy": 1}',
    "one key": FIELD + "{" + '"Happy": 1, ' * (SIZE // 12),
    "one loose key": FIELD + "{" + "'Happy': 1, " * (SIZE // 12),
    "digits": FIELD + '{"Happy": ' + "9" * SIZE + "}",
    "digits within bounds": FIELD + '{"Happy": ' + "9" * 10_000 + "}",
    "exponent": FIELD + '{"Happy": 1e' + "9" * 1_000 + "}",
    "loose digits": FIELD + "{'Happy': " + "9" * 10_000 + "}",
    "commas": FIELD + "{" + "," * SIZE,
    "quotes": FIELD + "{" + "'" * SIZE,
    "colons": FIELD + "{" + "a:" * SIZE,
    "percent signs": FIELD + "{'Happy': " + "%" * SIZE,
}


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("reading", ["strict", "lenient"])
@pytest.mark.parametrize("parse", [parse_hard, parse_distribution])
@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_hostile_answer_is_a_failed_prediction_and_no_error(answer, parse, reading: str, finish: str) -> None:
    prediction = parse(answer, label_set_of(*CREMA_D), reading=reading, finish=finish)

    assert isinstance(prediction, ParsedPrediction)
    assert (prediction.status, prediction.label, prediction.distribution) == ("failed", None, None)


@pytest.mark.parametrize("tail", ["x" * SIZE, "\n" * SIZE, "{" * SIZE, "\ud800" * SIZE, "final, " * 1_000])
def test_what_runs_on_behind_the_fields_does_not_hide_them(tail: str) -> None:
    answer = f'{FIELD}{{"Happy": 1}}\n{LABEL}Happy\n{tail}'

    prediction = parse_distribution(answer, label_set_of(*CREMA_D))

    assert (prediction.status, prediction.label_status, prediction.label) == ("ok", "ok", "happy")


def test_what_stands_before_the_fields_does_not_hide_them() -> None:
    answer = "{[(\"'<b>*" * SIZE + f'{FIELD}{{"Happy": 1}}\n{LABEL}Happy'

    prediction = parse_distribution(answer, label_set_of(*CREMA_D))

    assert (prediction.status, prediction.label_status, prediction.label) == ("ok", "ok", "happy")
