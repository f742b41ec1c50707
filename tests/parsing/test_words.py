# ruff: noqa: RUF001 - signs that look alike are what is tested
"""Which labels a line names."""

import pytest

from label_sets import EVERY_LABEL, label_set_of
from voxemo.core.labels import LabelSet
from voxemo.parsing.words import find_mentions


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", set()),
        ("sadly, unhappy", set()),
        ("SAD", {"sad"}),
        ("the speaker's sadness", {"sad"}),
        ("‘happy’ and 'sad'", {"happy", "sad"}),
        ("en  colère", {"angry"}),
        ("দুঃখ।", {"sad"}),
        ("নিরপেক্ষ কণ্ঠ", {"neutral"}),
        ("ความโกรธ!", {"angry"}),
        ("عصبانی؟", {"angry"}),
        ("angry-happy", {"angry", "happy"}),
    ],
)
def test_labels_are_found_as_whole_words_in_any_script(text: str, labels: set[str], basic_labels: LabelSet) -> None:
    assert find_mentions(text, basic_labels).labels == labels


def test_the_longest_phrase_wins() -> None:
    label_set = LabelSet(("poker", "sad"), aliases={"poker-face": "poker", "face": "sad"})

    assert find_mentions("a poker-face", label_set).labels == {"poker"}


@pytest.mark.parametrize(
    "text",
    [
        "Happy or Proud",
        "Proud or Happy",
        "Happy/Proud",
        "Happy, Proud",
        "Proud, Happy",
        "Happy (Proud)",
        "Happy; Proud; Tense",
        "Happy. Proud.",
        "Happy - Proud",
        "Freude und Stolz",
        "Happy or (rather) Proud",
    ],
)
def test_a_label_beside_another_word_to_choose_from_is_listed(text: str, basic_labels: LabelSet) -> None:
    mentions = find_mentions(text, basic_labels)

    assert (mentions.labels, mentions.listed) == ({"happy"}, True)


@pytest.mark.parametrize(
    "text",
    [
        "Happy",
        "Happy (high confidence)",
        "Happy (confidence: high)",
        "Happy (0.9)",
        "Happy, 90%",
        "Happy, since she laughs",
        "Happy - the voice is bright",
        "The speaker sounds happy",
        "Happy/joy",
        "Happy, joyful",
        "happy or",
        "or happy",
    ],
)
def test_a_label_with_a_remark_is_not_listed(text: str, basic_labels: LabelSet) -> None:
    mentions = find_mentions(text, basic_labels)

    assert (mentions.labels, mentions.listed) == ({"happy"}, False)


@pytest.mark.parametrize("text", ["not happy", "isn't happy", "isn’t happy", "happy, no?", "never happy", "Not happy"])
def test_negations_are_seen(text: str, basic_labels: LabelSet) -> None:
    assert find_mentions(text, basic_labels).negated


@pytest.mark.parametrize("name", EVERY_LABEL)
def test_no_label_is_a_negation_by_itself(name: str) -> None:
    mentions = find_mentions(name, label_set_of(*EVERY_LABEL))

    assert (mentions.labels, mentions.negated, mentions.listed) == ({name}, False, False)
