# ruff: noqa: RUF001 - signs that look alike are what is tested
"""Where the parser read."""

import pytest

from voxemo.core.labels import LabelSet
from voxemo.core.types import Form, Reading
from voxemo.parsing.spans import read_parts


def marked(text: str, form: Form, label_set: LabelSet, reading: Reading = "lenient") -> dict[str, tuple[str, bool]]:
    parts = read_parts(text, form, label_set, reading=reading)
    return {part.what: (text[part.start : part.end], part.understood) for part in parts}


@pytest.mark.parametrize(
    ("text", "read", "understood"),
    [
        ("FINAL LABEL: Sad", "Sad", True),
        ("FINAL LABEL: Angry\nso\nFINAL LABEL:  Sad. \nend", "Sad.", True),
        ("**Final Label**: **Sad**", "**Sad**", True),
        ("FINAL LABEL:\n\n  Sad\nmore", "Sad", True),
        ("Sad!", "Sad!", True),
        ("FINAL LABEL: The speaker is sad, I think", "The speaker is sad, I think", True),
        ("FINAL LABEL: Happy or Sad", "Happy or Sad", False),
        ("FINAL LABEL: \u202eSad", "\u202eSad", True),
    ],
)
def test_the_words_that_gave_the_label_are_marked(
    text: str, read: str, understood: bool, basic_labels: LabelSet
) -> None:
    assert marked(text, "hard", basic_labels) == {"label": (read, understood)}


@pytest.mark.parametrize(
    ("text", "read", "understood"),
    [
        ('EMOTION DISTRIBUTION: {"Sad": 1} and so on', '{"Sad": 1}', True),
        ('EMOTION DISTRIBUTION:\n```json\n{"Sad": 1}\n```', '{"Sad": 1}', True),
        ("EMOTION DISTRIBUTION: {'Sad': 1,} }", "{'Sad': 1,}", True),
        ("EMOTION DISTRIBUTION: {Sad： １｝ tail}", "{Sad： １｝", True),
        ('I say {"Sad": 1}', '{"Sad": 1}', True),
        ('EMOTION DISTRIBUTION: {"Sad": 1, "Bored": 2}\nno', '{"Sad": 1, "Bored": 2}', False),
        ("EMOTION DISTRIBUTION:\n mostly sad \nno", "mostly sad", False),
    ],
)
def test_the_object_that_gave_the_distribution_is_marked(
    text: str, read: str, understood: bool, basic_labels: LabelSet
) -> None:
    assert marked(text, "distribution", basic_labels)["distribution"] == (read, understood)


def test_a_distribution_answer_has_its_label_marked_too_in_the_order_of_the_text(basic_labels: LabelSet) -> None:
    text = 'EMOTION DISTRIBUTION: {"Sad": 1}\nFINAL LABEL: Sad'

    parts = read_parts(text, "distribution", basic_labels)

    assert [(part.what, text[part.start : part.end]) for part in parts] == [
        ("distribution", '{"Sad": 1}'),
        ("label", "Sad"),
    ]


@pytest.mark.parametrize("text", ["", "I hear something.", "FINAL LABEL:", "EMOTION DISTRIBUTION:"])
def test_nothing_is_marked_where_there_is_nothing_to_look_at(text: str, basic_labels: LabelSet) -> None:
    assert marked(text, "distribution", basic_labels) == {}


def test_no_text_is_read_of_likelihoods_and_of_errors(basic_labels: LabelSet) -> None:
    assert read_parts("FINAL LABEL: Sad", "likelihood", basic_labels) == ()
    assert read_parts("FINAL LABEL: Sad", "hard", basic_labels, finish="error") == ()
