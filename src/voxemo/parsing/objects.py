"""The object in a distribution field, as pairs of key and value: by JSON's rules, or loosely.

Pairs and not a dict, since a repeated key is an error of the answer that must be seen. What keys and values mean is
``parsing.soft``'s.
"""

import json
import re

from voxemo.parsing.marks import COLONS, COMMAS, QUOTES
from voxemo.parsing.reasons import UnreadableError

Pairs = list[tuple[str, object]]

MAX_DEPTH = 20
"""Brackets within brackets. A list of probabilities needs one; Python's decoder raises at about a thousand."""

_BRACKETS_AND_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]]', re.DOTALL)
_ENTRY = re.compile(
    rf"""\s*+
    (?: (?P<open>[{QUOTES}]) (?P<quoted>[^{QUOTES}{{}}\n]*+) (?P<close>[{QUOTES}])
      | (?P<bare>[^\s{QUOTES}{COLONS}{COMMAS}{{}}][^{QUOTES}{COLONS}{COMMAS}{{}}\n]*+) )
    \s*+ (?P<colon>[{COLONS}]) \s*+
    (?P<value>[^{COMMAS}{{}}\n]*+)
    (?: \s*+ (?P<comma>[{COMMAS}]) | \s*+ (?=\}}) | (?P<line_end>\n) )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
"""As JSON writes numbers."""
_CLOSING = re.compile(r"\s*+\}")
_LOOSE_END = re.compile("[}\uff5d]")


# Every number as a float: an integer of thousands of digits becomes infinite instead of raising.
_DECODER = json.JSONDecoder(object_pairs_hook=list, parse_int=float, parse_float=float, parse_constant=float)


def decode_object(text: str, *, finish: str) -> tuple[Pairs, int]:
    """Decode the JSON object that the text begins with; what follows it is not looked at.

    Numbers come as floats, NaN and infinities included; strings, None, booleans and nested values as themselves.

    Returns:
        Its pairs, and the offset after its end.

    Raises:
        UnreadableError: ``not_an_object``, ``too_deep``, ``bad_json``, or ``cut_off`` where it does not end since
            generation stopped at the token limit.
    """
    if not text.startswith("{"):
        raise UnreadableError("not_an_object")
    ends = _ends(text)
    try:
        value, end = _DECODER.raw_decode(text)
    except ValueError:
        raise UnreadableError("bad_json" if ends or finish != "length" else "cut_off") from None
    pairs: Pairs = value
    return pairs, end


def _ends(text: str) -> bool:
    """Whether the first bracket is closed; raises for nesting that would exhaust the decoder's stack."""
    depth = 0
    for match in _BRACKETS_AND_STRINGS.finditer(text):
        token = match[0]
        if token in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise UnreadableError("too_deep")
        elif token in "}]":
            depth -= 1
            if depth == 0:
                return True
    return False


def loose_object(text: str) -> tuple[Pairs, tuple[str, ...]]:
    """Read a flat object that is not quite JSON: other quotes or none, other separators, a trailing comma.

    Args:
        text: begins with the opening bracket; what follows the closing one is not looked at.

    Returns:
        Pairs of key, without its quotes, and value: a float, or as it stands; and the repairs that it took.

    Raises:
        UnreadableError: ``bad_json``; also where the object does not end, which no repair completes.

    >>> loose_object("{'Happy': 0.7, Sad: 0.3,}")
    ([('Happy', 0.7), ('Sad', 0.3)], ('quotes', 'unquoted_keys', 'trailing_comma'))
    """
    pairs: Pairs = []
    repairs: dict[str, None] = {}
    at = 1
    comma = False
    while not _CLOSING.match(text, at):
        entry = _ENTRY.match(text, at)
        if entry is None:
            raise UnreadableError("bad_json")
        key = entry["bare"] if entry["open"] is None else entry["quoted"]
        value = entry["value"].strip()
        pairs.append((key, float(value) if _NUMBER.fullmatch(value) else value))
        repairs |= dict.fromkeys(_entry_repairs(entry))
        comma = entry["comma"] is not None
        at = entry.end()
    if comma:
        repairs["trailing_comma"] = None
    return pairs, tuple(repairs)


def loose_end(text: str) -> int:
    """Offset after the object that ``loose_object`` reads, in the text as it was before its characters were cleaned.

    No entry holds a bracket, so the first closing one ends it; a full-width one was made plain by the cleaning.
    """
    match = _LOOSE_END.search(text)
    return len(text) if match is None else match.end()


def _entry_repairs(entry: re.Match[str]) -> list[str]:
    repairs = []
    if entry["open"] is None:
        repairs.append("unquoted_keys")
    elif (entry["open"], entry["close"]) != ('"', '"'):
        repairs.append("quotes")
    if entry["colon"] != ":" or entry["comma"] not in (None, ",") or entry["line_end"] is not None:
        repairs.append("separators")
    return repairs
