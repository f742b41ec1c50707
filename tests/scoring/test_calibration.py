import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from voxemo.scoring.calibration import CalibrationScore, calibration, confidences
from voxemo.scoring.groups import bin_numbers


def table(scores: list[CalibrationScore]) -> dict[tuple[str, str], CalibrationScore]:
    return {(score.group, score.metric): score for score in scores}


def answers(seed: int, *, n: int = 200, n_speakers: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidences away from the edges of bins, whether each is right, and speakers."""
    rng = np.random.default_rng(seed)
    confidence = rng.integers(10, size=n) / 10 + rng.uniform(0.01, 0.09, size=n)
    return confidence, rng.random(n) < confidence, rng.integers(n_speakers, size=n)


@given(st.integers(0, 1000))
def test_bins_are_those_of_scikit_learn(seed: int) -> None:
    confidence, correct, speakers = answers(seed)
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=10)

    scores = [score for score in calibration(confidence, correct, speakers, resamples=0) if score.group != "all"]

    assert [score.value for score in scores if score.metric == "accuracy"] == pytest.approx(accuracy.tolist())
    assert [score.value for score in scores if score.metric == "confidence"] == pytest.approx(mean_confidence.tolist())


@given(st.integers(0, 1000))
def test_bins_add_up_to_all_and_give_the_calibration_error(seed: int) -> None:
    confidence, correct, speakers = answers(seed)
    scores = table(calibration(confidence, correct, speakers, resamples=0))
    bins = sorted({group for group, _ in scores} - {"all"})

    n = np.array([scores[group, "accuracy"].n for group in bins])
    accuracy = np.array([scores[group, "accuracy"].value for group in bins])
    means = np.array([scores[group, "confidence"].value for group in bins])
    assert n.sum() == scores["all", "ece"].n == 200
    assert scores["all", "accuracy"].value == pytest.approx((n * accuracy).sum() / 200)
    assert scores["all", "confidence"].value == pytest.approx(confidence.mean())
    assert scores["all", "ece"].value == pytest.approx((n * np.abs(accuracy - means)).sum() / 200)
    assert scores["all", "ece"].value >= abs(correct.mean() - confidence.mean()) - 1e-12


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=1, max_size=10))
def test_a_system_that_is_right_as_often_as_it_says_has_no_calibration_error(shares: list[tuple[int, int]]) -> None:
    groups = [(min(part, whole), whole) for part, whole in shares]
    confidence = np.concatenate([np.full(whole, part / whole) for part, whole in groups])
    correct = np.concatenate([np.arange(whole) < part for part, whole in groups])

    scores = table(calibration(confidence, correct, np.arange(len(correct)), resamples=20))

    assert scores["all", "ece"].value == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 1000))
def test_always_certain_and_always_wrong_is_the_largest_error(seed: int) -> None:
    scores = table(calibration(np.ones(20), np.zeros(20, dtype=bool), np.arange(20) % 7, seed=seed, resamples=20))

    assert (scores["all", "ece"].value, scores["all", "ece"].ci_low, scores["all", "ece"].ci_high) == (1, 1, 1)


@given(st.integers(0, 1000))
def test_every_interval_holds_its_value_and_stays_within_0_and_1(seed: int) -> None:
    for score in calibration(*answers(seed), resamples=30):
        if not np.isnan(score.ci_low):
            assert 0 <= score.ci_low <= score.value <= score.ci_high <= 1


def test_a_bin_that_few_speakers_reach_has_no_interval() -> None:
    confidence = np.array([0.95] * 8 + [0.55] * 4)
    speakers = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3])

    scores = table(calibration(confidence, confidence > 0.9, speakers, resamples=20))

    assert np.isnan(scores["0.5-0.6", "accuracy"].ci_low)
    assert not np.isnan(scores["0.9-1.0", "accuracy"].ci_low)
    assert not np.isnan(scores["all", "ece"].ci_low)


def test_no_answer_gives_no_calibration() -> None:
    assert calibration(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)) == []


def test_the_answer_is_the_first_of_the_likeliest_labels() -> None:
    predicted = np.array([[0.5, 0.5, 0.0], [0.2, 0.1, 0.7]])

    confidence, correct = confidences(predicted, np.array([1, 2]))

    assert confidence.tolist() == [0.5, 0.7]
    assert correct.tolist() == [False, True]
    assert bin_numbers(confidence, n_bins=10).tolist() == [4, 6]
