"""Why an answer says nothing usable: what gives which code of `core.reasons`, and the version of the rules.

A reason describes a failed answer; it never makes one fail.
"""

from voxemo.parsing.marks import MARKUP, QUOTES, REFUSALS

PARSER_VERSION = "1"
"""Raised when any answer would be read differently, by either reading."""

UNANSWERED = {"error": "model_error", "no_audio": "no_audio"}
"""``finish`` of a response without an answer to the reason code, whatever text may stand in it."""

_LONGEST_OPENING = 100
"""Characters of an answer that are looked at for an opening: the longest of them with marks before it, and to spare."""


class UnreadableError(Exception):
    """Internal: an answer cannot be read, for the given reason. Never leaves this package."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_refusal(text: str) -> bool:
    """Whether the text opens as a refusal does.

    >>> is_refusal("I'm sorry, I cannot hear any audio."), is_refusal("ASR TRANSCRIPT: I'm sorry")
    (True, False)
    """
    opening = text[:_LONGEST_OPENING].lstrip(" \t\r\n>" + MARKUP + QUOTES).replace("\u2019", "'").casefold()
    return opening.startswith(REFUSALS)


def absence_reason(text: str, finish: str) -> str:
    """Why an answer lacks the asked field: it is empty, was cut off, refuses, or simply does not have it."""
    if not text or text.isspace():
        return "empty"
    if finish == "length":
        return "cut_off"
    return "refusal" if is_refusal(text) else "no_field"
