import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxemo.scoring import baselines
from voxemo.scoring.soft import total_variation

vote_tables = arrays(np.int64, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=st.integers(0, 4)).map(
    lambda table: table.astype(float)
)


def test_soft_labels_are_unsmoothed_vote_shares():
    soft, none_left = baselines.soft_labels(np.array([[1.0, 2.0, 2.0, 0.0]]))

    assert soft.tolist() == [[0.2, 0.4, 0.4, 0.0]]
    assert none_left.tolist() == [False]


def test_an_utterance_without_votes_in_the_label_set_has_no_soft_label():
    soft, none_left = baselines.soft_labels(np.array([[0.0, 0.0], [3.0, 1.0]]))

    assert none_left.tolist() == [True, False]
    assert np.isnan(soft[0]).all()
    assert soft[1].tolist() == [0.75, 0.25]


@settings(deadline=None)
@given(vote_tables)
def test_a_human_rater_is_the_plain_loop_over_every_vote_left_out(votes):
    rater = baselines.human_rater(votes)

    usable = [row for row in votes if row.sum() >= 2]
    assert len(votes) - len(usable) == rater.n_excluded
    distances = []
    for row in usable:
        # One entry for each listener, naming the label that he or she chose.
        for label in np.repeat(np.arange(len(row)), row.astype(int)):
            one = np.eye(len(row))[label]
            others = (row - one) / (row.sum() - 1)
            distances.append((np.abs(one - others).sum() / 2, 1 / row.sum()))
    expected = sum(distance * weight for distance, weight in distances)
    assert expected == pytest.approx((rater.weights * total_variation(rater.gold, rater.predicted)).sum())


@settings(deadline=None)
@given(vote_tables)
def test_each_utterance_of_the_human_row_weighs_one_and_its_gold_sums_to_one(votes):
    rater = baselines.human_rater(votes)
    used = np.flatnonzero(votes.sum(axis=1) >= 2)

    np.testing.assert_array_equal(used, np.unique(rater.utterance))
    weight = np.bincount(rater.utterance, weights=rater.weights, minlength=len(votes))
    np.testing.assert_allclose(weight[used], 1)
    np.testing.assert_allclose(rater.gold.sum(axis=1), 1)
    assert (rater.gold >= 0).all()


def test_listeners_who_all_agree_make_a_perfect_rater():
    rater = baselines.human_rater(np.array([[0.0, 5.0, 0.0]]))

    assert rater.gold.tolist() == rater.predicted.tolist() == [[0.0, 1.0, 0.0]]


def test_shares_of_votes_are_refused_where_a_vote_must_be_left_out():
    with pytest.raises(ValueError, match="counts of votes"):
        baselines.human_rater(np.array([[0.5, 0.5]]))


def test_the_train_prior_is_the_share_of_each_label_seen_or_not():
    assert baselines.train_prior(np.array([0, 2, 2, 2]), n_labels=4).tolist() == [0.25, 0.0, 0.75, 0.0]


def test_the_soft_train_prior_is_the_mean_soft_label():
    assert baselines.mean_soft_label(np.array([[1.0, 0.0], [0.5, 0.5]])).tolist() == [0.75, 0.25]


def test_the_majority_is_certain_and_the_first_of_a_tie():
    assert baselines.majority(np.array([0.2, 0.4, 0.4])).tolist() == [0.0, 1.0, 0.0]


def test_uniform_is_even():
    assert baselines.uniform(4).tolist() == [0.25] * 4


@pytest.mark.parametrize(
    "prior",
    [
        lambda: baselines.train_prior(np.array([], dtype=np.int64), n_labels=3),
        lambda: baselines.mean_soft_label(np.empty((0, 3))),
    ],
    ids=["hard", "soft"],
)
def test_a_prior_of_no_training_utterance_is_refused(prior):
    with pytest.raises(ValueError, match="at least one training utterance"):
        prior()
