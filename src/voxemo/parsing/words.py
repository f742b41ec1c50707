"""Which labels a line of text names, and whether it asserts one of them.

For the lenient reading, and for the reason of a failed answer in either reading.
"""

import unicodedata
from collections.abc import Container, Sequence
from dataclasses import dataclass

from voxemo.core.labels import LabelSet
from voxemo.parsing.marks import APOSTROPHES, BRACKETS, COMMAS, CONNECTORS, NEGATIONS, PUNCTUATION, SENTENCE_ENDS

_LONGEST_PHRASE = 3
"""Words in the longest alias or translation that is looked for."""
_JOINING = frozenset("/|&+\\")
"""Signs that stand for "or"."""
_SETTING_OFF = frozenset(PUNCTUATION + BRACKETS)
_CLOSING = frozenset(COMMAS + BRACKETS + SENTENCE_ENDS) | _JOINING


@dataclass(frozen=True, slots=True)
class Mentions:
    """The labels that a text names."""

    labels: frozenset[str]
    """Canonical names; named by name, alias or translation."""
    negated: bool
    """Whether the text holds a negation, anywhere: a reader of lists of words cannot tell what it denies."""
    listed: bool
    """Whether a label stands beside another word to choose from, which may be a label of another set."""


def find_mentions(text: str, label_set: LabelSet) -> Mentions:
    """Find every label that the text names as a whole word.

    >>> found = find_mentions("Happy or Excited", LabelSet(("happy", "sad")))
    >>> sorted(found.labels), found.listed, found.negated
    (['happy'], True, False)
    """
    words, gaps = _words_and_gaps(text)
    labels = set()
    places: list[range] = []
    at = 0
    while at < len(words):
        for last in range(min(at + _LONGEST_PHRASE, len(words)), at, -1):
            name = label_set.translated(_phrase(words, gaps, at, last))
            if name is not None:
                labels.add(name)
                places.append(range(at, last))
                at = last
                break
        else:
            at += 1
    named = {index for place in places for index in place}
    listed = any(
        _offers_another(words, gaps, named, edge=edge, step=step)
        for place in places
        for edge, step in ((place[0], -1), (place[-1], 1))
    )
    negated = any(word in NEGATIONS or word.endswith("n't") for word in words)
    return Mentions(frozenset(labels), negated, listed)


def _phrase(words: Sequence[str], gaps: Sequence[str], first: int, last: int) -> str:
    """The words from ``first`` to before ``last`` with what stands between them, white space as one blank."""
    parts = [words[first]]
    for index in range(first + 1, last):
        parts += [gaps[index], words[index]]
    return " ".join("".join(parts).split())


def _offers_another(words: Sequence[str], gaps: Sequence[str], named: Container[int], *, edge: int, step: int) -> bool:
    """Whether, on one side of a label, a word that names no label stands as an alternative to it.

    Beside an "or" or a slash, any word does. Set off by a comma, dash or bracket, a word alone does ("Happy, Proud");
    more words are a remark on the label ("Happy (high confidence)"), and so is a number.
    """
    other = edge + step
    if not 0 <= other < len(words) or other in named:
        return False
    if words[other] in CONNECTORS:
        return 0 <= other + step < len(words) and other + step not in named
    if words[other][0].isdecimal():
        return False
    # A word's gap is the one before it, so going back the gap to cross is the label's own.
    crossed, beyond = set(gaps[max(edge, other)]), set(gaps[max(other, other + step)])
    alone = not 0 <= other + step < len(words) or bool(beyond & _CLOSING)
    return bool(crossed & _JOINING) or (alone and bool(crossed & _SETTING_OFF))


def _words_and_gaps(text: str) -> tuple[list[str], list[str]]:
    """The words, case folded, and what stands before each and after the last.

    A word is made of letters, their combining marks, digits, and apostrophes inside.
    """
    words: list[str] = []
    gaps: list[str] = []
    word: list[str] = []
    gap: list[str] = []
    for character in (*text, " "):
        # By category, since \w leaves out combining marks and so cuts Bengali and Thai words in pieces.
        if unicodedata.category(character)[0] in "LMN" or (word and character in APOSTROPHES):
            word.append("'" if character in APOSTROPHES else character)
            continue
        if word:
            words.append("".join(word).rstrip(APOSTROPHES).casefold())
            gaps.append("".join(gap))
            word, gap = [], []
        gap.append(character)
    return words, [*gaps, "".join(gap)]
