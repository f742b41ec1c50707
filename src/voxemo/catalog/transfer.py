"""What lies between two corpora, or two languages, worked out from their cards (PROTOCOL section 8).

Training on one corpus and testing on another changes several things at once: the labels, how the speech came about,
whose labels they are, and the language. Which of them change is a fact of the two cards, never typed by hand.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from voxemo.core.cards import CorpusCard
from voxemo.core.errors import UnknownName

LabelShift = Literal["same", "subset", "superset", "overlapping", "disjoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusShift:
    """What changes from a source corpus to a target corpus. Each pair is (the source's, the target's)."""

    source_corpus_id: str
    target_corpus_id: str
    shared_labels: tuple[str, ...]
    """Labels that both have, in alphabetical order: what can be learnt from the one and asked about the other."""
    unseen_labels: tuple[str, ...]
    """Labels of the target that the source cannot teach."""
    unasked_labels: tuple[str, ...]
    """Labels of the source that the target does not ask about."""
    label_set: LabelShift
    """The target's label set against the source's: a ``subset`` asks for fewer labels, a ``superset`` for more."""
    setting: tuple[str, str]
    """Acted or in the wild."""
    elicitation: tuple[str, str]
    """Scripted, spontaneous, mixed or unknown."""
    recording: tuple[str, str]
    label_source: tuple[str, str]
    """Expressed or perceived: the gold of each."""
    languages: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def changed(self) -> tuple[str, ...]:
        """Kinds of shift, in the paper's terms: label set, audio source, label source, language."""
        audio = (self.setting, self.elicitation, self.recording)
        shifts = {
            "label set": self.label_set != "same",
            "audio source": any(source != target for source, target in audio),
            "label source": self.label_source[0] != self.label_source[1],
            "language": not set(map(primary_language, self.languages[0]))
            & set(map(primary_language, self.languages[1])),
        }
        return tuple(kind for kind, is_there in shifts.items() if is_there)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageGroup:
    """The corpora of one language."""

    language: str
    """Primary BCP-47 tag: Taiwanese Mandarin counts with Mandarin, as in the paper."""
    corpora: tuple[str, ...]
    """Corpus ids, sorted. A corpus of several languages is in the group of each; its utterances say which is theirs."""
    labels: tuple[str, ...]
    """Labels that any of the corpora has, in alphabetical order."""
    common_labels: tuple[str, ...]
    """Labels that all of them have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageShift:
    """What two languages share: for training on all corpora of the one and testing on those of the other."""

    source: str
    target: str
    shared_labels: tuple[str, ...]
    """Labels that a corpus of the source can teach and a corpus of the target can test."""
    targets: tuple[tuple[str, tuple[str, ...]], ...]
    """Each corpus of the target with the labels that it can test; corpora with fewer than two are left out."""


def primary_language(tag: str) -> str:
    """The language of a BCP-47 tag without region and script.

    >>> primary_language("zh-TW")
    'zh'
    """
    return tag.partition("-")[0].lower()


def label_shift(source: Sequence[str], target: Sequence[str]) -> LabelShift:
    """Compare a target's label set with a source's.

    >>> label_shift(["angry", "happy", "sad"], ["angry", "sad"])
    'subset'
    """
    learnt, asked = set(source), set(target)
    if learnt == asked:
        return "same"
    if asked < learnt:
        return "subset"
    if asked > learnt:
        return "superset"
    return "overlapping" if learnt & asked else "disjoint"


def corpus_shift(source: CorpusCard, target: CorpusCard) -> CorpusShift:
    """What changes from training on one corpus to testing on another."""
    learnt, asked = source.labels.names, target.labels.names
    return CorpusShift(
        source_corpus_id=source.corpus_id,
        target_corpus_id=target.corpus_id,
        shared_labels=tuple(name for name in asked if name in learnt),
        unseen_labels=tuple(name for name in asked if name not in learnt),
        unasked_labels=tuple(name for name in learnt if name not in asked),
        label_set=label_shift(learnt, asked),
        setting=(source.setting, target.setting),
        elicitation=(source.elicitation, target.elicitation),
        recording=(source.recording, target.recording),
        label_source=(source.gold, target.gold),
        languages=(source.languages, target.languages),
    )


def language_groups(cards: Sequence[CorpusCard]) -> tuple[LanguageGroup, ...]:
    """Group corpora by language, in order of the languages' tags. Synthetic corpora are left out."""
    groups: defaultdict[str, dict[str, CorpusCard]] = defaultdict(dict)
    for card in cards:
        if not card.synthetic:
            for tag in card.languages:
                groups[primary_language(tag)][card.corpus_id] = card
    return tuple(
        LanguageGroup(
            language=language,
            corpora=tuple(sorted(members)),
            labels=tuple(sorted(set().union(*(card.labels.names for card in members.values())))),
            common_labels=tuple(sorted(set.intersection(*(set(card.labels.names) for card in members.values())))),
        )
        for language, members in sorted(groups.items())
    )


def language_shift(source: LanguageGroup, target: LanguageGroup, cards: Sequence[CorpusCard]) -> LanguageShift:
    """What can be learnt from one language and tested in another.

    Args:
        source: the language to train on.
        target: the language to test on.
        cards: of the corpora of both.
    """
    labels = {card.corpus_id: card.labels.names for card in cards}
    testable = (
        (corpus_id, tuple(name for name in labels[corpus_id] if name in source.labels)) for corpus_id in target.corpora
    )
    return LanguageShift(
        source=source.language,
        target=target.language,
        shared_labels=tuple(sorted(set(source.labels) & set(target.labels))),
        # One label asks nothing.
        targets=tuple((corpus_id, names) for corpus_id, names in testable if len(names) > 1),
    )


def languages_shift(source: str, target: str, cards: Sequence[CorpusCard]) -> LanguageShift:
    """As ``language_shift``, by the languages' tags.

    Raises:
        UnknownName: no corpus has one of the languages.
    """
    groups = {group.language: group for group in language_groups(cards)}
    for language in (source, target):
        if language not in groups:
            raise UnknownName("language", language, tuple(groups))
    return language_shift(groups[source], groups[target], cards)


def language_shifts(cards: Sequence[CorpusCard]) -> tuple[LanguageShift, ...]:
    """Every ordered pair of two languages."""
    groups = language_groups(cards)
    return tuple(language_shift(source, target, cards) for source, target in permutations(groups, 2))


def all_but(language: str, cards: Sequence[CorpusCard]) -> LanguageShift:
    """Train on the corpora of every language but one, and test on that one.

    Corpora that hold the language among others are not trained on.

    Raises:
        UnknownName: no corpus has the language.
    """
    groups = {group.language: group for group in language_groups(cards)}
    if language not in groups:
        raise UnknownName("language", language, tuple(groups))
    target = groups[language]
    others = [card for card in cards if not card.synthetic and card.corpus_id not in target.corpora]
    labels = set().union(*(card.labels.names for card in others))
    source = LanguageGroup(
        language=f"all but {language}",
        corpora=tuple(sorted(card.corpus_id for card in others)),
        labels=tuple(sorted(labels)),
        common_labels=tuple(sorted(set.intersection(*(set(card.labels.names) for card in others)))) if others else (),
    )
    return language_shift(source, target, cards)
