"""The named repairs of the lenient reading, and those that clean a piece of text.

Every repair that made an answer readable is recorded in its prediction by name. All work on bounded pieces.
"""

import re
import unicodedata

from voxemo.core.labels import LabelSet
from voxemo.parsing.marks import BRACKETS, COLONS, MARKUP, PUNCTUATION, QUOTES

REPAIRS: dict[str, str] = {
    "field_form": "The field's name stood in markup or quotes, or was joined by an underscore.",
    "colon": "The colon after the field's name was missing, or another sign.",
    "next_line": "The label stood on a line below the field's name.",
    "bare_label": "There was no field, and the whole answer was one label.",
    "answer_name": "The label followed another name than the asked one, such as `Emotion:`.",
    "unicode": "Characters were full-width, or letter and accent were two characters.",
    "invisible": "Direction marks, zero-width or control characters were removed.",
    "emoji": "Emoji and other pictures were removed.",
    "markup": "Markdown, HTML or LaTeX marks were removed.",
    "quotes": "Quotes or brackets around a word were removed, or stood where JSON has double quotes.",
    "punctuation": "Punctuation around a word was removed, beyond one closing period.",
    "alias": "Another English form of the label was used.",
    "translation": "The label was in another language.",
    "sentence": "The field held more words, and named one label, not denied and not in a list.",
    "bare_object": "There was no field of the asked name, and one object in the whole answer.",
    "code_fence": "The object stood in a code block.",
    "unquoted_keys": "Keys stood without quotes.",
    "trailing_comma": "A comma followed the last entry.",
    "separators": "Entries or values were separated by other signs than JSON's.",
    "number_text": "A number was written as text, or as JSON does not write numbers.",
    "percent": "Numbers had percent signs.",
}
"""Name of each repair to what it means."""

_ENCLOSING = frozenset(QUOTES + BRACKETS)
_PUNCTUATION = frozenset(PUNCTUATION)
_ENDS = _ENCLOSING | _PUNCTUATION
_MARKUP = re.compile(
    r"</?(?:b|i|u|em|strong|code|span|p|br|div|font|mark|label|answer)(?:\s[^<>]{0,100})?/?>"
    r"|\\(?:boxed|text|textbf|mathbf|mathrm)(?=\{)"
    rf"|[{MARKUP}$]",
    re.IGNORECASE,
)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_ANSWER_NAME = re.compile(
    r"(?:the\s+)?(?:speaker'?s\s+)?(?:final\s+|predicted\s+|most\s+likely\s+)?"
    rf"(?:emotion(?:\s+label)?|label|answer)(?:\s+is\b|[\s{QUOTES}]*[{COLONS}])",
    re.IGNORECASE,
)


def clean_word(text: str) -> tuple[str, tuple[str, ...]]:
    """Take the dress off a word or short phrase.

    Returns:
        What is left, and the repairs that changed it. White space around it and one closing period, which every
        reading allows, are no repair.

    >>> clean_word("**Happy**!")
    ('Happy', ('markup', 'punctuation'))
    """
    text, repairs = clean_characters(text)
    plain = _MARKUP.sub(" ", text)
    if plain != text:
        repairs = (*repairs, "markup")
    trimmed = plain.strip().removesuffix(".").strip()
    # One period in all is free; ends are taken off together, whatever their order.
    first, last = 0, len(trimmed)
    while first < last and (trimmed[first] in _ENDS or trimmed[first].isspace()):
        first += 1
    while first < last and (trimmed[last - 1] in _ENDS or trimmed[last - 1].isspace()):
        last -= 1
    taken = set(trimmed[:first] + trimmed[last:])
    if taken & _ENCLOSING:
        repairs = (*repairs, "quotes")
    if taken & _PUNCTUATION:
        repairs = (*repairs, "punctuation")
    return trimmed[first:last], repairs


def clean_characters(text: str) -> tuple[str, tuple[str, ...]]:
    """Remove what is unseen or a picture, and write letters in their usual form; with the repairs that mattered."""
    repairs: list[str] = []
    if not text.isascii():
        composed = unicodedata.normalize("NFC", text.translate(_FULL_WIDTH))
        if composed != text:
            repairs.append("unicode")
        text = composed
    kept: list[str] = []
    for character in text:
        removal = None if character.isascii() and character.isprintable() else _removal(character)
        if removal is None:
            kept.append(character)
            continue
        # A picture between two words separates them; an unseen character inside a word does not.
        kept.append(" " if removal == "emoji" else "")
        if removal not in repairs:
            repairs.append(removal)
    return "".join(kept), tuple(repairs)


def _removal(character: str) -> str | None:
    category = unicodedata.category(character)
    if category in ("So", "Sk") or character in "\ufe0e\ufe0f":
        return "emoji"
    if category in ("Cf", "Cs", "Co", "Cn") or (category == "Cc" and not character.isspace()):
        return "invisible"
    return None


def label_of_word(word: str, label_set: LabelSet) -> tuple[str | None, tuple[str, ...]]:
    """The label that a clean word means, by name, English alias or translation, with the repair that this took.

    >>> label_of_word("anger", LabelSet(("angry", "sad"), aliases={"anger": "angry"}))
    ('angry', ('alias',))
    """
    if name := label_set.exact(word):
        return name, ()
    if name := label_set.canonical(word):
        return name, ("alias",)
    if name := label_set.translated(word):
        return name, ("translation",)
    return None, ()


def label_of_phrase(phrase: str, label_set: LabelSet) -> tuple[str | None, tuple[str, ...]]:
    """The label that a clean phrase means: a word for it, or ``Emotion:`` or ``The answer is`` and such a word.

    >>> label_of_phrase('The emotion is "sad', LabelSet(("angry", "sad")))
    ('sad', ('answer_name', 'quotes'))
    """
    name, repairs = label_of_word(phrase, label_set)
    match = _ANSWER_NAME.match(phrase)
    if name is not None or match is None:
        return name, repairs
    word, cleaned = clean_word(phrase[match.end() :])
    name, repairs = label_of_word(word, label_set)
    return name, ("answer_name", *cleaned, *repairs)
