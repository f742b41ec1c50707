"""Text of models made safe to look at: nothing in it is hidden, moves other text, or is taken for a command.

Escaping for HTML is not done here: pieces go to the page as data, and its script sets them as text.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

MOST_CHARS = 20_000
"""Of an answer that is shown; of a longer one its beginning, its end, and what was read in it."""
_AROUND = 200
_MOST_OF_A_PART = 4_000

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN_CONTROLS = frozenset("\n\t")


def is_hidden(character: str) -> bool:
    r"""Whether a character shows nothing, or changes how others are shown: controls, direction marks, surrogates.

    >>> [is_hidden(one) for one in ("a", "\n", "\x1b", "\u202e")]
    [False, False, True, True]
    """
    return unicodedata.category(character) in _UNSEEN and character not in _PLAIN_CONTROLS


def code_of(character: str) -> str:
    r"""A hidden character as readable text.

    >>> code_of("\x1b")
    'U+001B'
    """
    return f"U+{ord(character):04X}"


def pieces(text: str, parts: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    r"""An answer as a row of pieces to show one after the other.

    Args:
        text: of the answer, any string at all.
        parts: ``start`` and ``end`` of what was read in it; they do not overlap.

    Returns:
        Pieces with ``text``, which holds no hidden character, and where it applies: ``part``, the number of the part
        that it belongs to; ``code``, true where the text is the code of a hidden character, and ``name``, its name in
        Unicode; ``left_out``, a number of characters that stood here and are not shown.

    >>> pieces("a\x1bb", [{"start": 2, "end": 3}])  # doctest: +NORMALIZE_WHITESPACE
    [{'text': 'a'}, {'text': 'U+001B', 'code': True, 'name': 'control character'}, {'text': 'b', 'part': 0}]
    """
    shown = []
    at = 0
    for start, end in _kept(len(text), parts):
        if start > at:
            shown.append({"text": "", "left_out": start - at})
        shown += _pieces_between(text, start, end, parts)
        at = end
    return shown


def _kept(length: int, parts: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """The stretches of a text that are shown, in order and apart."""
    if length <= MOST_CHARS:
        return [(0, length)]
    stretches = [(0, MOST_CHARS // 2), (length - MOST_CHARS // 2, length)]
    for part in parts:
        end = min(part["end"], part["start"] + _MOST_OF_A_PART)
        stretches.append((max(0, part["start"] - _AROUND), min(length, end + _AROUND)))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _pieces_between(text: str, start: int, end: int, parts: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    edges = sorted(
        {start, end, *(edge for part in parts for edge in (part["start"], part["end"]) if start < edge < end)}
    )
    for first, last in pairwise(edges):
        number = next((n for n, part in enumerate(parts) if part["start"] <= first < part["end"]), None)
        belongs = {} if number is None else {"part": number}
        plain = first
        for at in range(first, last):
            if is_hidden(text[at]):
                if plain < at:
                    yield {"text": text[plain:at], **belongs}
                name = unicodedata.name(text[at], "control character").lower()
                yield {"text": code_of(text[at]), "code": True, "name": name, **belongs}
                plain = at + 1
        if plain < last:
            yield {"text": text[plain:last], **belongs}
