"""Where a named field stands in an answer, found in one pass from the end.

Answers come from models and from files, and may be anything: megabytes, lone surrogates, one word a million times.
So the whole text is only searched for plain words, and patterns are tried where a word was found.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxemo.parsing.marks import COLONS, MARKUP, QUOTES

MAX_LABEL_CHARS = 4_000
"""Read of a label field. No label is near it; an answer of 512 tokens seldom is."""
MAX_OBJECT_CHARS = 20_000
"""Read of a distribution field. Fourteen labels with seventeen digits each take under 600."""
MAX_CANDIDATES = 10_000
"""Occurrences of a field's first word that are tried, from the end. An answer of 512 tokens cannot hold as many."""
MAX_RAW_CHARS = 200
"""Kept of what stood in a label field (``ParsedPrediction.raw_label``)."""

Span = tuple[int, int]
"""Where a piece of an answer begins, and the offset after its end."""

_LINE_END = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_MARKED_UP = re.compile(rf"[{MARKUP}{QUOTES}\])<]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FieldName:
    """A field's name of two words, and the two ways to recognise it."""

    first_word: bytes
    """Lower-case ASCII."""
    strict: re.Pattern[str]
    """The two words and a colon, white space allowed between and before."""
    loose: re.Pattern[str]
    """The same with markup, quotes and underscores, another mark for the colon (group ``mark``), or none."""


def _field_name(first: str, second: str) -> FieldName:
    dress = rf"[\s{MARKUP}{QUOTES}\])-]|</?[a-z]{{1,10}}>"
    return FieldName(
        first_word=first.encode(),
        strict=re.compile(rf"{first}\s++{second}\s*+:", re.IGNORECASE),
        loose=re.compile(
            rf"{first}[\s{MARKUP}-]{{0,20}}+{second}(?:{dress}){{0,20}}+(?P<mark>[{COLONS}])?(?:is\b)?", re.IGNORECASE
        ),
    )


FINAL_LABEL = _field_name("final", "label")
EMOTION_DISTRIBUTION = _field_name("emotion", "distribution")


@dataclass(frozen=True, slots=True)
class LooseField:
    """A field found by its loose form."""

    start: int
    """Offset of what stands in the field."""
    marked: bool
    """Whether a colon, or something in its place, follows the name."""
    repairs: tuple[str, ...]
    """``field_form`` and ``colon``, as far as its form differs from the strict one."""


class Answer:
    """An answer's text, with the copy that fields are searched in."""

    __slots__ = ("_lower", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        # One byte a character, whatever the character, so that offsets are those of the text; and bytes.lower() knows
        # ASCII alone, where str.lower() may change the length.
        self._lower = text.encode("ascii", "replace").lower()

    def field(self, name: FieldName) -> int | None:
        """Offset of what stands in the last field of this name; None when there is none."""
        for start in self._occurrences(name.first_word):
            match = name.strict.match(self.text, start)
            if match:
                return match.end()
        return None

    def loose_field(self, name: FieldName) -> LooseField | None:
        """The last field whose name has a colon or something in its place; without one, the last bare name."""
        bare = None
        for start in self._occurrences(name.first_word):
            match = name.loose.match(self.text, start)
            if match is None:
                continue
            mark = match["mark"]
            repairs = () if name.strict.match(self.text, start) else _form_repairs(match[0], mark)
            found = LooseField(match.end(), mark is not None, repairs)
            if found.marked:
                return found
            bare = bare or found
        return bare

    def label_line(self, start: int) -> str:
        """From an offset to the end of its line."""
        return first_line(self.text[start : start + MAX_LABEL_CHARS])

    def lines(self, start: int) -> list[tuple[int, str]]:
        """The lines from an offset on, as far as a label is looked for, with where each begins; at least one."""
        found = []
        at = start
        for line in self.text[start : start + MAX_LABEL_CHARS].splitlines(keepends=True):
            found.append((at, line.splitlines()[0]))
            at += len(line)
        return found or [(start, "")]

    def _occurrences(self, word: bytes) -> Iterator[int]:
        end = len(self._lower)
        for _ in range(MAX_CANDIDATES):
            end = self._lower.rfind(word, 0, end)
            if end < 0:
                return
            yield end


def first_line(text: str) -> str:
    """The text up to its first line end, of any alphabet's kind."""
    return _LINE_END.split(text, maxsplit=1)[0]


def span_of(piece: str, start: int) -> Span | None:
    """Where a piece stands, without the white space around it; None where there is nothing else in it.

    >>> span_of(" Sad ", 10)
    (11, 14)
    """
    first = start + len(piece) - len(piece.lstrip())
    return (first, first + len(piece.strip())) if piece.strip() else None


def raw_label(line: str) -> str:
    """What stood in a label field, for the record: trimmed, cut, and without the surrogates that no file takes."""
    return _SURROGATE.sub("\ufffd", line.strip()[:MAX_RAW_CHARS])


def _form_repairs(matched: str, mark: str | None) -> tuple[str, ...]:
    marked_up = bool(_MARKED_UP.search(matched)) or not any(map(str.isspace, matched))
    return (*(["field_form"] if marked_up else []), *(["colon"] if mark != ":" else []))
