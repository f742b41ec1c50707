"""Text from outside, made fit for where it goes: a terminal, a Markdown page, a CSV file, LaTeX, a figure.

What a model answered is not to be trusted, and neither are names on cards that others wrote. One function for each
target; what HTML needs is the template engine's matter.
"""

import unicodedata

LONGEST = 400
"""Characters of a text in a table's cell or a figure; more would hide the rest."""


def visible(text: str) -> str:
    r"""Text without characters that act instead of showing: each of them as its code.

    Control characters (escape codes, carriage returns, backspaces), marks that turn the direction of writing,
    characters of no width, and halves of surrogate pairs, which no file can hold. Line breaks and tabs become a blank.

    >>> visible("red \x1b[31m\u202etxt.exe\n")
    'red \\x1b[31m\\u202etxt.exe '
    """
    return "".join(map(_shown, text)) if not text.isascii() or not text.isprintable() else text


def _shown(character: str) -> str:
    if character in "\n\t":
        return " "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return (
            character.encode("ascii", "backslashreplace").decode() if character > "\x7f" else f"\\x{ord(character):02x}"
        )
    return character


def shortened(text: str, *, most: int = LONGEST) -> str:
    """The text, or its beginning and how much is left.

    >>> shortened("abcdef", most=4)
    'abcd… (2 more)'
    """
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more)"


def for_figure(text: str, *, most: int = 120) -> str:
    r"""Text for a figure: one line that every kind of file can hold, cut where it is longer than there is room.

    >>> for_figure("a\nlong name", most=7)
    'a long…'
    """
    shown = visible(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
