"""What lies between two corpora or two languages, from their cards alone."""

from itertools import permutations

import pytest

from voxemo.catalog import transfer
from voxemo.catalog.lookup import builtin_corpus_cards, corpus_card
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import UnknownName

CARDS = builtin_corpus_cards()
PAIRS = [pytest.param(a, b, id=f"{a.corpus_id}:{b.corpus_id}") for a, b in permutations(CARDS, 2)]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_labels_of_a_target_are_shared_or_unseen(source: CorpusCard, target: CorpusCard) -> None:
    there = transfer.corpus_shift(source, target)
    back = transfer.corpus_shift(target, source)

    assert sorted(there.shared_labels + there.unseen_labels) == sorted(target.labels.names)
    assert there.shared_labels == back.shared_labels
    assert set(there.changed) == set(back.changed)
    assert (there.label_set == "same") == (not there.unseen_labels and not back.unseen_labels)
    assert (there.label_set, back.label_set) in {
        ("same", "same"),
        ("subset", "superset"),
        ("superset", "subset"),
        ("overlapping", "overlapping"),
        ("disjoint", "disjoint"),
    }


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.corpus_id)
def test_nothing_changes_from_a_corpus_to_itself(card: CorpusCard) -> None:
    assert transfer.corpus_shift(card, card).changed == ()


@pytest.mark.parametrize(
    ("source", "target", "changed"),
    [
        ("crema-d", "iemocap", ("label set", "audio source", "label source")),
        ("crema-d", "meld", ("label set", "audio source", "label source")),
        ("iemocap", "msp-podcast", ("label set", "audio source")),
        ("meld", "msp-podcast", ("label set", "audio source")),
        ("biic-podcast", "emotiontalk", ("label set", "audio source")),
        ("biic-podcast", "msp-podcast", ("language",)),
    ],
)
def test_the_shifts_of_the_papers_corpora_are_known(source: str, target: str, changed: tuple[str, ...]) -> None:
    assert transfer.corpus_shift(corpus_card(source), corpus_card(target)).changed == changed


def test_the_benchmark_has_15_languages_and_every_corpus_is_in_the_group_of_each_of_its_own() -> None:
    groups = transfer.language_groups(CARDS)

    assert len(groups) == 15
    for card in CARDS:
        at_home = {group.language for group in groups if card.corpus_id in group.corpora}
        assert at_home == {tag.partition("-")[0] for tag in card.languages}
    assert all(set(group.common_labels) <= set(group.labels) for group in groups)


def test_synthetic_corpora_are_in_no_group() -> None:
    synthetic = corpus_card("urdu").model_copy(update={"corpus_id": "made-up", "synthetic": True})

    assert [group.corpora for group in transfer.language_groups([corpus_card("urdu"), synthetic])] == [("urdu",)]


def test_every_ordered_pair_of_languages_shares_at_least_two_labels() -> None:
    shifts = transfer.language_shifts(CARDS)

    assert len(shifts) == 15 * 14
    for shift in shifts:
        assert len(shift.shared_labels) > 1
        assert all(set(labels) <= set(shift.shared_labels) for _, labels in shift.targets)


def test_a_corpus_that_could_test_one_label_only_is_no_target() -> None:
    one = corpus_card("urdu")
    other = one.model_copy(
        update={
            "corpus_id": "other",
            "languages": ("xx",),
            "labels": one.labels.model_copy(update={"names": ("angry", "bored"), "raw": {}}),
        }
    )

    assert transfer.languages_shift("ur", "xx", [one, other]).targets == ()


@pytest.mark.parametrize("language", ["zh", "pl"])
def test_training_on_all_but_one_language_uses_no_corpus_that_holds_it(language: str) -> None:
    shift = transfer.all_but(language, CARDS)
    mixed = {card.corpus_id for card in CARDS if language in card.languages}

    assert shift.target == language
    assert {corpus_id for corpus_id, _ in shift.targets} <= mixed | {"biic-podcast"}
    assert "happy" in shift.shared_labels


def test_an_unknown_language_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="There is no language called 'xx'"):
        transfer.languages_shift("en", "xx", CARDS)
    with pytest.raises(UnknownName, match="There is no language called 'xx'"):
        transfer.all_but("xx", CARDS)
