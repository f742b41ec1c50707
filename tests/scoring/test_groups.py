from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from voxemo.scoring.evaluate import score_hard, score_soft
from voxemo.scoring.folds import HardFold, SoftFold
from voxemo.scoring.groups import NO_GROUP, GroupScore, bin_names, bin_numbers, divide, score_groups
from voxemo.scoring.table import METRICS

LABELS = ("angry", "happy", "neutral", "sad")
HARD = [METRICS[name] for name in ("unweighted_accuracy", "weighted_accuracy", "macro_f1")]
SOFT = [METRICS[name] for name in ("jsd", "top1_accuracy")]


def hard_fold(seed: int = 0, *, n: int = 60, n_speakers: int = 8, fold_id: str = "1") -> HardFold:
    """Answers of which about half are right and a few failed."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(len(LABELS), size=n)
    return HardFold(
        fold_id=fold_id,
        gold=gold,
        predicted=np.where(rng.random(n) < 0.5, gold, rng.integers(-1, len(LABELS), size=n)),
        speakers=np.array([f"s{k}" for k in rng.integers(n_speakers, size=n)], dtype=object),
        utterances=np.array([f"{fold_id}-{k}" for k in range(n)], dtype=object),
    )


def soft_fold(seed: int = 0, **given: int) -> SoftFold:
    rng = np.random.default_rng(seed)
    hard = hard_fold(seed, **given)
    return SoftFold(
        fold_id=hard.fold_id,
        gold=rng.multinomial(5, np.ones(4) / 4, size=hard.n) / 5,
        predicted=rng.dirichlet(np.ones(4), size=hard.n),
        failed=rng.random(hard.n) < 0.2,
        speakers=hard.speakers,
        utterances=hard.utterances,
    )


def grouped(folds: list[HardFold] | list[SoftFold], groups: np.ndarray, **options: int) -> list[GroupScore]:
    """Scores of groups numbered over the rows of all folds together."""
    soft = isinstance(folds[0], SoftFold)
    grouping = divide(
        groups,
        names=[f"g{number}" for number in range(max(groups, default=0) + 1)],
        speakers=np.concatenate([fold.speakers for fold in folds]),
        utterances=np.concatenate([fold.utterances for fold in folds]),
    )
    ends = np.cumsum([fold.n_rows for fold in folds])
    return score_groups(
        folds,
        grouping,
        np.split(np.arange(ends[-1]), ends[:-1]),
        label_names=LABELS,
        metrics=SOFT if soft else HARD,
        policy="uniform" if soft else "wrong",
        **{"resamples": 50, **options},
    )


def table(scores: list[GroupScore]) -> dict[tuple[str, str], GroupScore]:
    return {(score.group, score.metric): score for score in scores}


@pytest.mark.parametrize("n_speakers", [3, 8], ids=["utterances resampled", "speakers resampled"])
def test_a_group_that_is_everything_has_the_pooled_scores_of_the_whole_with_their_intervals(n_speakers: int) -> None:
    folds = [hard_fold(k, fold_id=str(k), n_speakers=n_speakers) for k in range(3)]
    whole = score_hard(folds, label_names=LABELS, policies=["wrong"], resamples=50)["wrong"]
    pooled = {score.metric: score for score in whole if score.fold_id == "pooled" and score.class_label is None}

    for score in grouped(folds, np.zeros(180, dtype=np.int64)):
        same = pooled[score.metric]
        assert (score.n, score.n_failed) == (same.n, same.n_failed)
        assert (score.value, score.ci_low, score.ci_high) == pytest.approx((same.value, same.ci_low, same.ci_high))


def test_a_soft_group_that_is_everything_has_the_pooled_scores_of_the_whole() -> None:
    folds = [soft_fold(k, fold_id=str(k)) for k in range(2)]
    whole = score_soft(folds, label_names=LABELS, policies=["uniform"], resamples=50)["uniform"]
    pooled = {score.metric: score for score in whole if score.fold_id == "pooled"}

    for score in grouped(folds, np.zeros(120, dtype=np.int64)):
        same = pooled[score.metric]
        assert (score.n, score.n_failed) == (same.n, same.n_failed)
        assert (score.value, score.ci_low, score.ci_high) == pytest.approx((same.value, same.ci_low, same.ci_high))


@given(st.integers(0, 1000), st.lists(st.integers(NO_GROUP, 3), min_size=40, max_size=40).map(np.array))
def test_each_group_is_scored_as_scikit_learn_scores_its_utterances_and_their_counts_add_up(
    seed: int, groups: np.ndarray
) -> None:
    fold = hard_fold(seed, n=40)
    scores = table(grouped([fold], groups, resamples=0))

    for number in set(groups.tolist()) - {NO_GROUP}:
        gold, predicted = fold.gold[groups == number], fold.predicted[groups == number]
        name = f"g{number}"
        assert scores[name, "weighted_accuracy"].value == pytest.approx(accuracy_score(gold, predicted))
        f1 = f1_score(gold, predicted, labels=range(4), average="macro", zero_division=0)
        assert scores[name, "macro_f1"].value == pytest.approx(f1)
        recall = recall_score(gold, predicted, labels=np.unique(gold), average="macro", zero_division=0)
        assert scores[name, "unweighted_accuracy"].value == pytest.approx(recall)
        assert scores[name, "macro_f1"].n_failed == (predicted == -1).sum()
    of_groups = [score for (_, metric), score in scores.items() if metric == "macro_f1"]
    assert sum(score.n for score in of_groups) == (groups != NO_GROUP).sum()
    assert sum(score.n * scores[score.group, "weighted_accuracy"].value for score in of_groups) == pytest.approx(
        (fold.gold == fold.predicted)[groups != NO_GROUP].sum()
    )


@given(st.integers(0, 1000), st.permutations(range(4)))
def test_renaming_the_labels_on_both_sides_changes_no_group(seed: int, order: list[int]) -> None:
    fold, groups = hard_fold(seed), np.arange(60) % 3
    # The last entry keeps -1, a failed answer, where it is.
    renamed = np.array([*order, -1])
    other = replace(fold, gold=renamed[fold.gold], predicted=renamed[fold.predicted])

    before, after = grouped([fold], groups, resamples=0), grouped([other], groups, resamples=0)

    assert [score.value for score in after] == pytest.approx([score.value for score in before])


def test_intervals_hold_their_values_and_are_missing_where_nothing_can_vary() -> None:
    fold = hard_fold()
    groups = np.zeros(60, dtype=np.int64)
    groups[0] = 1

    scores = table(grouped([fold], groups))

    many, one = scores["g0", "macro_f1"], scores["g1", "macro_f1"]
    assert many.ci_low < many.value < many.ci_high
    assert np.isnan([one.ci_low, one.ci_high]).all()
    assert one.n == 1


def test_a_group_of_few_speakers_resamples_utterances() -> None:
    fold = replace(hard_fold(n_speakers=8))
    groups = np.where(np.isin(fold.speakers, ["s0", "s1"]), 1, 0)
    grouping = divide(groups, names=["many", "few"], speakers=fold.speakers, utterances=fold.utterances)

    n_units = np.bincount(grouping.unit_groups).tolist()

    assert n_units == [6, (groups == 1).sum()]


def test_a_group_that_a_system_was_not_tested_on_is_left_out() -> None:
    fold = hard_fold(n=10)
    groups = np.array([0] * 10 + [1] * 10)
    grouping = divide(
        groups, names=["here", "elsewhere"], speakers=np.array(["a"] * 20, dtype=object), utterances=np.arange(20)
    )

    scores = score_groups(
        [fold], grouping, [np.arange(10)], label_names=LABELS, metrics=HARD, policy="wrong", resamples=0
    )

    assert {score.group for score in scores} == {"here"}


def test_hard_metrics_are_not_read_from_distributions() -> None:
    fold = soft_fold()
    grouping = divide(np.zeros(60, int), names=["all"], speakers=fold.speakers, utterances=fold.utterances)

    with pytest.raises(ValueError, match="do not fit"):
        score_groups([fold], grouping, [np.arange(60)], label_names=LABELS, metrics=HARD, policy="wrong")


@given(st.integers(1, 10), st.integers(1, 30), st.data())
def test_every_share_lies_in_the_bin_that_its_name_says(n_bins: int, n_votes: int, data: st.DataObject) -> None:
    share = data.draw(st.integers(0, n_votes)) / n_votes

    number = int(bin_numbers(np.array([share]), n_bins=n_bins)[0])

    assert 0 <= number < n_bins
    assert share <= (number + 1) / n_bins + 1e-9
    assert share > number / n_bins or number == 0


@pytest.mark.parametrize(("share", "name"), [(0.6, "0.4-0.6"), (0.8, "0.6-0.8"), (1.0, "0.8-1.0"), (2 / 3, "0.6-0.8")])
def test_a_share_on_an_edge_belongs_to_the_bin_below(share: float, name: str) -> None:
    assert bin_names(5)[bin_numbers(np.array([share]), n_bins=5)[0]] == name
