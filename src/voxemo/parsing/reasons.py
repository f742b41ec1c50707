"""Why an answer says nothing usable: one code per cause, and the version of the rules that find it.

A reason describes a failed answer; it never makes one fail.
"""

from voxemo.parsing.marks import MARKUP, QUOTES, REFUSALS

PARSER_VERSION = "1"
"""Raised when any answer would be read differently, by either reading."""

REASONS: dict[str, str] = {
    "model_error": "The model gave no answer; the error is in the response.",
    "no_audio": "The clip cannot be used, so that no question could be asked about it.",
    "empty": "The answer holds nothing but white space.",
    "cut_off": "The answer ended at the token limit before the field was there in full.",
    "refusal": "The model says that it cannot or will not answer.",
    "no_field": "The answer has no field of the asked name.",
    "empty_field": "The field is there, and nothing stands in it.",
    "out_of_set": "What stands in the label field is no label of the closed set.",
    "several_labels": "The label field names more than one label, or a label among other words to choose from.",
    "negated": "The label field names a label in order to rule it out.",
    "not_an_object": "What stands in the distribution field does not begin as a JSON object.",
    "too_deep": "The object in the distribution field is nested far beyond a list of probabilities.",
    "bad_json": "The object in the distribution field is not well formed, or never ends.",
    "unknown_key": "The distribution names something that is no label of the closed set.",
    "duplicate_key": "The distribution names one label twice, by the same word or by two words for it.",
    "bad_numbers": "A probability is negative, not finite, too large or no number.",
    "no_scores": "The backend gave no finite log-probability for every label.",
    "zero_sum": "No label has a probability above zero.",
}

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
