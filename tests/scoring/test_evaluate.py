from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from voxemo.core.types import FAILURE_POLICIES, FailurePolicy
from voxemo.scoring import baselines, hard, soft
from voxemo.scoring.evaluate import (
    Difference,
    HardFold,
    HardReference,
    Score,
    SoftFold,
    difference,
    score_hard,
    score_soft,
)
from voxemo.scoring.table import METRICS, Metric

LABELS = ("angry", "happy", "neutral", "sad")
N_LABELS = len(LABELS)


def speakers(n: int, *, n_speakers: int) -> np.ndarray:
    return np.array([f"s{i % n_speakers}" for i in range(n)], dtype=object)


def hard_fold(seed: int = 0, *, fold_id: str = "1", n: int = 60, n_speakers: int = 10, **changes: Any) -> HardFold:
    """Answers of which about half are right and a few failed."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(N_LABELS, size=n)
    predicted = np.where(rng.random(n) < 0.5, gold, rng.integers(-1, N_LABELS, size=n))
    fold = HardFold(fold_id=fold_id, gold=gold, predicted=predicted, speakers=speakers(n, n_speakers=n_speakers))
    return replace(fold, **changes)


def soft_fold(seed: int = 0, *, fold_id: str = "1", n: int = 60, n_speakers: int = 10, **changes: Any) -> SoftFold:
    """Vote shares against free distributions, about a fifth of them failed."""
    rng = np.random.default_rng(seed)
    fold = SoftFold(
        fold_id=fold_id,
        gold=rng.multinomial(5, np.ones(N_LABELS) / N_LABELS, size=n) / 5,
        predicted=rng.dirichlet(np.ones(N_LABELS), size=n),
        failed=rng.random(n) < 0.2,
        speakers=speakers(n, n_speakers=n_speakers),
    )
    return replace(fold, **changes)


def hard_scores(folds: Sequence[HardFold | HardReference], policy: FailurePolicy = "wrong", **options: Any):
    return index(score_hard(folds, label_names=LABELS, policies=[policy], **{"resamples": 50, **options})[policy])


def soft_scores(folds: Sequence[SoftFold], policy: FailurePolicy = "uniform", **options: Any):
    return index(score_soft(folds, label_names=LABELS, policies=[policy], **{"resamples": 50, **options})[policy])


def index(scores: list[Score]) -> dict[tuple[str, str, str | None], Score]:
    found = {(score.fold_id, score.metric, score.class_label): score for score in scores}
    assert len(found) == len(scores)
    return found


def compare(a: Sequence[Any], b: Sequence[Any], metric: str = "weighted_accuracy", **options: Any) -> Difference:
    fields = {"metric": METRICS[metric], "label_names": LABELS, "policy": "wrong", "resamples": 200, **options}
    return difference(a, b, **fields)


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", FAILURE_POLICIES)
@pytest.mark.parametrize("resamples", [0, 50])
def test_hard_scores_are_the_metrics_of_the_settled_confusions(policy, resamples):
    fold = hard_fold()
    table = hard.group_confusions(fold.gold, fold.predicted, np.zeros(60, int), n_labels=N_LABELS, n_groups=1)[0]
    settled = hard.apply_failure_policy(table, policy)

    scores = hard_scores([fold], policy, resamples=resamples)

    assert scores["1", "unweighted_accuracy", None].value == pytest.approx(float(hard.unweighted_accuracy(settled)))
    assert scores["1", "micro_f1", None].value == pytest.approx(float(hard.micro_f1(settled)))
    assert scores["1", "recall", "neutral"].value == pytest.approx(float(hard.recall(settled)[2]))


@pytest.mark.parametrize("policy", FAILURE_POLICIES)
@pytest.mark.parametrize("resamples", [0, 50])
def test_soft_scores_are_means_and_counts_over_the_rows_that_the_policy_counts(policy, resamples):
    fold = soft_fold()
    predicted, counted = soft.settle_failures(fold.gold, fold.predicted, fold.failed, policy)
    gold, predicted = fold.gold[counted], predicted[counted]
    outcomes = [outcome.sum(axis=0).astype(float) for outcome in soft.set_outcomes(gold, predicted)]

    scores = soft_scores([fold], policy, resamples=resamples)

    assert scores["1", "kld", None].value == pytest.approx(soft.kullback_leibler(gold, predicted).mean())
    assert scores["1", "top1_accuracy", None].value == pytest.approx(soft.top1(gold, predicted).mean())
    assert scores["1", "soft_macro_f1", None].value == pytest.approx(float(soft.macro_f1_of_sets(*outcomes)))


def test_scoring_in_chunks_changes_nothing(monkeypatch):
    folds = [soft_fold(0), soft_fold(1, fold_id="2")]
    whole = soft_scores(folds)
    monkeypatch.setattr("voxemo.scoring.totals._CHUNK_ROWS", 7)

    for key, score in soft_scores(folds).items():
        assert score.value == pytest.approx(whole[key].value)
        assert score.ci_low == pytest.approx(whole[key].ci_low)


def test_every_metric_comes_for_every_fold_then_mean_then_pooled_with_coverage_last():
    folds = [hard_fold(0, fold_id="1"), hard_fold(1, fold_id="2")]

    scores = score_hard(folds, label_names=LABELS, policies=["wrong"], resamples=2)["wrong"]

    assert list(dict.fromkeys(score.fold_id for score in scores)) == ["1", "2", "mean", "pooled"]
    names = [metric.name for metric in METRICS.values() if "confusion" in metric.kind]
    of_first = [score.metric for score in scores if score.fold_id == "1"]
    assert list(dict.fromkeys(of_first)) == [*names, "coverage", "failure_rate"]
    assert of_first.count("recall") == N_LABELS


def test_soft_scores_have_every_soft_metric_and_nothing_per_class():
    scores = soft_scores([soft_fold()], resamples=0)

    names = {metric.name for metric in METRICS.values() if metric.kind in ("row", "sets")}
    assert {name for _, name, _ in scores} == names | {"coverage", "failure_rate"}
    assert {label for _, _, label in scores} == {None}


def test_the_mean_is_over_folds_and_the_pool_over_utterances():
    right = HardFold(fold_id="1", gold=np.zeros(1, int), predicted=np.zeros(1, int))
    wrong = HardFold(fold_id="2", gold=np.zeros(3, int), predicted=np.ones(3, int))

    scores = hard_scores([right, wrong])

    assert scores["mean", "weighted_accuracy", None].value == 0.5
    assert scores["pooled", "weighted_accuracy", None].value == 0.25
    assert scores["pooled", "weighted_accuracy", None].n == 4


def test_the_mean_leaves_out_folds_where_a_metric_is_undefined():
    with_sad = HardFold(fold_id="1", gold=np.array([0, 3]), predicted=np.array([0, 3]))
    without = HardFold(fold_id="2", gold=np.array([0, 1]), predicted=np.array([0, 0]))

    scores = hard_scores([with_sad, without])

    assert scores["2", "recall", "sad"].value is None
    assert scores["mean", "recall", "sad"].value == 1.0
    assert scores["mean", "recall", "happy"].value == 0.0


@pytest.mark.parametrize("scores", [hard_scores([hard_fold()]), soft_scores([soft_fold()])], ids=["hard", "soft"])
def test_with_one_fold_mean_and_pool_are_that_fold_to_the_last_bit_intervals_included(scores):
    for (fold_id, metric, label), score in scores.items():
        if fold_id == "1":
            assert replace(score, fold_id="mean") == scores["mean", metric, label]
            assert replace(score, fold_id="pooled") == scores["pooled", metric, label]


def test_coverage_and_failure_rate_do_not_depend_on_the_policy():
    fold = HardFold(fold_id="1", gold=np.zeros(4, int), predicted=np.array([0, -1, 1, 0]))

    for policy in FAILURE_POLICIES:
        scores = hard_scores([fold], policy)
        assert scores["1", "coverage", None].value == 0.75
        assert scores["1", "failure_rate", None].value == 0.25
        assert (scores["1", "micro_f1", None].n, scores["1", "micro_f1", None].n_failed) == (4, 1)


@pytest.mark.parametrize("policy", FAILURE_POLICIES)
def test_where_every_answer_failed_excluding_them_leaves_no_score(policy):
    hard_score = hard_scores([hard_fold(predicted=np.full(60, -1))], policy)["1", "macro_f1", None]
    soft_score = soft_scores([soft_fold(failed=np.ones(60, dtype=bool))], policy)["1", "soft_macro_f1", None]

    for score in (hard_score, soft_score):
        assert (score.value is None) == (policy == "excluded")
        assert score.n_failed == 60


def test_an_empty_partition_has_no_score_and_no_interval():
    nothing = np.array([], dtype=np.int64)
    empty = HardFold(fold_id="1", gold=nothing, predicted=nothing, speakers=nothing.astype(object))

    for score in hard_scores([empty]).values():
        assert (score.value, score.ci_low, score.ci_high, score.ci_unit, score.n) == (None, None, None, None, 0)


def test_values_are_plain_floats():
    for score in [*hard_scores([hard_fold()]).values(), *soft_scores([soft_fold()]).values()]:
        assert {type(score.value), type(score.ci_low), type(score.ci_high)} <= {float, type(None)}


# --- references --------------------------------------------------------------------------------------------------


def test_a_uniform_guess_has_an_unweighted_accuracy_of_one_in_c():
    fold = hard_fold()
    guess = HardReference(fold_id="1", gold=fold.gold, distribution=baselines.uniform(N_LABELS), speakers=fold.speakers)

    scores = hard_scores([guess])

    assert scores["1", "unweighted_accuracy", None].value == pytest.approx(1 / N_LABELS)
    assert scores["1", "coverage", None].value == 1.0
    assert scores["1", "coverage", None].n_failed == 0


def test_certainty_as_a_reference_scores_like_the_same_answer_every_time():
    fold = hard_fold()
    guess = HardReference(
        fold_id="1", gold=fold.gold, distribution=np.array([0.0, 1.0, 0.0, 0.0]), speakers=fold.speakers
    )

    assert hard_scores([guess]) == hard_scores([replace(fold, predicted=np.ones(60, dtype=np.int64))])


def test_all_answers_failed_under_the_uniform_policy_is_the_uniform_reference():
    fold = hard_fold(predicted=np.full(60, -1))
    guess = HardReference(fold_id="1", gold=fold.gold, distribution=baselines.uniform(N_LABELS), speakers=fold.speakers)

    failed, reference = hard_scores([fold], "uniform"), hard_scores([guess], "uniform")

    for metric in ("weighted_accuracy", "unweighted_accuracy", "micro_f1", "macro_f1"):
        assert failed["1", metric, None].value == pytest.approx(reference["1", metric, None].value)
        assert failed["1", metric, None].ci_low == pytest.approx(reference["1", metric, None].ci_low)


def human_fold(votes: np.ndarray, *, n_speakers: int = 10) -> tuple[SoftFold, baselines.HumanRater]:
    rater = baselines.human_rater(votes)
    fold = SoftFold(
        fold_id="1",
        gold=rater.gold,
        predicted=rater.predicted,
        failed=np.zeros(len(rater.gold), dtype=bool),
        speakers=speakers(len(votes), n_speakers=n_speakers)[rater.utterance],
        utterances=rater.utterance,
        weights=rater.weights,
    )
    return fold, rater


def test_the_human_row_counts_each_utterance_once():
    votes = np.random.default_rng(0).multinomial(4, np.ones(N_LABELS) / N_LABELS, size=30).astype(float)
    fold, rater = human_fold(votes)

    score = soft_scores([fold])["1", "tvd", None]

    assert score.n == 30
    assert score.value == pytest.approx((rater.weights * soft.total_variation(rater.gold, rater.predicted)).sum() / 30)


def test_the_rows_of_one_utterance_are_resampled_together():
    # Two utterances, each of many rows with one value: only weighing whole utterances moves the mean almost to 0 or 1.
    votes = np.array([[4.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    fold, _ = human_fold(votes, n_speakers=1)

    score = soft_scores([fold], resamples=200)["1", "tvd", None]

    assert (score.ci_low, score.ci_high) == pytest.approx((0, 1), abs=0.05)
    assert score.ci_unit == "utterance"


# --- skill -------------------------------------------------------------------------------------------------------


def prior_of(fold: SoftFold) -> SoftFold:
    guess = np.tile([0.4, 0.3, 0.2, 0.1], (fold.n_rows, 1))
    return replace(fold, predicted=guess, failed=np.zeros(fold.n_rows, dtype=bool))


def test_skill_is_one_minus_the_distance_relative_to_the_prior():
    fold = soft_fold()
    system, prior = soft_scores([fold]), soft_scores([prior_of(fold)])

    scores = soft_scores([fold], prior=[prior_of(fold)])

    for name in ("kld", "jsd", "tvd", "mse"):
        expected = 1 - system["1", name, None].value / prior["1", name, None].value
        assert scores["1", f"{name}_skill", None].value == pytest.approx(expected)
    expected = 1 - (1 - system["1", "cosine", None].value) / (1 - prior["1", "cosine", None].value)
    assert scores["1", "cosine_skill", None].value == pytest.approx(expected)
    assert {name for _, name, _ in scores} - {name for _, name, _ in system} == {
        f"{name}_skill" for name in ("kld", "jsd", "tvd", "mse", "cosine")
    }


def test_the_prior_itself_has_no_skill_and_its_interval_is_a_point():
    prior = prior_of(soft_fold())

    score = soft_scores([prior], prior=[prior])["1", "jsd_skill", None]

    assert (score.value, score.ci_low, score.ci_high) == (0.0, 0.0, 0.0)


def test_a_perfect_answer_has_skill_one():
    fold = soft_fold(failed=np.zeros(60, dtype=bool))
    perfect = replace(fold, predicted=fold.gold)

    scores = soft_scores([perfect], prior=[prior_of(fold)])

    assert scores["1", "tvd_skill", None].value == 1.0
    assert scores["1", "cosine_skill", None].value == pytest.approx(1.0)


def test_excluded_answers_are_excluded_for_the_prior_too():
    fold = soft_fold()
    answered = ~fold.failed
    kept = SoftFold(
        fold_id="1", gold=fold.gold[answered], predicted=fold.predicted[answered], failed=fold.failed[answered]
    )

    excluded = soft_scores([fold], "excluded", prior=[prior_of(fold)])["1", "jsd_skill", None]

    assert excluded.value == pytest.approx(soft_scores([kept], prior=[prior_of(kept)])["1", "jsd_skill", None].value)


def test_skill_over_a_perfect_prior_is_undefined():
    fold = soft_fold(failed=np.zeros(60, dtype=bool))
    perfect = replace(fold, predicted=fold.gold)

    assert soft_scores([fold], prior=[perfect])["1", "tvd_skill", None].value is None


# --- intervals ---------------------------------------------------------------------------------------------------


def test_same_seed_same_scores_and_another_seed_other_intervals():
    folds = [hard_fold(0), hard_fold(1, fold_id="2")]

    assert hard_scores(folds, seed=1) == hard_scores(folds, seed=1)
    assert hard_scores(folds, seed=1) != hard_scores(folds, seed=2)


def test_the_order_of_rows_does_not_matter_where_speakers_are_known():
    fold = hard_fold()
    order = np.random.default_rng(9).permutation(60)
    shuffled = HardFold(
        fold_id="1", gold=fold.gold[order], predicted=fold.predicted[order], speakers=fold.speakers[order]
    )

    assert hard_scores([fold]) == hard_scores([shuffled])


def test_intervals_enclose_the_value():
    scores = {**hard_scores([hard_fold(n=400)], resamples=400), **soft_scores([soft_fold(n=400)], resamples=400)}

    assert scores
    for score in scores.values():
        assert score.ci_low < score.value < score.ci_high


def test_the_interval_over_utterances_has_the_width_of_the_binomial_law():
    correct = np.arange(400) % 2
    fold = HardFold(fold_id="1", gold=np.zeros(400, int), predicted=correct)

    score = hard_scores([fold], resamples=2000)["1", "weighted_accuracy", None]

    assert score.ci_unit == "utterance"
    assert score.ci_high - score.ci_low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 400), rel=0.1)


def test_speakers_who_are_all_right_or_all_wrong_widen_the_interval_to_that_of_so_many_answers():
    names = speakers(1000, n_speakers=100)
    correct = np.array([int(name[1:]) % 2 for name in names])
    fold = HardFold(fold_id="1", gold=np.zeros(1000, int), predicted=correct, speakers=names)

    score = hard_scores([fold], resamples=2000)["1", "weighted_accuracy", None]

    assert score.ci_unit == "speaker"
    assert score.ci_high - score.ci_low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 100), rel=0.1)


def test_folds_of_one_speaker_are_resampled_by_utterance_and_their_pool_by_speaker():
    folds = [
        replace(hard_fold(i, fold_id=str(i), n=20), speakers=np.array([f"s{i}"] * 20, dtype=object)) for i in range(5)
    ]

    scores = hard_scores(folds)

    assert scores["0", "macro_f1", None].ci_unit == "utterance"
    assert scores["mean", "macro_f1", None].ci_unit == "utterance"
    assert scores["pooled", "macro_f1", None].ci_unit == "speaker"


def test_a_mean_over_folds_of_both_kinds_says_so():
    folds = [hard_fold(0, fold_id="1", n_speakers=3), hard_fold(1, fold_id="2")]

    assert hard_scores(folds)["mean", "macro_f1", None].ci_unit == "speaker and utterance"


def test_a_speaker_found_in_several_folds_is_one_unit_of_the_pool():
    # Both folds hold the same ten speakers, and a speaker does equally well in both: the second fold adds nothing.
    fold = hard_fold(n=100)

    scores = hard_scores([fold, replace(fold, fold_id="2")], resamples=200)

    one, pooled = scores["1", "weighted_accuracy", None], scores["pooled", "weighted_accuracy", None]
    assert (pooled.ci_low, pooled.ci_high) == pytest.approx((one.ci_low, one.ci_high))


def test_folds_vary_independently_so_the_mean_of_two_has_a_narrower_interval():
    fold = hard_fold(n=100)

    scores = hard_scores([fold, replace(fold, fold_id="2")], resamples=1000)

    one, mean = scores["1", "weighted_accuracy", None], scores["mean", "weighted_accuracy", None]
    assert (mean.ci_high - mean.ci_low) / (one.ci_high - one.ci_low) == pytest.approx(1 / np.sqrt(2), rel=0.15)


def test_folds_with_and_without_utterance_ids_pool():
    named = hard_fold(0, speakers=None, utterances=np.array([f"u{i}" for i in range(60)]))
    unnamed = hard_fold(1, fold_id="2", speakers=None)

    pooled = hard_scores([named, unnamed])["pooled", "coverage", None]

    assert (pooled.n, pooled.ci_unit) == (120, "utterance")


def test_a_class_of_one_utterance_is_in_every_resample():
    fold = HardFold(fold_id="1", gold=np.array([0, 0, 0, 1]), predicted=np.array([0, 1, 0, 1]))

    scores = hard_scores([fold], resamples=200)

    recall, accuracy = scores["1", "recall", "happy"], scores["1", "unweighted_accuracy", None]
    assert (recall.value, recall.ci_low, recall.ci_high) == (1.0, 1.0, 1.0)
    # (recall of angry + 1) / 2 in each of them; without the utterance it could fall to the recall of angry alone.
    assert 0.5 <= accuracy.ci_low < accuracy.value < accuracy.ci_high


def skewed_fold(seed: int = 0, **changes: Any) -> HardFold:
    """Seven speakers of whom most give one class, as in a corpus cut from broadcasts; three classes have one each."""
    n_of = np.array(
        [[30, 0, 0, 0], [0, 12, 0, 0], [0, 4, 0, 0], [0, 2, 0, 0], [0, 6, 60, 0], [0, 2, 0, 0], [0, 0, 0, 9]]
    )
    gold = np.concatenate([np.repeat(range(N_LABELS), of_speaker) for of_speaker in n_of])
    rng = np.random.default_rng(seed)
    predicted = np.where(rng.random(len(gold)) < 0.6, gold, rng.integers(N_LABELS, size=len(gold)))
    names = np.repeat([f"s{i}" for i in range(len(n_of))], n_of.sum(axis=1)).astype(object)
    return replace(HardFold(fold_id="1", gold=gold, predicted=predicted, speakers=names), **changes)


@pytest.mark.parametrize("policy", FAILURE_POLICIES)
@pytest.mark.parametrize("metric", ["macro_f1", "micro_f1", "unweighted_accuracy", "weighted_accuracy"])
def test_the_value_lies_inside_its_interval_where_only_one_speaker_holds_a_class(metric, policy):
    folds = []
    for number in range(4):
        fold = skewed_fold(number, fold_id=str(number))
        fold.predicted[::9] = -1
        folds.append(replace(fold, speakers=np.array([f"{number}{name}" for name in fold.speakers], dtype=object)))

    scores = hard_scores(folds, policy, resamples=400)

    for place in ("0", "1", "2", "3", "mean", "pooled"):
        score = scores[place, metric, None]
        assert score.ci_unit == "speaker"
        assert score.ci_low < score.value < score.ci_high


@pytest.mark.parametrize("label", range(N_LABELS))
def test_one_answer_to_everything_has_a_point_as_the_interval_of_its_unweighted_accuracy(label):
    fold = skewed_fold()
    constant = replace(fold, predicted=np.full(fold.n_rows, label))

    score = hard_scores([constant])["1", "unweighted_accuracy", None]

    assert (score.value, score.ci_low, score.ci_high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("policy", FAILURE_POLICIES)
def test_a_label_that_only_one_speaker_has_is_in_the_gold_sets_of_every_resample(policy):
    hard = skewed_fold()
    eye = np.eye(N_LABELS)
    fold = SoftFold(
        fold_id="1",
        gold=eye[hard.gold],
        predicted=eye[hard.predicted],
        failed=np.arange(hard.n_rows) % 9 == 0,
        speakers=hard.speakers,
    )

    scores = soft_scores([fold], policy, resamples=400)
    perfect = soft_scores([replace(fold, predicted=fold.gold, failed=np.zeros_like(fold.failed))], policy)

    for metric in ("soft_macro_f1", "soft_micro_f1", "top1_accuracy", "jsd"):
        score = scores["1", metric, None]
        assert score.ci_low < score.value < score.ci_high
    score = perfect["1", "soft_macro_f1", None]
    assert (score.value, score.ci_low, score.ci_high) == (1.0, 1.0, 1.0)


def test_two_constant_answers_do_not_differ_in_unweighted_accuracy_in_any_resample():
    fold = skewed_fold()
    a, b = (replace(fold, predicted=np.full(fold.n_rows, label)) for label in (0, 3))

    found = compare([a], [b], "unweighted_accuracy")

    assert (found.value, found.ci_low, found.ci_high, found.ci_unit) == (0.0, 0.0, 0.0, "speaker")


def test_intervals_over_twelve_speakers_cover_the_truth_in_most_simulated_test_sets():
    # Speakers differ in how often they are understood and in which classes they speak.
    rng = np.random.default_rng(1)
    n_sets, n_speakers, n = 200, 12, 10
    chance = 0.25
    covered = []
    for _ in range(n_sets):
        gold = np.array([rng.choice(N_LABELS, size=n, p=rng.dirichlet(np.ones(N_LABELS))) for _ in range(n_speakers)])
        understood = rng.random(gold.shape) < rng.beta(4, 4, size=(n_speakers, 1))
        predicted = np.where(understood, gold, rng.integers(N_LABELS, size=gold.shape))
        fold = HardFold(
            fold_id="1",
            gold=gold.ravel(),
            predicted=predicted.ravel(),
            speakers=np.repeat([f"s{i}" for i in range(n_speakers)], n).astype(object),
        )
        only = {"unweighted_accuracy": METRICS["unweighted_accuracy"]}
        score = hard_scores([fold], metrics=only, resamples=200)["1", "unweighted_accuracy", None]
        covered.append(score.ci_low <= 0.5 + 0.5 * chance <= score.ci_high)

    assert np.mean(covered) >= 0.85


@pytest.mark.parametrize(
    ("score", "fold"), [(score_hard, hard_fold()), (score_soft, soft_fold())], ids=["hard", "soft"]
)
def test_policies_asked_for_together_are_those_asked_for_alone(score, fold):
    folds = [fold, replace(fold, fold_id="2", speakers=speakers(60, n_speakers=7))]
    together = score(folds, label_names=LABELS, policies=FAILURE_POLICIES, resamples=50)

    assert tuple(together) == FAILURE_POLICIES
    for policy, found in together.items():
        alone = index(score(folds, label_names=LABELS, policies=[policy], resamples=50)[policy])
        for key, one in index(found).items():
            assert (one.value, one.ci_low, one.ci_high) == pytest.approx(
                (alone[key].value, alone[key].ci_low, alone[key].ci_high), rel=1e-9
            )


@pytest.mark.parametrize(
    ("fold", "options"),
    [(hard_fold(), {"resamples": 0}), (hard_fold(n=1), {})],
    ids=["no resamples asked for", "one utterance"],
)
def test_without_anything_to_resample_there_is_no_interval(fold, options):
    for score in hard_scores([fold], **options).values():
        assert (score.ci_low, score.ci_high, score.ci_unit) == (None, None, None)


# --- plugins -----------------------------------------------------------------------------------------------------


def test_a_plugins_metric_gets_policies_intervals_and_skill_like_any_other():
    mine = Metric(
        name="largest_error",
        kind="row",
        compute=lambda gold, predicted: np.abs(gold - predicted).max(axis=-1),
        direction="lower",
        low=0.0,
        high=1.0,
        description="Largest difference of any label.",
        reference="a test",
        skill=True,
    )
    fold = soft_fold()

    scores = soft_scores([fold], metrics={mine.name: mine}, prior=[prior_of(fold)])
    as_wrong = soft_scores([fold], "wrong", metrics={mine.name: mine})

    assert {name for _, name, _ in scores} == {"largest_error", "largest_error_skill", "coverage", "failure_rate"}
    score = scores["1", "largest_error", None]
    assert score.ci_low < score.value < score.ci_high
    assert score.value < as_wrong["1", "largest_error", None].value


# --- input that does not fit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hard_fold(predicted=np.zeros(59, int)), "one length"),
        (lambda: hard_fold(speakers=np.array(["a"], dtype=object)), "one length"),
        (lambda: soft_fold(weights=np.ones(60)), "weights need utterances"),
        (lambda: soft_fold(predicted=np.full((60, 3), 1 / 3)), "predicted is"),
        (lambda: soft_fold(gold=np.full((60, N_LABELS), np.nan)), "60 rows of gold are no distributions"),
        (lambda: soft_fold(predicted=np.ones((60, N_LABELS)), failed=np.arange(60) != 5), "the first is row 5"),
        (lambda: soft_fold(gold=np.tile([1.5, -0.5, 0.0, 0.0], (60, 1))), "60 rows of gold are no distributions"),
        (lambda: hard_scores([]), "at least one fold"),
        (lambda: hard_scores([hard_fold(gold=np.full(60, 4))]), "gold holds 4 to 4"),
        (lambda: hard_scores([HardReference(fold_id="1", gold=np.zeros(2, int), distribution=np.ones(1))]), "1 labels"),
        (lambda: score_soft([soft_fold()], label_names=LABELS[:3], policies=["uniform"]), "the label set has 3"),
        (lambda: soft_scores([soft_fold()], prior=[]), "0 folds"),
        (lambda: soft_scores([soft_fold(0)], prior=[prior_of(soft_fold(1))]), "exactly the rows"),
        (lambda: soft_scores([soft_fold()], prior=[soft_fold()]), "never fail"),
        (lambda: compare([hard_fold()], []), "at least one fold of each"),
        (lambda: compare([hard_fold()], [soft_fold()]), "1 soft"),
        (lambda: compare([hard_fold()], [hard_fold()], "kld"), "kind row"),
        (lambda: compare([hard_fold()], [hard_fold()], "recall"), "class_label is None"),
        (lambda: compare([hard_fold()], [hard_fold()], class_label="sad"), "class_label is 'sad'"),
    ],
)
def test_input_that_does_not_fit_together_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_junk_in_the_rows_of_failed_answers_is_never_looked_at():
    fold = soft_fold()
    junk = fold.predicted.copy()
    junk[fold.failed] = [np.nan, np.inf, -np.inf, -1.0]

    for policy in FAILURE_POLICIES:
        assert soft_scores([replace(fold, predicted=junk)], policy) == soft_scores([fold], policy)


# --- two systems -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric", [m for m in METRICS.values() if m.kind != "per_class_confusion"], ids=lambda m: m.name
)
def test_a_difference_is_that_of_the_pooled_scores_in_every_metric(metric):
    is_hard = metric.kind == "confusion"
    make, score = (hard_fold, hard_scores) if is_hard else (soft_fold, soft_scores)
    a, b = [make(0), make(1, fold_id="2")], [make(2)]

    found = compare(a, b, metric.name, policy="uniform")

    value_a = score(a, "uniform")["pooled", metric.name, None].value
    value_b = score(b, "uniform")["pooled", metric.name, None].value
    assert (found.value_a, found.value_b) == pytest.approx((value_a, value_b))
    assert found.value == pytest.approx(value_a - value_b)
    assert found.ci_low < found.value < found.ci_high
    assert (found.ci_unit, found.n_shared_units) == ("speaker", 10)


def test_a_system_does_not_differ_from_itself_in_any_resample():
    found = compare([hard_fold()], [hard_fold()], "recall", class_label="sad")

    assert (found.value, found.ci_low, found.ci_high) == (0.0, 0.0, 0.0)


def test_pairing_speakers_narrows_the_interval_of_two_systems_that_find_the_same_speakers_hard():
    names = speakers(200, n_speakers=20)
    hard_for_both = np.array([int(name[1:]) % 2 for name in names])
    slightly_better = np.where(np.arange(200) % 7 == 0, 0, hard_for_both)
    gold = np.zeros(200, int)
    a = HardFold(fold_id="1", gold=gold, predicted=slightly_better, speakers=names)
    b = HardFold(fold_id="1", gold=gold, predicted=hard_for_both, speakers=names)

    alone = hard_scores([b], resamples=200)["1", "weighted_accuracy", None]
    found = compare([a], [b])

    assert 0 < found.ci_low < found.value
    assert found.ci_high - found.ci_low < (alone.ci_high - alone.ci_low) / 3


def test_two_test_sets_of_one_corpus_are_compared_over_the_union_of_their_speakers():
    # As with a split that shares speakers against one that holds some out: 25 of 29 speakers, and 7 of the same 29.
    wide = HardFold(fold_id="1", gold=np.zeros(100, int), predicted=np.arange(100) % 2)
    a = replace(wide, speakers=speakers(100, n_speakers=25))
    b = replace(wide, speakers=np.array([f"s{22 + i % 7}" for i in range(100)], dtype=object))

    found = compare([a], [b])

    assert (found.ci_unit, found.n_shared_units) == ("speaker", 3)
    assert found.ci_low < 0 < found.ci_high


def test_the_same_utterances_of_few_speakers_are_paired_by_utterance():
    a = hard_fold(0, n_speakers=2, utterances=np.arange(60))
    order = np.arange(60)[::-1]
    b = HardFold(fold_id="1", gold=a.gold[order], predicted=a.predicted[order], utterances=order)

    found = compare([a], [b])

    assert (found.ci_unit, found.n_shared_units) == ("utterance", 60)
    assert (found.value, found.ci_low, found.ci_high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("utterances_a", "utterances_b"),
    [(None, None), (np.arange(60), None), (np.arange(60), np.arange(60, 120))],
    ids=["no names", "names on one side", "nothing shared"],
)
def test_utterances_that_cannot_be_paired_are_resampled_independently_and_it_says_so(utterances_a, utterances_b):
    a = hard_fold(0, n_speakers=2, utterances=utterances_a)
    b = hard_fold(0, n_speakers=2, utterances=utterances_b)

    found = compare([a], [b])

    assert (found.value, found.ci_unit, found.n_shared_units) == (0.0, "utterance, independent", 0)
    assert found.ci_low < 0 < found.ci_high


def test_a_difference_to_an_undefined_score_is_undefined():
    failed = hard_fold(predicted=np.full(60, -1))

    found = compare([hard_fold()], [failed], policy="excluded")

    assert (found.value_b, found.value, found.ci_low, found.ci_high, found.ci_unit) == (None,) * 5


def test_the_interval_of_a_difference_hangs_on_the_seed_alone():
    a, b = [hard_fold(0)], [hard_fold(1)]

    assert compare(a, b, seed=1) == compare(a, b, seed=1) != compare(a, b, seed=2)
