"""Text from outside, made fit for where it goes: a terminal, JSON, a Markdown page, a CSV cell, LaTeX, a figure.

What a model answered is not to be trusted, and neither are names on cards that others wrote. One function for each
target. That HTML has no markup but its own is the template engine's matter.
"""

import json
import re
import unicodedata
from typing import Any

ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of characters that act instead of showing: controls, marks of direction, characters without
width, halves of surrogate pairs (which no file can hold), and breaks of lines."""


def visible(text: str, *, keep: str = "") -> str:
    r"""Text whose acting characters (`ACTING`) are shown as their codes; line breaks and tabs become a blank.

    Args:
        text: any.
        keep: characters that stay as they are.

    >>> visible("red \x1b[31m\u202etxt.exe\n")
    'red \\x1b[31m\\u202etxt.exe '
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in keep or unicodedata.category(one) not in ACTING else _code(one) for one in text)


def _code(character: str) -> str:
    number = ord(character)
    if character in "\n\t":
        return " "
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65_536 else f"\\U{number:08x}"


def for_terminal(text: str) -> str:
    r"""Text of several lines that a terminal shows and does not obey; line breaks stay, tabs become a blank.

    >>> for_terminal("one\ntwo\x1b]0;title\x07")
    'one\ntwo\\x1b]0;title\\x07'
    """
    return visible(text, keep="\n")


def for_html(value: Any) -> Any:
    r"""A value for a page, before the template engine escapes its markup: text as `visible`, anything else as it is.

    Line breaks and tabs stay, since an answer may have them.

    >>> for_html("a\u202e\n"), for_html(7)
    ('a\\u202e\n', 7)
    """
    # A template engine's Markup is a str too, and is text that was made fit before.
    return visible(value, keep="\n\t") if type(value) is str else value


def for_json(value: Any) -> str:
    r"""A value as indented JSON for people and programs; what would act on a terminal is written as a JSON escape.

    Raises:
        ValueError: a number is not finite.

    >>> print(for_json({"é": "\u202e"}))
    {
      "é": "\u202e"
    }
    """
    written = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if written.isascii() and "\x7f" not in written:
        return written
    return "".join(
        one if one == "\n" or unicodedata.category(one) not in ACTING else json.dumps(one)[1:-1] for one in written
    ).replace("\x7f", "\\u007f")


class Markdown(str):
    """Text that is Markdown already, which `for_markdown` leaves as it is."""

    __slots__ = ()


_AMPERSAND = re.compile(r"&(?=#?\w+;)")
_BLOCK = re.compile(r"#{1,6}(?=\s|$)|>|[-+](?=\s|$)|--|==")
"""What begins a heading, a quotation, a list or a line, at the beginning of a text."""
_NUMBERED = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))")
_ALONE = re.compile(r"[\\`*|~$]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|!(?=\[)")


def for_markdown(text: str) -> str:
    r"""One line of text as Markdown shows it: no markup, no HTML, no link that is not spelled out, no cell's end.

    >>> print(for_markdown("**a_b** | <b>[x](javascript:y)"))
    \*\*a_b\*\* \| &lt;b>[x\](javascript:y)
    """
    if isinstance(text, Markdown):
        return text
    made = _ALONE.sub(r"\\\g<0>", visible(text))
    made = _AMPERSAND.sub("&amp;", made).replace("<", "&lt;")
    return _BLOCK.sub(r"\\\g<0>", made, count=1) if _BLOCK.match(made) else _NUMBERED.sub(r"\1\\", made)


def fenced(text: str) -> str:
    """Lines of text as a Markdown block that shows them as they are, whatever backticks they have.

    >>> print(fenced("a ``` b"))
    ````text
    a ``` b
    ````
    """
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{visible(text, keep=chr(10))}\n{fence}"


FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""What a formula begins with; also as wide characters, which some spreadsheets read alike."""


def for_csv(text: str) -> str:
    """A cell of text that no spreadsheet takes for a formula.

    >>> for_csv("=1+1"), for_csv("-"), for_csv("a=1")
    ("'=1+1", '-', 'a=1')
    """
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA) and len(shown) > 1 else shown


LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "·": r"\textperiodcentered{}",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "±": r"$\pm$",
    "…": r"\ldots{}",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
}


class Latex(str):
    """Text that is LaTeX already, which `for_latex` leaves as it is."""

    __slots__ = ()


def for_latex(text: str) -> str:
    r"""Text as LaTeX prints it, whatever characters it has.

    Letters beyond those of Latin scripts, which plain LaTeX cannot set and stops at, become their code.

    >>> for_latex("50 % of a_b"), for_latex("\\input{x}"), for_latex("é 模")
    ('50 \\% of a\\_b', '\\textbackslash{}input\\{x\\}', 'é U+6A21')
    """
    if isinstance(text, Latex):
        return text
    return "".join(
        LATEX.get(one, one if one < "\u0180" and one.isprintable() else f"U+{ord(one):04X}") for one in visible(text)
    )


def for_figure(text: str, *, most: int = 120) -> str:
    r"""Text for a figure: one line that every kind of file can hold, cut where it is longer than there is room.

    >>> for_figure("a\nlong name", most=7)
    'a long…'
    """
    return visible(shortened(text, most=most))


def shortened(text: str, *, most: int) -> str:
    """The text, or as much of its beginning as there is room for.

    >>> shortened("abcdef", most=4)
    'abc…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"
