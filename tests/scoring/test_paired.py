from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from voxemo.scoring.evaluate import difference, score_hard, score_soft
from voxemo.scoring.folds import HardFold, SoftFold
from voxemo.scoring.hard import group_confusions
from voxemo.scoring.paired import (
    PAIRED_MEANS,
    PAIRED_METRICS,
    PairedDifference,
    SystemCounts,
    SystemSums,
    paired_differences,
    paired_means,
    paired_scores,
)
from voxemo.scoring.table import METRICS

LABELS = ("angry", "happy", "neutral", "sad")
N_LABELS = len(LABELS)

seeds = st.integers(0, 1000)


def folds(seed: int, *, n: int = 120, n_systems: int = 3, n_speakers: int = 9) -> list[HardFold]:
    """Systems of growing skill on the same utterances; some answers fail."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(N_LABELS, size=n)
    speakers = np.array([f"s{k}" for k in rng.permutation(np.arange(n) % n_speakers)], dtype=object)
    return [
        HardFold(
            fold_id="1",
            gold=gold,
            predicted=np.where(rng.random(n) < 0.3 + 0.2 * k, gold, rng.integers(-1, N_LABELS, size=n)),
            speakers=speakers,
        )
        for k in range(n_systems)
    ]


def counted(systems: Sequence[HardFold]) -> SystemCounts:
    names, codes = np.unique(systems[0].speakers.astype(str), return_inverse=True)
    tables = np.stack(
        [
            group_confusions(fold.gold, fold.predicted, codes, n_labels=N_LABELS, n_groups=len(names))
            for fold in systems
        ],
        axis=1,
    )
    return SystemCounts(
        hits=np.diagonal(tables[..., :-1], axis1=-2, axis2=-1),
        predicted=tables[..., :-1].sum(axis=-2),
        truths=tables.sum(axis=-1)[:, :1],
        truth_of=np.zeros(len(systems), dtype=np.int64),
    )


@pytest.mark.parametrize("metric", PAIRED_METRICS)
@given(seed=seeds)
def test_values_are_the_scores_of_the_systems(metric: str, seed: int) -> None:
    systems = folds(seed)
    values = paired_scores(counted(systems), [metric], resamples=1)[metric].values

    for fold, value in zip(systems, values, strict=True):
        scores = score_hard([fold], label_names=LABELS, policies=["wrong"], resamples=0)["wrong"]
        (same,) = {score.value for score in scores if score.metric == metric}
        assert value == pytest.approx(same)


@pytest.mark.parametrize("metric", PAIRED_METRICS)
def test_differences_are_those_of_two_systems_resampled_together(metric: str) -> None:
    systems = folds(3, n=600, n_speakers=30)
    (one, _) = paired_differences(paired_scores(counted(systems), [metric], resamples=4000)[metric], against=0)

    pair = difference(
        [systems[1]],
        [systems[0]],
        metric=METRICS[metric],
        label_names=LABELS,
        policy="wrong",
        resamples=4000,
    )

    assert one.system == 1
    assert one.value == pytest.approx(pair.value)
    assert (one.ci_low, one.ci_high) == pytest.approx((pair.ci_low, pair.ci_high), abs=0.01)


@given(seeds, st.sampled_from(PAIRED_METRICS))
def test_two_systems_are_as_far_apart_from_either_side(seed: int, metric: str) -> None:
    scores = paired_scores(counted(folds(seed, n_systems=2)), [metric], resamples=50)[metric]
    (there,), (back,) = (paired_differences(scores, against=k) for k in (0, 1))

    assert there.value == -back.value
    assert (there.ci_low, there.ci_high) == pytest.approx((-back.ci_high, -back.ci_low))
    assert (there.p, there.p_holm) == pytest.approx((back.p, back.p_holm))


@given(seeds, st.sampled_from(PAIRED_METRICS))
def test_a_system_is_never_told_apart_from_itself(seed: int, metric: str) -> None:
    (one,) = folds(seed, n_systems=1)
    scores = paired_scores(counted([one, one]), [metric], resamples=20)[metric]

    (same,) = paired_differences(scores, against=0)

    assert (same.value, same.ci_low, same.ci_high, same.p, same.p_holm) == (0, 0, 0, 1, 1)


@given(seeds, st.permutations(range(N_LABELS)))
def test_renaming_the_labels_on_both_sides_leaves_every_difference(seed: int, order: list[int]) -> None:
    counts = counted(folds(seed))
    renamed = SystemCounts(
        hits=counts.hits[..., order],
        predicted=counts.predicted[..., order],
        truths=counts.truths[..., order],
        truth_of=counts.truth_of,
    )
    before, after = (
        paired_differences(paired_scores(each, ["macro_f1"], resamples=30)["macro_f1"], against=0)
        for each in (counts, renamed)
    )

    for one, same in zip(before, after, strict=True):
        assert (same.value, same.ci_low, same.ci_high) == pytest.approx((one.value, one.ci_low, one.ci_high))


@given(seeds)
def test_every_interval_holds_its_value_and_adjusting_only_raises_p_values(seed: int) -> None:
    scores = paired_scores(counted(folds(seed, n_systems=4)), ["unweighted_accuracy"], resamples=30)
    for one in paired_differences(scores["unweighted_accuracy"], against=2):
        assert one.ci_low <= one.value <= one.ci_high
        assert 0 <= one.p <= one.p_holm <= 1


def test_systems_tested_on_other_utterances_keep_their_own_truth() -> None:
    whole = folds(1, n_systems=1)[0]
    half = HardFold(fold_id="1", gold=whole.gold[:60], predicted=whole.predicted[:60], speakers=whole.speakers[:60])
    a, b = counted([whole]), counted([half])
    both = SystemCounts(
        hits=np.concatenate([a.hits, b.hits], axis=1),
        predicted=np.concatenate([a.predicted, b.predicted], axis=1),
        truths=np.concatenate([a.truths, b.truths], axis=1),
        truth_of=np.array([0, 1]),
    )

    values = paired_scores(both, ["macro_f1"], resamples=1)["macro_f1"].values

    for value, alone in zip(values, (a, b), strict=True):
        assert value == pytest.approx(paired_scores(alone, ["macro_f1"], resamples=1)["macro_f1"].values[0])


def test_one_speaker_gives_differences_without_a_test() -> None:
    scores = paired_scores(counted(folds(0, n_systems=2, n_speakers=1)), ["macro_f1"], resamples=20)

    (one,) = paired_differences(scores["macro_f1"], against=0)

    assert np.isnan([one.ci_low, one.ci_high, one.p, one.p_holm]).all()
    assert not np.isnan(one.value)


@pytest.mark.parametrize("metric", ["unweighted_accuracy", "macro_f1"])
def test_over_six_speakers_systems_of_one_skill_differ_about_one_time_in_twenty(metric: str) -> None:
    rng = np.random.default_rng(1)
    n_found, n_worlds, n_speakers = 0, 400, 6
    for _ in range(n_worlds):
        gold = rng.integers(N_LABELS, size=(n_speakers, 20))
        # Some speakers are easy for both systems, and each system has speakers of its own that it is good at.
        skill = rng.normal(0, 0.8, (n_speakers, 1)) + rng.normal(0, 0.3, (n_speakers, 2))
        systems = [
            HardFold(
                fold_id="1",
                gold=gold.ravel(),
                predicted=np.where(
                    rng.random(gold.shape) < 1 / (1 + np.exp(-skill[:, [k]])),
                    gold,
                    rng.integers(N_LABELS, size=gold.shape),
                ).ravel(),
                speakers=np.repeat(np.arange(n_speakers), 20).astype(str),
            )
            for k in range(2)
        ]
        scores = paired_scores(counted(systems), [metric], resamples=200)[metric]
        n_found += paired_differences(scores, against=0)[0].p <= 0.05

    assert 0.02 < n_found / n_worlds < 0.08


# --- means of sums -----------------------------------------------------------------------------------------------


def soft_folds(
    rng: np.random.Generator, *, n_systems: int = 3, sizes: Sequence[int] = (9, 4, 12, 7, 15, 3), spread: float = 0.3
) -> list[SoftFold]:
    """Systems of one skill, but for speakers that each is good at, against the same votes; some answers fail.

    Args:
        rng: of everything.
        n_systems: how many.
        sizes: utterances of each speaker.
        spread: how far systems differ in a speaker.
    """
    speakers = np.repeat(np.arange(len(sizes)), sizes)
    gold = rng.dirichlet(np.ones(N_LABELS), size=len(speakers))
    folds = []
    # Some speakers are easy for all systems, and each system has speakers of its own that it is good at.
    easy = rng.normal(0, 0.8, len(sizes))
    for _ in range(n_systems):
        skill = 1 / (1 + np.exp(-(easy + rng.normal(0, spread, len(sizes)))))[speakers, None]
        other = rng.dirichlet(np.ones(N_LABELS), size=len(speakers))
        folds.append(
            SoftFold(
                fold_id="1",
                gold=gold,
                predicted=skill * gold + (1 - skill) * other,
                failed=rng.random(len(speakers)) < 0.1,
                speakers=speakers.astype(str).astype(object),
            )
        )
    return folds


def summed(systems: Sequence[SoftFold], metric: str = "jsd") -> SystemSums:
    codes = systems[0].speakers.astype(int)
    values = [
        METRICS[metric].compute(fold.gold, np.where(fold.failed[:, None], 1 / N_LABELS, fold.predicted))
        for fold in systems
    ]
    n = np.bincount(codes).astype(float)
    return SystemSums(
        sums=np.stack([np.bincount(codes, weights=of_one) for of_one in values], axis=1),
        n=np.repeat(n[:, None], len(systems), axis=1),
    )


def compared(sums: SystemSums, *, against: int = 0, resamples: int = 50) -> list[PairedDifference]:
    return paired_differences(paired_means(sums, resamples=resamples), against=against)


@pytest.mark.parametrize("metric", PAIRED_MEANS)
@given(seed=seeds)
def test_means_of_sums_are_the_scores_of_the_systems_over_all_utterances(metric: str, seed: int) -> None:
    systems = soft_folds(np.random.default_rng(seed))

    values = paired_means(summed(systems, metric), resamples=1).values

    for fold, value in zip(systems, values, strict=True):
        scores = score_soft([fold], label_names=LABELS, policies=["uniform"], resamples=0)["uniform"]
        (same,) = {score.value for score in scores if score.metric == metric}
        assert value == pytest.approx(same)


def test_differences_of_means_are_those_of_two_systems_resampled_together() -> None:
    systems = soft_folds(np.random.default_rng(3), n_systems=2, sizes=[20] * 30)
    (one,) = compared(summed(systems), resamples=4000)

    pair = difference(
        [systems[1]],
        [systems[0]],
        metric=METRICS["jsd"],
        label_names=LABELS,
        policy="uniform",
        resamples=4000,
    )

    assert one.value == pytest.approx(pair.value)
    assert (one.ci_low, one.ci_high) == pytest.approx((pair.ci_low, pair.ci_high), abs=0.001)


@given(seeds)
def test_two_means_are_as_far_apart_from_either_side(seed: int) -> None:
    sums = summed(soft_folds(np.random.default_rng(seed), n_systems=2))
    (there,), (back,) = (compared(sums, against=k) for k in (0, 1))

    assert there.value == -back.value
    assert (there.ci_low, there.ci_high) == pytest.approx((-back.ci_high, -back.ci_low))
    assert (there.p, there.p_holm) == pytest.approx((back.p, back.p_holm))


@given(seeds)
def test_a_mean_is_never_told_apart_from_itself(seed: int) -> None:
    (one,) = soft_folds(np.random.default_rng(seed), n_systems=1)

    (same,) = compared(summed([one, one]))

    assert (same.value, same.ci_low, same.ci_high, same.p, same.p_holm) == (0, 0, 0, 1, 1)


@given(seeds, st.permutations(range(6)))
def test_the_order_of_the_speakers_leaves_means_and_what_is_told_apart(seed: int, order: list[int]) -> None:
    sums = summed(soft_folds(np.random.default_rng(seed)))
    shuffled = SystemSums(sums=sums.sums[order], n=sums.n[order])

    for one, same in zip(*(compared(each, resamples=4000) for each in (sums, shuffled)), strict=True):
        assert same.value == pytest.approx(one.value)
        # Weights are drawn speaker by speaker, so that other resamples are met in another order.
        assert same.p == pytest.approx(one.p, abs=0.03)


@given(seeds)
def test_two_systems_are_as_far_apart_whoever_else_is_compared(seed: int) -> None:
    sums = summed(soft_folds(np.random.default_rng(seed), n_systems=4))
    two = SystemSums(sums=sums.sums[:, [0, 3]], n=sums.n[:, [0, 3]])

    *_, one = compared(sums)
    (alone,) = compared(two)

    assert (alone.value, alone.ci_low, alone.ci_high, alone.p) == pytest.approx(
        (one.value, one.ci_low, one.ci_high, one.p)
    )
    assert alone.p == alone.p_holm <= one.p_holm + 1e-12


@given(seeds, st.integers(3, 40))
def test_for_speakers_of_one_size_it_is_the_paired_t_test(seed: int, n_speakers: int) -> None:
    sums = summed(soft_folds(np.random.default_rng(seed), n_systems=2, sizes=[8] * n_speakers))

    (one,) = compared(sums, resamples=20_000)

    a, b = (sums.sums / sums.n).T
    assert one.p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)


def test_a_system_without_an_utterance_has_no_mean_and_is_told_apart_from_none() -> None:
    sums = summed(soft_folds(np.random.default_rng(0), n_systems=2))
    without = SystemSums(sums=sums.sums * [1, 0], n=sums.n * [1, 0])

    (one,) = compared(without)

    assert np.isnan([one.value, one.ci_low, one.ci_high, one.p, one.p_holm]).all()


@pytest.mark.parametrize("sizes", [[20] * 6, [10, 30] * 5], ids=["alike", "one to three"])
def test_over_few_speakers_means_of_one_skill_differ_about_one_time_in_twenty(sizes: list[int]) -> None:
    rng = np.random.default_rng(1)
    n_worlds = 400

    found = [
        compared(summed(soft_folds(rng, n_systems=2, sizes=sizes)), resamples=200)[0].p <= 0.05 for _ in range(n_worlds)
    ]

    assert 0.02 < np.mean(found) < 0.08
