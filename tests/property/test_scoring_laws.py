"""Laws that every metric obeys, whatever the answers."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxemo.core.types import FAILURE_POLICIES
from voxemo.scoring import ensembles, hard, soft
from voxemo.scoring.arrays import first_top
from voxemo.scoring.evaluate import HardFold, Score, SoftFold, score_hard, score_soft
from voxemo.scoring.table import METRICS

HARD = {name: metric for name, metric in METRICS.items() if metric.kind == "confusion"}
# Ties go to the first label, so that top-1 hangs on the order by design; the tie-aware form does not.
ORDER_FREE = {n: m for n, m in METRICS.items() if m.kind in ("row", "sets") and n != "top1_accuracy"}

n_labels = st.integers(2, 8)


def label_numbers(low: int, n: int, n_labels: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(st.integers(low, n_labels - 1), min_size=n, max_size=n).map(lambda xs: np.array(xs, dtype=np.int64))


def distributions(n: int, n_labels: int) -> st.SearchStrategy[np.ndarray]:
    """Shares of votes: zeros, ties and certainty are common."""
    row = st.lists(st.integers(0, 5), min_size=n_labels, max_size=n_labels).filter(any)
    return st.lists(row, min_size=n, max_size=n).map(lambda rows: np.array(rows) / np.sum(rows, axis=1, keepdims=True))


@st.composite
def hard_folds(draw: Callable, *, max_rows: int = 20) -> tuple[int, HardFold]:
    size, n = draw(n_labels), draw(st.integers(1, max_rows))
    speakers = draw(st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n))
    return size, HardFold(
        fold_id="1",
        gold=draw(label_numbers(0, n, size)),
        predicted=draw(label_numbers(-1, n, size)),
        speakers=np.array(speakers, dtype=object),
    )


@st.composite
def soft_folds(draw: Callable, *, max_rows: int = 12) -> tuple[int, SoftFold]:
    size, n = draw(n_labels), draw(st.integers(1, max_rows))
    return size, SoftFold(
        fold_id="1",
        gold=draw(distributions(n, size)),
        predicted=draw(distributions(n, size)),
        failed=np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n))),
    )


def names(size: int) -> tuple[str, ...]:
    return tuple("abcdefgh"[:size])


def values(scores: list[Score]) -> dict[tuple[str, str | None], float | None]:
    return {(score.metric, score.class_label): score.value for score in scores if score.fold_id == "pooled"}


@settings(deadline=None)
@given(hard_folds(), st.sampled_from(FAILURE_POLICIES), st.randoms())
def test_renaming_the_labels_on_both_sides_changes_no_hard_metric(case, policy, random):
    size, fold = case
    order = np.array(random.sample(range(size), size))
    # The last entry keeps -1, a failed answer, where it is.
    renamed = np.append(order, -1)
    other = HardFold(fold_id="1", gold=renamed[fold.gold], predicted=renamed[fold.predicted])

    before = values(score_hard([fold], label_names=names(size), policies=[policy], resamples=0)[policy])
    after = values(score_hard([other], label_names=names(size), policies=[policy], resamples=0)[policy])

    for metric in HARD:
        assert after[metric, None] == pytest.approx(before[metric, None])
    for old, new in enumerate(order):
        assert after["f1", names(size)[new]] == pytest.approx(before["f1", names(size)[old]])


@settings(deadline=None)
@given(soft_folds(), st.sampled_from(["uniform", "excluded"]), st.randoms())
def test_renaming_the_labels_on_both_sides_changes_no_soft_metric(case, policy, random):
    size, fold = case
    order = random.sample(range(size), size)
    other = SoftFold(fold_id="1", gold=fold.gold[:, order], predicted=fold.predicted[:, order], failed=fold.failed)

    before = values(score_soft([fold], label_names=names(size), policies=[policy], resamples=0)[policy])
    after = values(score_soft([other], label_names=names(size), policies=[policy], resamples=0)[policy])

    for metric in ORDER_FREE:
        assert after[metric, None] == pytest.approx(before[metric, None], abs=1e-12)


@settings(deadline=None)
@given(st.data(), n_labels)
def test_without_ties_renaming_the_labels_does_not_change_top1_either(data, size):
    unequal = st.permutations(range(1, size + 1)).map(lambda row: np.array([row]) / np.sum(row))
    gold, predicted = data.draw(unequal), data.draw(unequal)
    order = data.draw(st.permutations(range(size)))

    assert soft.top1(gold, predicted) == soft.top1(gold[:, order], predicted[:, order])


@settings(deadline=None)
@given(hard_folds())
def test_a_failed_answer_is_worth_least_as_wrong(case):
    size, fold = case
    by_policy = {
        policy: values(score_hard([fold], label_names=names(size), policies=[policy], resamples=0)[policy])
        for policy in FAILURE_POLICIES
    }

    for metric in ("weighted_accuracy", "unweighted_accuracy"):
        wrong, uniform = by_policy["wrong"][metric, None], by_policy["uniform"][metric, None]
        assert wrong <= uniform + 1e-12
    assert by_policy["excluded"]["weighted_accuracy", None] is None or (
        by_policy["wrong"]["weighted_accuracy", None] <= by_policy["excluded"]["weighted_accuracy", None]
    )


@settings(deadline=None)
@given(soft_folds())
def test_a_failed_distribution_read_as_wrong_is_never_nearer_than_read_as_uniform(case):
    size, fold = case
    wrong, uniform = (
        values(score_soft([fold], label_names=names(size), policies=[policy], resamples=0)[policy])
        for policy in ("wrong", "uniform")
    )

    for metric in ("kld", "jsd", "tvd", "mse"):
        assert wrong[metric, None] >= uniform[metric, None] - 1e-9
    assert wrong["cosine", None] <= uniform["cosine", None] + 1e-12


@settings(deadline=None)
@given(st.data(), n_labels)
def test_uniform_lies_between_the_truth_and_certainty_in_the_least_chosen_label(data, size):
    gold = data.draw(distributions(1, size))
    uniform, worst = np.full((1, size), 1 / size), np.eye(size)[first_top(-gold)]

    for metric in (soft.kullback_leibler, soft.jensen_shannon, soft.total_variation, soft.mean_squared_error):
        perfect, middle, far = metric(gold, gold), metric(gold, uniform), metric(gold, worst)
        assert perfect == pytest.approx(0, abs=1e-8)
        assert perfect <= middle + 1e-8
        assert middle <= far + 1e-8


@settings(deadline=None)
@given(st.data(), n_labels)
def test_symmetric_distances_are_symmetric_and_bounded(data, size):
    one, other = data.draw(distributions(3, size)), data.draw(distributions(3, size))

    for metric, high in (
        (soft.jensen_shannon, np.log(2)),
        (soft.total_variation, 1.0),
        (soft.cosine_similarity, 1.0),
        (soft.mean_squared_error, 2 / size),
        (soft.top1, 1.0),
        (soft.top1_tie_aware, 1.0),
    ):
        there, back = metric(one, other), metric(other, one)
        np.testing.assert_allclose(there, back, atol=1e-12)
        assert (there >= 0).all()
        assert (there <= high + 1e-12).all()


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_any_two_distributions_however_extreme_have_finite_distances(p, q):
    one, other = np.array([[p, 1 - p]]), np.array([[q, 1 - q]])

    for metric in (m for m in METRICS.values() if m.kind == "row"):
        assert np.isfinite(metric.compute(one, other)).all()


@settings(deadline=None)
@given(hard_folds(), st.sampled_from(FAILURE_POLICIES), st.integers(1, 4), st.randoms())
def test_dividing_the_utterances_into_folds_changes_no_pooled_score(case, policy, n_folds, random):
    size, fold = case
    assigned = np.array([random.randrange(n_folds) for _ in fold.gold])
    parts = [
        HardFold(fold_id=str(i), gold=fold.gold[assigned == i], predicted=fold.predicted[assigned == i])
        for i in range(n_folds)
    ]

    whole = values(score_hard([fold], label_names=names(size), policies=[policy], resamples=0)[policy])

    assert values(score_hard(parts, label_names=names(size), policies=[policy], resamples=0)[policy]) == whole


@settings(deadline=None)
@given(hard_folds(), st.sampled_from(FAILURE_POLICIES), st.integers(0, 2**32 - 1))
def test_same_inputs_same_scores_and_one_fold_is_its_own_pool(case, policy, seed):
    size, fold = case
    options = {"label_names": names(size), "policies": [policy], "resamples": 20, "seed": seed}

    first = score_hard([fold], **options)[policy]

    assert first == score_hard([fold], **options)[policy]
    by_fold = [
        [(s.metric, s.class_label, s.value, s.ci_low, s.ci_high) for s in first if s.fold_id == f]
        for f in ("1", "mean", "pooled")
    ]
    assert by_fold[0] == by_fold[1] == by_fold[2]


@settings(deadline=None)
@given(hard_folds(), st.sampled_from(FAILURE_POLICIES))
def test_every_hard_score_is_a_fraction_inside_the_range_of_its_interval(case, policy):
    size, fold = case

    for score in score_hard([fold], label_names=names(size), policies=[policy], resamples=20)[policy]:
        if score.value is not None:
            assert 0 <= score.value <= 1 + 1e-12
        if score.ci_low is not None:
            assert 0 <= score.ci_low <= score.ci_high <= 1 + 1e-12


@settings(deadline=None)
@given(hard_folds(), st.data(), st.integers(0, 2**32 - 1))
def test_a_constant_answer_has_the_same_unweighted_accuracy_in_every_resample(case, data, seed):
    size, fold = case
    answer = data.draw(st.integers(0, size - 1))
    constant = replace(fold, predicted=np.full(fold.n, answer))

    scores = score_hard([constant], label_names=names(size), policies=FAILURE_POLICIES, resamples=20, seed=seed)

    n_classes = len(set(fold.gold.tolist()))
    for found in scores.values():
        score = next(s for s in found if s.metric == "unweighted_accuracy")
        assert score.value == pytest.approx((answer in fold.gold) / n_classes)
        assert {score.ci_low, score.ci_high} <= {score.value, None}
        assert (score.ci_low is None) == (fold.n == 1)


@settings(deadline=None)
@given(hard_folds(), st.sampled_from(FAILURE_POLICIES), st.integers(0, 2**32 - 1))
def test_every_score_that_is_defined_is_defined_in_every_resample(case, policy, seed):
    size, fold = case

    for score in score_hard([fold], label_names=names(size), policies=[policy], resamples=1, seed=seed)[policy]:
        assert (score.ci_low is None) == (score.value is None or score.ci_unit is None)


@settings(deadline=None)
@given(st.integers(2, 16), st.integers(1, 7))
def test_a_vote_of_failures_alone_is_uniform_to_the_last_bit(size, n_variants):
    shares = ensembles.vote(np.full((1, n_variants), hard.FAILED), n_labels=size)

    assert shares.tolist() == [[1 / size] * size]
    assert not soft.label_sets(shares).any()
