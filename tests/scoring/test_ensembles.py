import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxemo.scoring.ensembles import mean_distribution, vote, vote_label
from voxemo.scoring.soft import label_sets

variants = st.integers(2, 8).flatmap(
    lambda n_labels: st.tuples(
        st.just(n_labels),
        st.lists(st.lists(st.integers(-1, n_labels - 1), min_size=5, max_size=5), min_size=1, max_size=10),
    )
)


@settings(deadline=None)
@given(variants)
def test_the_vote_is_equation_two(case):
    n_labels, rows = case
    expected = [[(row.count(label) + row.count(-1) / n_labels) / len(row) for label in range(n_labels)] for row in rows]

    np.testing.assert_allclose(vote(np.array(rows), n_labels=n_labels), expected, atol=1e-12)


@settings(deadline=None)
@given(variants)
def test_the_order_of_the_variants_does_not_matter(case):
    n_labels, rows = case
    predicted = np.array(rows)

    np.testing.assert_array_equal(vote(predicted, n_labels=n_labels), vote(predicted[:, ::-1], n_labels=n_labels))


@pytest.mark.parametrize("label", range(4))
def test_five_equal_answers_are_one_hot(label):
    assert np.eye(4)[[label]].tolist() == vote(np.full((1, 5), label), n_labels=4).tolist()


@pytest.mark.parametrize("n_labels", range(2, 17))
def test_five_failed_answers_are_exactly_uniform_with_an_empty_label_set(n_labels):
    shares = vote(np.full((1, 5), -1), n_labels=n_labels)

    assert [[1 / n_labels] * n_labels] == shares.tolist()
    assert not label_sets(shares).any()


@settings(deadline=None)
@given(variants)
def test_the_voted_label_has_the_most_votes_and_is_the_first_of_those(case):
    n_labels, rows = case

    for row, label in zip(rows, vote_label(np.array(rows), n_labels=n_labels), strict=True):
        counts = [row.count(c) for c in range(n_labels)]
        assert label == (counts.index(max(counts)) if max(counts) else -1)


def test_five_different_answers_are_a_tie_and_no_failure():
    assert vote_label(np.array([[4, 3, 2, 1, 0]]), n_labels=5).tolist() == [0]


def test_no_utterances_give_no_votes():
    nothing = np.empty((0, 5), dtype=np.int64)

    assert vote(nothing, n_labels=3).shape == (0, 3)
    assert vote_label(nothing, n_labels=3).shape == (0,)


def test_the_mean_distribution_reads_a_failed_answer_as_uniform():
    predicted = np.array([[[1.0, 0.0], [np.nan, np.nan]]])

    assert mean_distribution(predicted, np.array([[False, True]])).tolist() == [[0.75, 0.25]]
