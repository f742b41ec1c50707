"""Figures worked out from real votes (PROTOCOL section 2), reproduced from the votes themselves."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from voxemo.scoring.baselines import human_rater, majority, mean_soft_label, soft_labels, uniform
from voxemo.scoring.evaluate import SoftFold, score_soft
from voxemo.scoring.soft import jensen_shannon

pytestmark = pytest.mark.evidence

CREMA_D = ("angry", "disgust", "fear", "happy", "neutral", "sad")
IEMOCAP = ("angry", "happy", "neutral", "sad")


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def scores(gold: np.ndarray, predicted: np.ndarray, label_names: tuple[str, ...]) -> dict[str, float | None]:
    """Pooled soft scores; ``predicted`` is one distribution for all utterances or one for each."""
    fold = SoftFold(
        fold_id="1",
        gold=gold,
        predicted=np.broadcast_to(predicted, gold.shape),
        failed=np.zeros(len(gold), dtype=bool),
    )
    found = score_soft([fold], label_names=label_names, policies=["uniform"], resamples=0)["uniform"]
    return {score.metric: score.value for score in found if score.fold_id == "pooled"}


def assert_printed(found: dict[str, float | None], **printed: str) -> None:
    """Compare at the printed number of digits, with cosine and F1 times 100."""
    percent = ("cosine", "soft_macro_f1", "soft_micro_f1", "top1_accuracy", "top1_tie_aware")
    for metric, text in printed.items():
        value = found[metric]
        assert value is not None
        digits = len(text.partition(".")[2])
        assert f"{value * (100 if metric in percent else 1):.{digits}f}" == text, metric


@pytest.fixture(scope="module")
def crema_d(evidence: Path) -> dict[str, list[str]]:
    """Utterances of EmoBox's training and test part."""
    parts: dict[str, list[str]] = {"train": [], "test:1": []}
    for row in rows(evidence / "listings" / "crema-d.csv.gz"):
        parts[row["emobox_folds"]].append(Path(row["path"]).stem)
    assert (len(parts["train"]), len(parts["test:1"])) == (5586, 1856)
    return parts


@pytest.fixture(scope="module")
def all_answers(evidence: Path) -> dict[str, np.ndarray]:
    """Vote counts of every voice-only answer; the table has shares to four digits and the number behind them."""
    return {
        row["utterance"]: np.rint([float(row[name]) * int(row["min_votes"]) for name in CREMA_D])
        for row in rows(evidence / "votes" / "crema-d.emosuperb-voice.csv.gz")
    }


@pytest.fixture(scope="module")
def gold(crema_d, all_answers) -> np.ndarray:
    return soft_labels(np.array([all_answers[name] for name in crema_d["test:1"]]))[0]


@pytest.fixture(scope="module")
def train_prior(crema_d, all_answers) -> np.ndarray:
    return mean_soft_label(soft_labels(np.array([all_answers[name] for name in crema_d["train"]]))[0])


def test_uniform_against_all_voice_only_answers_of_crema_d(gold):
    assert_printed(
        scores(gold, uniform(6), CREMA_D),
        kld="0.929",
        jsd="0.2531",
        tvd="0.5551",
        cosine="59.99",
        mse="0.0572",
        soft_macro_f1="0.00",
        soft_micro_f1="0.00",
        # Every utterance counts as angry, which 15.8 % of the listeners' top labels are.
        top1_accuracy="15.8",
    )


def test_uniform_against_the_filtered_voice_table_of_crema_d(evidence, crema_d):
    votes = {
        row["utterance"]: [float(row[code]) for code in "ADFHNS"]
        for row in rows(evidence / "votes" / "crema-d.csv.gz")
        if row["modality"] == "voice"
    }
    gold, none_left = soft_labels(np.array([votes[name] for name in crema_d["test:1"]]))

    assert not none_left.any()
    assert_printed(
        scores(gold, uniform(6), CREMA_D), kld="0.9658", jsd="0.2632", tvd="0.5674", cosine="59.16", mse="0.0598"
    )


def test_train_prior_against_all_voice_only_answers_of_crema_d(gold, train_prior):
    assert_printed(
        scores(gold, train_prior, CREMA_D),
        kld="0.716",
        jsd="0.1935",
        tvd="0.449",
        cosine="72.5",
        mse="0.0424",
        soft_micro_f1="51.2",
        soft_macro_f1="14.5",
        top1_accuracy="54.0",
    )


def test_the_train_prior_of_other_notes_has_another_top1_because_their_labels_have_another_order(gold, train_prior):
    # Where listeners tie between neutral and sad, alphabetical order gives neutral, EMO-SUPERB's columns give sad.
    superb = ("angry", "sad", "disgust", "fear", "neutral", "happy")
    order = [CREMA_D.index(name) for name in superb]

    found = scores(gold[:, order], train_prior[order], superb)

    assert_printed(found, kld="0.716", top1_accuracy="53.4")
    assert found["top1_tie_aware"] == pytest.approx(scores(gold, train_prior, CREMA_D)["top1_tie_aware"])


def test_certainty_in_the_listeners_own_majority_against_all_voice_only_answers_of_crema_d(gold):
    oracle = np.array([majority(row) for row in gold])

    found = scores(gold, oracle, CREMA_D)

    assert_printed(found, kld="7.75", jsd="0.1595", tvd="0.374", cosine="87.4", top1_accuracy="100.0")
    # 7.8 % of the clips have tied listeners; being certain there is not free of error.
    assert_printed(found, top1_tie_aware="95.9")


def test_one_listener_agrees_with_the_others_less_than_the_train_prior_does(crema_d, all_answers, gold, train_prior):
    rater = human_rater(np.array([all_answers[name] for name in crema_d["test:1"]]))

    human = (rater.weights * jensen_shannon(rater.gold, rater.predicted)).sum() / rater.weights.sum()

    assert len(gold) - rater.n_excluded == round(rater.weights.sum())
    assert human > scores(gold, train_prior, CREMA_D)["jsd"]


def test_uniform_against_the_votes_of_iemocap_within_the_four_classes(evidence):
    labelled = [Path(row["path"]).stem for row in rows(evidence / "listings" / "iemocap.csv.gz") if row["label"]]
    votes = {row["utterance"]: row for row in rows(evidence / "votes" / "iemocap.csv.gz")}
    merged = {"angry": ("angry",), "happy": ("happy", "excited"), "neutral": ("neutral",), "sad": ("sad",)}
    counts = np.array([[sum(float(votes[u][v]) for v in merged[name]) for name in IEMOCAP] for u in labelled])

    gold, none_left = soft_labels(counts)

    assert len(gold) == 5531
    assert not none_left.any()
    assert_printed(
        scores(gold, uniform(4), IEMOCAP),
        kld="1.219",
        jsd="0.3393",
        tvd="0.6828",
        cosine="54.43",
        mse="0.1586",
        top1_accuracy="19.98",
    )
