"""Each rule on small corpora, and what it says where it cannot be applied."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evidence_listings import read_listing
from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import SplitError
from voxemo.core.types import Fold, Utterance
from voxemo.splits import checks, policies


def corpus(*rows: str, partition: str | None = None) -> list[Utterance]:
    """Utterances from words such as ``anna:angry:3``: three angry utterances of anna; empty words mean None."""
    utterances = []
    for row in rows:
        speaker, label, n = row.split(":")
        for number in range(int(n)):
            utterances.append(
                Utterance(
                    utterance_id=f"urdu/{speaker}_{label}_{number}",
                    corpus_id="urdu",
                    audio_path=f"{speaker}/{label}_{number}.wav",
                    language="ur",
                    speaker_id=speaker or None,
                    perceived=label or None,
                    provider_partition=partition,
                )
            )
    return utterances


def sizes(folds: Sequence[Fold]) -> list[dict[str, int]]:
    return [checks.partition_sizes(fold) for fold in folds]


def in_parts(partitions: Mapping[str, int]) -> list[Utterance]:
    """Angry utterances of one speaker, so many in each provider partition."""
    return [
        replace(utterance, utterance_id=f"urdu/{part}_{number}", provider_partition=part)
        for part, n in partitions.items()
        for number, utterance in enumerate(corpus(f"anna:angry:{n}"))
    ]


def everyone(n_speakers: int) -> list[Utterance]:
    return corpus(*(f"s{number:02d}:{label}:5" for number in range(n_speakers) for label in ("angry", "sad")))


# --- provider ----------------------------------------------------------------------------------------------------


def test_provider_partitions_are_taken_as_they_are() -> None:
    folds = policies.provider(
        in_parts({"train": 6, "valid": 2, "test1": 3, "test2": 1}), label_source="perceived", seed=1
    )

    assert sizes(folds) == [{"train": 6, "valid": 2, "test1": 3, "test2": 1}]


def test_a_provider_split_without_validation_gets_a_fifth_of_its_training_part() -> None:
    folds = policies.provider(in_parts({"train": 10, "test": 4}), label_source="perceived", seed=1)

    assert sizes(folds) == [{"train": 8, "valid": 2, "test": 4}]


def test_provider_folds_test_each_session_in_turn_and_in_natural_order() -> None:
    folds = policies.provider(
        in_parts({f"fold:{number}": 1 + number for number in range(1, 11)}), label_source="perceived", seed=1
    )

    assert [fold.fold_id for fold in folds] == [str(number) for number in range(1, 11)]
    assert [len(fold.partitions["test"]) for fold in folds] == list(range(2, 12))


def test_a_provider_fold_may_ship_its_own_validation_part() -> None:
    parts = {"fold:1": 3, "fold:1:valid": 2, "fold:2": 5, "fold:2:valid": 4}

    folds = policies.provider(in_parts(parts), label_source="perceived", seed=1)

    assert sizes(folds) == [{"train": 9, "valid": 2, "test": 3}, {"train": 5, "valid": 4, "test": 5}]
    assert {name.rpartition("_")[0] for name in folds[0].partitions["train"]} == {"urdu/fold:2", "urdu/fold:2:valid"}


def test_what_the_provider_assigns_to_no_part_is_in_no_fold() -> None:
    utterances = in_parts({"train": 10, "test": 4, "unassigned": 3})

    folds = policies.provider(utterances, label_source="perceived", seed=1)

    assert sizes(folds) == [{"train": 8, "valid": 2, "test": 4}]
    assert checks.check_folds(folds, utterances, label_source="perceived") == ["fold 1 leaves out 3 of 17 utterances"]


@pytest.mark.parametrize(
    ("partitions", "said"),
    [
        ({"train": 3, "dev": 2, "test": 1}, "'dev'"),
        ({"train": 3, "fold:1": 2}, "'fold:1', 'train'"),
        ({"": 2, "train": 3, "test": 1}, "2 of 6 utterances have no provider partition"),
        ({"train": 3, "valid": 1}, "nothing to test"),
        ({"valid": 3, "test": 1}, "nothing to train on"),
    ],
    ids=["unknown name", "two forms", "none", "no test", "no train"],
)
def test_partitions_that_make_no_split_are_refused(partitions: dict[str, int], said: str) -> None:
    with pytest.raises(SplitError, match=said):
        policies.provider(in_parts(partitions), label_source="perceived", seed=1)


# --- at random ---------------------------------------------------------------------------------------------------


def test_a_random_split_gives_each_label_its_share_of_every_part() -> None:
    utterances = corpus("anna:angry:40", "anna:sad:60", "anna::20")
    (fold,) = policies.stratified_random(utterances, label_source="perceived", seed=1)

    labels = {utterance.utterance_id: utterance.perceived for utterance in utterances}
    assert checks.label_counts(fold, labels) == {
        "train": {checks.NO_LABEL: 12, "angry": 24, "sad": 36},
        "valid": {checks.NO_LABEL: 3, "angry": 6, "sad": 9},
        "test": {checks.NO_LABEL: 5, "angry": 10, "sad": 15},
    }


def test_a_label_with_one_utterance_is_trained_and_never_tested_or_validated() -> None:
    utterances = corpus("anna:angry:20", "anna:sad:1")
    for seed in range(20):
        (fold,) = policies.stratified_random(utterances, label_source="perceived", seed=seed)
        assert "urdu/anna_sad_0" in fold.partitions["train"]


@pytest.mark.parametrize("rows", [("anna:angry:1",), ("anna:angry:1", "anna:sad:1", "bert:happy:1", "bert:fear:1")])
def test_a_corpus_too_small_to_divide_is_refused(rows: tuple[str, ...]) -> None:
    with pytest.raises(SplitError, match="nothing to test"):
        policies.stratified_random(corpus(*rows), label_source="perceived", seed=1)


def test_the_smallest_corpora_that_can_be_divided_have_no_validation_part() -> None:
    folds = policies.stratified_random(corpus("anna:angry:3"), label_source="perceived", seed=1)

    assert sizes(folds) == [{"train": 2, "test": 1}]


def test_another_seed_gives_another_test_part() -> None:
    utterances = corpus("anna:angry:40", "anna:sad:40")
    one, other = (policies.stratified_random(utterances, label_source="perceived", seed=seed) for seed in (1, 2))

    assert one != other


@pytest.mark.parametrize("rule", [policies.provider, policies.stratified_random, policies.speaker_disjoint])
def test_a_corpus_without_utterances_is_refused(rule: object) -> None:
    with pytest.raises(SplitError, match="no utterances"):
        rule([], label_source="perceived", seed=1)  # type: ignore[operator]


def test_an_utterance_id_given_twice_is_refused() -> None:
    with pytest.raises(SplitError, match="'urdu/anna_angry_0'"):
        policies.stratified_random(corpus("anna:angry:8") + corpus("anna:angry:1"), label_source="perceived", seed=1)


# --- by speaker --------------------------------------------------------------------------------------------------


def test_leaving_speakers_out_numbers_the_folds_by_sorted_speaker_id() -> None:
    folds = policies.leave_one_speaker_out(
        corpus("carl:angry:4", "anna:angry:2", "bert:angry:3"), label_source="perceived", seed=1
    )

    assert [(fold.fold_id, len(fold.partitions["test"])) for fold in folds] == [("1", 2), ("2", 3), ("3", 4)]


def test_speakers_of_unequal_size_are_spread_over_the_folds() -> None:
    rows = [
        f"s{number:02d}:{label}:{n}"
        for number, n in enumerate([40, 20, 20, 10, 10, 10, 10, 5, 5, 5, 5, 5, 5, 5, 5])
        for label in ("angry", "sad")
    ]
    folds = policies.speaker_k_fold(corpus(*rows), label_source="perceived", seed=1)

    assert sorted(len(fold.partitions["test"]) for fold in folds) == [80, 80, 80, 80]


def test_labels_are_spread_over_the_folds_where_each_speaker_has_one() -> None:
    rows = [f"s{number:02d}:{('angry', 'sad')[number % 2]}:6" for number in range(16)]
    utterances = corpus(*rows)
    folds = policies.speaker_k_fold(utterances, label_source="perceived", seed=1)

    labels = {utterance.utterance_id: utterance.perceived for utterance in utterances}
    for fold in folds:
        assert checks.label_counts(fold, labels)["test"] == {"angry": 12, "sad": 12}


@pytest.mark.parametrize(
    ("n_speakers", "n_folds"), [(2, 2), (6, 6), (7, 4), (30, 4)], ids=["two", "six", "seven", "thirty"]
)
def test_speaker_disjoint_leaves_out_up_to_six_speakers_and_divides_more_into_four_folds(
    n_speakers: int, n_folds: int
) -> None:
    assert len(policies.speaker_disjoint(everyone(n_speakers), label_source="perceived", seed=1)) == n_folds


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (("anna:angry:8",), "needs at least 2 speakers; there is 1.*With one speaker, no split keeps voices apart"),
        (("anna:angry:8", ":sad:3"), "3 of 11 utterances have no speaker id"),
    ],
    ids=["one speaker", "unknown speakers"],
)
def test_speakers_that_cannot_be_kept_apart_are_refused_with_the_reason(rows: tuple[str, ...], said: str) -> None:
    with pytest.raises(SplitError, match=said):
        policies.speaker_disjoint(corpus(*rows), label_source="perceived", seed=1)


def test_more_folds_than_speakers_are_refused() -> None:
    with pytest.raises(
        SplitError, match=r"needs at least 4 speakers; there are 3\..*'speaker-disjoint' makes do with 2"
    ):
        policies.speaker_k_fold(everyone(3), label_source="perceived", seed=1)


# --- which rule --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("anna:angry:2", "anna:sad:4", "bert:angry:2", "bert:sad:4"), True),
        (("anna:angry:2", "anna:sad:4", "bert:angry:2", "bert:sad:3"), False),
        (("anna:angry:2", "bert:sad:2"), False),
        (("anna:angry:2", "bert:angry:2", "bert::5"), True),
        (("anna:angry:2", ":angry:2"), False),
    ],
    ids=["equal speakers", "one short", "other labels", "ties do not count", "unknown speaker"],
)
def test_balance_asks_for_equal_numbers_per_label_of_every_speaker(rows: tuple[str, ...], expected: bool) -> None:
    assert policies.balanced(corpus(*rows), "perceived") is expected


@pytest.mark.parametrize(
    ("n_speakers", "has_provider", "expected"),
    [
        (5, True, "provider"),
        (3, False, "stratified_random"),
        (4, False, "leave_one_speaker_out"),
        (6, False, "leave_one_speaker_out"),
        (7, False, "speaker_k_fold"),
    ],
)
def test_the_protocol_takes_the_first_rule_that_applies(n_speakers: int, has_provider: bool, expected: str) -> None:
    assert policies.protocol_rule(everyone(n_speakers), "perceived", has_provider=has_provider) == expected


def test_the_protocol_divides_unbalanced_corpora_at_random_however_many_speakers() -> None:
    unbalanced = everyone(10) + corpus("s00:happy:1")

    assert policies.protocol_rule(unbalanced, "perceived", has_provider=False) == "stratified_random"


# --- splits ------------------------------------------------------------------------------------------------------


def test_a_split_is_named_by_its_policy_and_says_what_it_does() -> None:
    card = corpus_card("urdu")
    utterances = everyone(8)
    protocol = policies.make_split(card, utterances, policy="protocol")
    disjoint = policies.make_split(card, utterances, policy="speaker-disjoint")

    assert (protocol.split_id, protocol.policy, protocol.source, protocol.seed) == (
        "protocol",
        "stratified_random",
        "generated",
        card.split.seed,
    )
    assert protocol.speaker_independent is False
    assert (disjoint.split_id, disjoint.policy, disjoint.speaker_independent) == (
        "speaker-disjoint",
        "speaker_k_fold",
        True,
    )


def test_a_split_with_a_seed_of_its_own_is_named_after_it() -> None:
    split = policies.make_split(corpus_card("urdu"), everyone(8), policy="protocol", seed=7)

    assert (split.split_id, split.seed) == ("protocol-seed7", 7)


def test_a_provider_split_names_the_provider_as_its_source() -> None:
    card = corpus_card("urdu")
    card = card.model_copy(update={"split": card.split.model_copy(update={"policy": "provider", "seed": None})})
    split = policies.make_split(card, in_parts({"train": 10, "test": 4}), policy="protocol")

    assert (split.source, split.seed) == ("provider", policies.DEFAULT_SEED)


@pytest.mark.parametrize("policy", ["protocol", "speaker-disjoint"])
def test_the_same_utterances_in_any_order_give_the_same_split_and_hash(policy: str) -> None:
    card, utterances = corpus_card("urdu"), everyone(9)
    one = policies.make_split(card, utterances, policy=policy)
    other = policies.make_split(card, utterances[::-1], policy=policy)

    assert one == other
    assert policies.split_sha256(one) == policies.split_sha256(other)


@pytest.mark.parametrize(
    "change",
    [{"speaker_id": "s01"}, {"perceived": "happy"}, {"provider_partition": "train"}],
    ids=["speaker", "label", "partition"],
)
def test_what_folds_depend_on_changes_the_hash_of_the_utterances(change: dict[str, str]) -> None:
    utterances = everyone(3)
    changed = [replace(utterances[0], **change), *utterances[1:]]

    hashes = {policies.utterances_sha256(some, label_source="perceived") for some in (utterances, changed)}
    assert len(hashes) == 2


def test_moving_one_utterance_to_another_partition_changes_the_hash_of_the_split() -> None:
    split = policies.make_split(corpus_card("urdu"), everyone(8), policy="protocol")
    (fold,) = split.folds
    train, valid = fold.partitions["train"], fold.partitions["valid"]
    moved = replace(
        split,
        folds=(replace(fold, partitions={**fold.partitions, "train": train[1:], "valid": (train[0], *valid)}),),
    )

    assert policies.split_sha256(moved) != policies.split_sha256(split)


def test_utterances_of_another_corpus_are_refused() -> None:
    with pytest.raises(SplitError, match="not of the corpus crema-d"):
        policies.make_split(corpus_card("crema-d"), everyone(8), policy="protocol")


def test_a_policy_that_is_not_generated_is_refused_with_those_that_are() -> None:
    with pytest.raises(SplitError, match="protocol, speaker-disjoint"):
        policies.make_split(corpus_card("urdu"), everyone(8), policy="emobox")


# --- real listings -----------------------------------------------------------------------------------------------


def listed(evidence: Path, corpus_id: str) -> list[Utterance]:
    return [
        Utterance(
            utterance_id=f"{corpus_id}/{row['path']}",
            corpus_id=corpus_id,
            audio_path=row["path"],
            language="und",
            speaker_id=row["speaker"] or None,
            expressed=row["label"],
            perceived=row["label"],
        )
        for row in read_listing(evidence, corpus_id)
    ]


@pytest.mark.evidence
def test_urdu_is_divided_at_random_by_protocol_with_25_test_utterances_per_label(evidence: Path) -> None:
    utterances = listed(evidence, "urdu")
    split = policies.make_split(corpus_card("urdu"), utterances, policy="protocol")

    (fold,) = split.folds
    labels = {utterance.utterance_id: utterance.perceived for utterance in utterances}
    assert checks.partition_sizes(fold) == {"train": 240, "valid": 60, "test": 100}
    assert checks.label_counts(fold, labels)["test"] == {"A": 25, "H": 25, "N": 25, "S": 25}
    assert split.speaker_independent is False


@pytest.mark.evidence
def test_urdu_by_speaker_has_four_folds_over_29_speakers_of_like_size(evidence: Path) -> None:
    utterances = listed(evidence, "urdu")
    split = policies.make_split(corpus_card("urdu"), utterances, policy="speaker-disjoint")

    speakers = {utterance.utterance_id: utterance.speaker_id for utterance in utterances}
    tested = [{speakers[name] for name in fold.partitions["test"]} for fold in split.folds]
    assert len(tested) == 4
    assert sum(map(len, tested)) == len(set.union(*tested)) == 29
    assert split.speaker_independent is True
    assert all(90 <= len(fold.partitions["test"]) <= 110 for fold in split.folds)


AT_RANDOM = (
    "aesdd", "ased", "asvp-esd", "crema-d", "emns", "emov-db", "emozionalmente", "enterface", "oreau", "pavoque",
    "shemo", "tess", "turev-db", "urdu",
)  # fmt: skip
BY_SPEAKER = {
    "emovo": "leave_one_speaker_out",
    "polish": "leave_one_speaker_out",
    "savee": "leave_one_speaker_out",
    "ravdess": "speaker_k_fold",
}


@pytest.mark.evidence
@pytest.mark.parametrize(
    ("corpus_id", "rule"), [*((corpus_id, "stratified_random") for corpus_id in AT_RANDOM), *BY_SPEAKER.items()]
)
def test_the_rule_computed_from_a_real_listing_is_the_one_on_the_card(
    evidence: Path, corpus_id: str, rule: str
) -> None:
    computed = policies.protocol_rule(listed(evidence, corpus_id), "expressed", has_provider=False)

    assert computed == rule == corpus_card(corpus_id).split.policy
    # EmoBox, which applies the same test of balance, has several folds exactly where ours are by speaker.
    emobox = corpus_card(corpus_id).emobox
    assert emobox is not None
    assert (emobox.n_folds > 1) == (corpus_id in BY_SPEAKER)


@pytest.mark.evidence
def test_the_label_counts_of_cremad_folds_by_speaker_are_nearly_even(evidence: Path) -> None:
    utterances = listed(evidence, "crema-d")
    folds = policies.speaker_disjoint(utterances, label_source="expressed", seed=2026)

    tested = [Counter(u.expressed for u in utterances if u.utterance_id in set(f.partitions["test"])) for f in folds]
    for label in tested[0]:
        counts = [count[label] for count in tested]
        assert max(counts) - min(counts) <= 20
