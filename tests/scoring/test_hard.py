import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from voxemo.core.types import FailurePolicy
from voxemo.scoring import hard

N_LABELS = 4
answers = st.lists(st.tuples(st.integers(0, N_LABELS - 1), st.integers(-1, N_LABELS - 1)), min_size=1, max_size=40)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    gold, predicted = np.array(pairs).T
    return gold, predicted


def table(pairs: list[tuple[int, int]]) -> np.ndarray:
    gold, predicted = columns(pairs)
    return hard.group_confusions(gold, predicted, np.zeros_like(gold), n_labels=N_LABELS, n_groups=1)[0]


@settings(deadline=None)
@given(answers)
def test_confusions_equal_scikit_learn_with_failed_answers_as_the_last_column(pairs):
    gold, predicted = columns(pairs)

    expected = confusion_matrix(gold, np.where(predicted < 0, N_LABELS, predicted), labels=range(N_LABELS + 1))

    np.testing.assert_array_equal(expected[:N_LABELS], table(pairs))


@settings(deadline=None)
@given(answers)
def test_overall_metrics_equal_scikit_learn(pairs):
    gold, predicted = columns(pairs)
    present = sorted(set(gold))
    options = {"labels": range(N_LABELS), "zero_division": 0}

    assert accuracy_score(gold, predicted) == pytest.approx(hard.weighted_accuracy(table(pairs)))
    assert recall_score(gold, predicted, labels=present, average="macro") == pytest.approx(
        hard.unweighted_accuracy(table(pairs))
    )
    assert f1_score(gold, predicted, average="micro", **options) == pytest.approx(hard.micro_f1(table(pairs)))
    assert f1_score(gold, predicted, average="macro", **options) == pytest.approx(hard.macro_f1(table(pairs)))


@settings(deadline=None)
@given(answers)
def test_class_metrics_equal_scikit_learn_and_are_undefined_where_it_divides_by_zero(pairs):
    gold, predicted = columns(pairs)
    options = {"labels": range(N_LABELS), "average": None}

    expected_recall = recall_score(gold, predicted, zero_division=np.nan, **options)
    expected_precision = precision_score(gold, predicted, zero_division=np.nan, **options)
    expected_f1 = f1_score(gold, predicted, zero_division=0, **options)

    np.testing.assert_allclose(expected_recall, hard.recall(table(pairs)))
    np.testing.assert_allclose(expected_precision, hard.precision(table(pairs)))
    np.testing.assert_allclose(expected_f1, hard.f1(table(pairs)))


@settings(deadline=None)
@given(answers.filter(lambda pairs: all(predicted >= 0 for _, predicted in pairs)))
def test_without_failures_micro_f1_is_weighted_accuracy(pairs):
    assert hard.weighted_accuracy(table(pairs)) == pytest.approx(hard.micro_f1(table(pairs)))


def test_unweighted_accuracy_is_scikit_learns_balanced_accuracy():
    gold, predicted = np.array([0, 0, 0, 1, 2, 3]), np.array([0, 0, 1, 1, 3, 3])

    expected = balanced_accuracy_score(gold, predicted)

    assert expected == pytest.approx(hard.unweighted_accuracy(table(list(zip(gold, predicted, strict=True)))))


def test_a_failed_answer_is_a_miss_for_its_class_and_no_false_alarm_so_micro_f1_exceeds_accuracy():
    pairs = [(0, 0), (1, -1)]

    assert hard.weighted_accuracy(table(pairs)) == 0.5
    assert hard.micro_f1(table(pairs)) == pytest.approx(2 / 3)


def test_a_class_absent_from_the_truth_is_left_out_of_ua_and_counts_as_zero_in_macro_f1():
    pairs = [(0, 0), (1, 1)]

    assert hard.unweighted_accuracy(table(pairs)) == 1.0
    assert hard.macro_f1(table(pairs)) == 2 / N_LABELS


@pytest.mark.parametrize(
    "metric", [hard.weighted_accuracy, hard.unweighted_accuracy, hard.micro_f1, hard.macro_f1, hard.recall, hard.f1]
)
def test_every_metric_of_an_empty_table_is_undefined(metric):
    assert np.isnan(metric(np.zeros((N_LABELS, N_LABELS + 1)))).all()


@settings(deadline=None)
@given(answers, st.integers(1, 5), st.randoms())
def test_confusions_of_groups_sum_to_those_of_all(pairs, n_groups, random):
    gold, predicted = columns(pairs)
    groups = np.array([random.randrange(n_groups) for _ in pairs])

    grouped = hard.group_confusions(gold, predicted, groups, n_labels=N_LABELS, n_groups=n_groups)

    np.testing.assert_array_equal(table(pairs), grouped.sum(axis=0))


def test_metrics_of_many_tables_are_those_of_each():
    tables = np.random.default_rng(0).integers(0, 9, size=(3, 2, N_LABELS, N_LABELS + 1)).astype(float)

    for metric in (hard.unweighted_accuracy, hard.macro_f1, hard.f1):
        together = metric(tables)
        assert together.shape[:2] == (3, 2)
        np.testing.assert_array_equal(together[2, 1], metric(tables[2, 1]))


@pytest.mark.parametrize(
    ("gold", "predicted", "groups"),
    [([4], [0], [0]), ([-1], [0], [0]), ([0], [4], [0]), ([0], [-2], [0]), ([0], [0], [1])],
    ids=["gold too high", "gold missing", "answer too high", "answer too low", "unknown group"],
)
def test_numbers_outside_the_label_set_are_refused(gold, predicted, groups):
    with pytest.raises(ValueError, match="expected"):
        hard.group_confusions(np.array(gold), np.array(predicted), np.array(groups), n_labels=N_LABELS, n_groups=1)


def test_a_constant_guesser_expects_its_distribution_in_every_row():
    gold, groups = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])

    confusions = hard.constant_confusions(gold, np.array([0.75, 0.25]), groups, n_groups=2)

    assert confusions.tolist() == [[[1.5, 0.5, 0], [0.75, 0.25, 0]], [[0, 0, 0], [0.75, 0.25, 0]]]


def test_expected_confusions_of_a_guesser_are_the_mean_of_its_draws():
    rng = np.random.default_rng(0)
    gold, distribution = rng.integers(3, size=200), np.array([0.5, 0.3, 0.2])
    groups = np.zeros_like(gold)

    drawn = [
        hard.group_confusions(gold, rng.choice(3, size=200, p=distribution), groups, n_labels=3, n_groups=1)
        for _ in range(400)
    ]

    expected = hard.constant_confusions(gold, distribution, groups, n_groups=1)
    np.testing.assert_allclose(np.mean(drawn, axis=0), expected, atol=1.0)


def test_the_three_failure_policies_leave_empty_or_spread_the_failed_column():
    confusions = np.array([[3.0, 1.0, 4.0], [0.0, 2.0, 2.0]])

    settled = {policy: hard.apply_failure_policy(confusions, policy).tolist() for policy in ("excluded", "uniform")}

    np.testing.assert_array_equal(confusions, hard.apply_failure_policy(confusions, "wrong"))
    assert settled == {"excluded": [[3, 1, 0], [0, 2, 0]], "uniform": [[5, 3, 0], [1, 3, 0]]}


@pytest.mark.parametrize("policy", ["wrong", "uniform"])
def test_policies_that_keep_failed_answers_keep_every_utterance(policy: FailurePolicy):
    confusions = np.array([[3.0, 1.0, 4.0], [0.0, 2.0, 2.0]])

    assert hard.apply_failure_policy(confusions, policy).sum(axis=-1).tolist() == [8.0, 4.0]
