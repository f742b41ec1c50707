"""Promises of the shared label table."""

import unicodedata
from collections import defaultdict

import pytest

from label_sets import EVERY_LABEL, label_set_of
from voxemo.catalog.lookup import label_table

NAMES = (
    "amused angry anxious apologetic assertive bored breath calm concerned contempt disappointed disgust encouraging "
    "enthusiasm excited fear frustrated happy neutral pain pleasure poker sad sarcastic sleepy surprise unknown"
)


def words_of(name: str) -> tuple[str, ...]:
    entry = label_table().labels[name]
    return (name, *entry.aliases, *(word for words in entry.translations.values() for word in words))


def test_table_holds_the_names_of_the_benchmark_in_alphabetical_order() -> None:
    assert " ".join(EVERY_LABEL) == NAMES


def test_no_word_of_any_language_stands_under_two_labels() -> None:
    labels_by_word = defaultdict(set)
    for name in EVERY_LABEL:
        for word in words_of(name):
            labels_by_word[word.casefold()].add(name)

    assert {word: names for word, names in labels_by_word.items() if len(names) > 1} == {}


@pytest.mark.parametrize("name", EVERY_LABEL)
def test_words_are_lower_case_composed_and_trimmed(name: str) -> None:
    for word in words_of(name):
        assert word == unicodedata.normalize("NFC", word.lower()).strip()


@pytest.mark.parametrize("name", EVERY_LABEL)
def test_no_word_is_listed_twice_in_one_language(name: str) -> None:
    entry = label_table().labels[name]

    for words in ((name, *entry.aliases), *entry.translations.values()):
        assert len(words) == len(set(words))


@pytest.mark.parametrize("name", EVERY_LABEL)
def test_every_word_means_its_label_in_the_largest_label_set(name: str) -> None:
    label_set = label_set_of(*EVERY_LABEL)

    assert {label_set.translated(word) for word in words_of(name)} == {name}


def test_calm_is_no_word_for_neutral() -> None:
    assert not set(words_of("calm")) & set(words_of("neutral"))
    assert label_set_of("happy", "neutral").translated("calm") is None
