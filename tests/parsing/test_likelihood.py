"""Label likelihoods as a distribution."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from voxemo.core.labels import LabelSet
from voxemo.core.reasons import REASONS
from voxemo.parsing.likelihood import read_likelihoods

FOUR = LabelSet(("angry", "happy", "neutral", "sad"))
SCORES = st.lists(st.floats(-500, 0), min_size=4, max_size=4)


@given(SCORES)
def test_it_is_the_softmax_and_its_likeliest_label(scores: list[float]) -> None:
    found = read_likelihoods(scores, FOUR, finish="stop")

    assert found.status == "ok"
    assert found.distribution == pytest.approx(softmax(scores))
    assert found.label == FOUR.names[scores.index(max(scores))]


@given(SCORES, SCORES)
def test_what_silence_gives_is_taken_out(scores: list[float], silent: list[float]) -> None:
    found = read_likelihoods(scores, FOUR, finish="stop", silent=silent)

    assert found.distribution == pytest.approx(softmax([a - b for a, b in zip(scores, silent, strict=True)]))


@given(SCORES)
def test_a_model_that_hears_nothing_more_than_silence_says_nothing(scores: list[float]) -> None:
    assert read_likelihoods(scores, FOUR, finish="stop", silent=scores).distribution == pytest.approx([0.25] * 4)


def test_ties_go_to_the_first_label() -> None:
    assert read_likelihoods([-2.0, -1.0, -1.0, -3.0], FOUR, finish="stop").label == "happy"


@pytest.mark.parametrize(
    ("scores", "finish", "reason"),
    [
        (None, "stop", "no_scores"),
        ([-1.0, -2.0], "stop", "no_scores"),
        ([-1.0, -2.0, -3.0, -math.inf], "stop", "no_scores"),
        ([-1.0, -2.0, -3.0, math.nan], "stop", "no_scores"),
        (None, "error", "model_error"),
        (None, "no_audio", "no_audio"),
    ],
)
def test_what_cannot_be_read_is_a_failure_with_its_reason(scores: list[float] | None, finish: str, reason: str) -> None:
    found = read_likelihoods(scores, FOUR, finish=finish)

    assert (found.status, found.reason, found.label, found.distribution) == ("failed", reason, None, None)
    assert reason in REASONS
