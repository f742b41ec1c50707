# ruff: noqa: RUF001 - signs that look alike are what is tested
"""Reasons of failures."""

import pytest

from voxemo.parsing.reasons import REASONS, absence_reason, is_refusal


@pytest.mark.parametrize("reason", REASONS)
def test_reason_has_a_meaning_of_one_sentence(reason: str) -> None:
    assert REASONS[reason].endswith(".")
    assert REASONS[reason].count(". ") == 0


@pytest.mark.parametrize(
    "text",
    ["I'm sorry, but", "**I cannot** tell", "> As an AI, I", "  Unfortunately the audio", "无法判断", "I’m unable"],
)
def test_openings_that_decline_are_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize("text", ["", "The man says: I'm sorry", "ASR TRANSCRIPT: I cannot come", "It is happy"])
def test_the_same_words_further_on_are_none(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "length", "empty"),
        (" \n", "stop", "empty"),
        ("I cannot", "length", "cut_off"),
        ("I cannot", "stop", "refusal"),
        ("Happy", "stop", "no_field"),
    ],
)
def test_a_missing_field_has_the_reason_that_says_most(text: str, finish: str, reason: str) -> None:
    assert absence_reason(text, finish) == reason
