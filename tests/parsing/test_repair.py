# ruff: noqa: RUF001 - signs that look alike are what is tested
"""Cleaning of words."""

import pytest

from voxemo.core.labels import LabelSet
from voxemo.parsing.repair import clean_characters, clean_word, label_of_phrase, label_of_word

LABELS = LabelSet(("angry", "sad"), aliases={"anger": "angry"}, translations={"wut": "angry"})


@pytest.mark.parametrize(
    ("text", "word", "repairs"),
    [
        (" Sad ", "Sad", ()),
        ("Sad.", "Sad", ()),
        ("Sad .", "Sad", ()),
        ("Sad..", "Sad", ("punctuation",)),
        ("[“Sad”]", "Sad", ("quotes",)),
        ("** Sad **", "Sad", ("markup",)),
        ("<strong class='x'>Sad</strong>", "Sad", ("markup",)),
        ("<Sad>", "Sad", ("quotes",)),
        ("«Sad»!", "Sad", ("quotes", "punctuation")),
        ("poker_face", "poker face", ("markup",)),
        ("...", "", ("punctuation",)),
        ("", "", ()),
    ],
)
def test_the_dress_of_a_word_is_taken_off_and_named(text: str, word: str, repairs: tuple[str, ...]) -> None:
    assert clean_word(text) == (word, repairs)


@pytest.mark.parametrize(
    ("text", "clean", "repairs"),
    [
        ("Sad", "Sad", ()),
        ("a\tb", "a\tb", ()),
        ("S\u200bad\x00", "Sad", ("invisible",)),
        ("\u202eSad\u202c", "Sad", ("invisible",)),
        ("Sad\ud800", "Sad", ("invisible",)),
        ("Sad😢Angry", "Sad Angry", ("emoji",)),
        ("☹\ufe0f", "  ", ("emoji",)),
        ("Ｓａｄ", "Sad", ("unicode",)),
        ("cole\u0300re", "colère", ("unicode",)),
        ("ভয়", "ভয়", ()),
    ],
)
def test_unseen_characters_go_and_pictures_become_blanks(text: str, clean: str, repairs: tuple[str, ...]) -> None:
    assert clean_characters(text) == (clean, repairs)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("SAD", ("sad", ())),
        ("Anger", ("angry", ("alias",))),
        ("Wut", ("angry", ("translation",))),
        ("Joy", (None, ())),
    ],
)
def test_a_word_means_a_label_by_name_alias_or_translation(
    word: str, meaning: tuple[str | None, tuple[str, ...]]
) -> None:
    assert label_of_word(word, LABELS) == meaning


@pytest.mark.parametrize(
    "phrase",
    ["Emotion: sad", "the emotion is sad", "The speaker's emotion is sad", "Predicted label = sad", "answer：sad"],
)
def test_a_label_may_follow_another_name_for_the_answer(phrase: str) -> None:
    name, repairs = label_of_phrase(phrase, LABELS)

    assert (name, repairs[0]) == ("sad", "answer_name")


@pytest.mark.parametrize("phrase", ["emotional: sad", "Emotion sad", "Mood: sad", "Emotion: sad or angry"])
def test_other_phrases_are_no_label(phrase: str) -> None:
    assert label_of_phrase(phrase, LABELS)[0] is None
