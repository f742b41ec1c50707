"""Laws that every division into folds obeys, whatever the corpus."""

import random
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from voxemo.core.errors import SplitError
from voxemo.core.types import Fold, Utterance
from voxemo.splits import checks, policies

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=40)
LABELS = ("angry", "happy", "sad", None)
RULES = {
    "provider": policies.provider,
    "stratified_random": policies.stratified_random,
    "leave_one_speaker_out": policies.leave_one_speaker_out,
    "speaker_k_fold": policies.speaker_k_fold,
    "speaker_disjoint": policies.speaker_disjoint,
}
BY_SPEAKER = ("leave_one_speaker_out", "speaker_k_fold", "speaker_disjoint")


@st.composite
def corpora(draw: st.DrawFn, *, min_speakers: int = 4) -> list[Utterance]:
    """Four to ten speakers with two to eight utterances each, some of them ties."""
    utterances = []
    for speaker in range(draw(st.integers(min_speakers, 10))):
        for number, label in enumerate(draw(st.lists(st.sampled_from(LABELS), min_size=2, max_size=8))):
            utterances.append(
                Utterance(
                    utterance_id=f"made/s{speaker}_{number}",
                    corpus_id="made",
                    audio_path=f"s{speaker}/{number}.wav",
                    language="en",
                    speaker_id=f"s{speaker}",
                    perceived=label,
                    provider_partition=("train", "train", "valid", "test")[number % 4],
                )
            )
    return utterances


def divide(rule: str, utterances: list[Utterance], seed: int) -> tuple[Fold, ...]:
    try:
        return RULES[rule](utterances, label_source="perceived", seed=seed)
    except SplitError:
        # Only the provider's partitions, which the strategy draws blindly, may leave a part empty.
        assume(rule != "provider")
        raise


def speakers_of(names: frozenset[str], utterances: list[Utterance]) -> set[str | None]:
    return {utterance.speaker_id for utterance in utterances if utterance.utterance_id in names}


@pytest.mark.parametrize("rule", RULES)
@FEW
@given(utterances=corpora(), seed=SEEDS)
def test_partitions_of_a_fold_are_disjoint_sorted_and_hold_every_utterance(
    rule: str, utterances: list[Utterance], seed: int
) -> None:
    for fold in divide(rule, utterances, seed):
        placed = [name for names in fold.partitions.values() for name in names]
        assert sorted(placed) == sorted(utterance.utterance_id for utterance in utterances)
        assert all(list(names) == sorted(names) and names for names in fold.partitions.values())


@pytest.mark.parametrize("rule", BY_SPEAKER)
@FEW
@given(utterances=corpora(), seed=SEEDS)
def test_speaker_folds_test_each_utterance_once_and_never_share_a_speaker(
    rule: str, utterances: list[Utterance], seed: int
) -> None:
    folds = divide(rule, utterances, seed)

    tested = [name for fold in folds for name in fold.partitions["test"]]
    assert sorted(tested) == sorted(utterance.utterance_id for utterance in utterances)
    for fold in folds:
        trained = speakers_of(checks.training_utterances(fold), utterances)
        assert not trained & speakers_of(checks.tested_utterances(fold), utterances)


@pytest.mark.parametrize("rule", RULES)
@FEW
@given(utterances=corpora(), seed=SEEDS, shuffling=SEEDS)
def test_the_order_of_the_input_does_not_matter(
    rule: str, utterances: list[Utterance], seed: int, shuffling: int
) -> None:
    shuffled = random.Random(shuffling).sample(utterances, len(utterances))

    assert divide(rule, shuffled, seed) == divide(rule, utterances, seed)


@FEW
@given(utterances=corpora(), seed=SEEDS)
def test_a_random_test_part_is_a_quarter_and_within_one_utterance_of_it_for_each_label(
    utterances: list[Utterance], seed: int
) -> None:
    (fold,) = divide("stratified_random", utterances, seed)

    sizes = Counter(utterance.perceived for utterance in utterances)
    tested = Counter(
        utterance.perceived for utterance in utterances if utterance.utterance_id in fold.partitions["test"]
    )
    assert all(abs(tested[label] - size / 4) <= 1 for label, size in sizes.items())
    if min(sizes.values()) > 1:
        assert len(fold.partitions["test"]) == (2 * len(utterances) + 4) // 8


@pytest.mark.parametrize("rule", ["stratified_random", *BY_SPEAKER])
@FEW
@given(utterances=corpora(), seed=SEEDS)
def test_a_validation_part_made_here_is_a_fifth_of_the_training_part_by_label(
    rule: str, utterances: list[Utterance], seed: int
) -> None:
    labels = {utterance.utterance_id: utterance.perceived for utterance in utterances}
    for fold in divide(rule, utterances, seed):
        training = Counter(labels[name] for name in checks.training_utterances(fold))
        valid = Counter(labels[name] for name in fold.partitions.get("valid", ()))
        assert all(abs(valid[label] - size / 5) <= 1 for label, size in training.items())
        assert not set(training) - {labels[name] for name in fold.partitions["train"]}


@FEW
@given(
    n_speakers=st.integers(4, 30),
    counts=st.dictionaries(st.sampled_from(LABELS), st.integers(1, 3), min_size=1),
    seed=SEEDS,
)
def test_equal_speakers_are_dealt_evenly_over_the_folds(
    n_speakers: int, counts: dict[str | None, int], seed: int
) -> None:
    utterances = [
        Utterance(
            utterance_id=f"made/s{speaker}_{label}_{number}",
            corpus_id="made",
            audio_path=f"s{speaker}/{label}{number}.wav",
            language="en",
            speaker_id=f"s{speaker}",
            perceived=label,
        )
        for speaker in range(n_speakers)
        for label, n in counts.items()
        for number in range(n)
    ]
    folds = divide("speaker_k_fold", utterances, seed)

    n_tested = [len(fold.partitions["test"]) / sum(counts.values()) for fold in folds]
    assert max(n_tested) - min(n_tested) <= 1
