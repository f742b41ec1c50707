from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.scoring.evaluate import difference, score_hard
from voxemo.scoring.folds import HardFold
from voxemo.scoring.hard import group_confusions
from voxemo.scoring.paired import PAIRED_METRICS, SystemCounts, paired_differences, paired_scores
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
