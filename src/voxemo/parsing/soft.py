"""Soft-label answers: the EMOTION DISTRIBUTION field of a response, as a vector over the label set.

Only text in, numbers out. What a failure is worth is decided in scoring, not here.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from voxemo.core.labels import LabelSet
from voxemo.core.types import ParsedPrediction, Reading
from voxemo.parsing.fields import EMOTION_DISTRIBUTION, FINAL_LABEL, MAX_OBJECT_CHARS, Answer, Span, first_line, span_of
from voxemo.parsing.hard import read_label
from voxemo.parsing.marks import MARKUP, PERCENTS, QUOTES
from voxemo.parsing.objects import Pairs, decode_object, loose_end, loose_object
from voxemo.parsing.reasons import UNANSWERED, UnreadableError, absence_reason
from voxemo.parsing.repair import clean_characters, clean_word, label_of_word

Repairs = tuple[str, ...]
ReadKey = Callable[[str], tuple[str | None, Repairs]]
ReadNumber = Callable[[object], tuple[float | None, Repairs]]

_PRELUDE = re.compile(r"^[\s*_`~]*+(?:(?:json|python)\b[\s`]*+)?", re.IGNORECASE)
"""What models put between a field's name and its object: markup, or the opening of a code block."""

_NUMBER_TEXT = re.compile(
    rf"""[{QUOTES}]?\s*+(?P<digits>\+?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)"""
    rf"""\s*+(?P<percent>[{PERCENTS}])?\s*+[{QUOTES}]?"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionReading:
    """What stands in the distribution field, and what it means."""

    distribution: tuple[float, ...] | None = None
    repairs: Repairs = ()
    reason: str | None = None
    span: Span | None = None
    """Of the object; of a failure, of the rest of the line that was looked at. None where nothing stands."""


def parse_distribution(
    text: str, label_set: LabelSet, *, reading: Reading = "strict", finish: str = "stop"
) -> ParsedPrediction:
    """Read the probabilities that an answer gives, and the label it names beside them.

    The strict reading decides the benchmark's score: the last ``EMOTION DISTRIBUTION:`` is followed by a JSON object
    of finite, non-negative numbers under names or English aliases of the label set, each label at most once. They are
    divided by their sum; a label not named has 0. The lenient reading adds the named repairs of ``parsing.repair``
    and is reported apart; where the strict one succeeds, both agree. An object that was cut off is never completed.

    Args:
        text: the answer, any string at all. Never raises on it.
        label_set: the closed set that was asked for.
        reading: strict or lenient.
        finish: how generation ended, as in ``Response``. ``error`` and ``no_audio`` are failures whatever the text.

    Returns:
        ``status``, ``repairs`` and ``reason`` of the distribution, which sums to 1 in label-set order; and the answer's
        own FINAL LABEL with ``label_status`` and ``label_reason``, read by the rules of ``parse_hard``.

    >>> parse_distribution('EMOTION DISTRIBUTION: {"Sad": 3, "Anger": 1}', LabelSet(("angry", "sad"),
    ...     aliases={"anger": "angry"})).distribution
    (0.25, 0.75)
    """
    if finish in UNANSWERED:
        why = UNANSWERED[finish]
        return ParsedPrediction(status="failed", reason=why, label_status="failed", label_reason=why)
    answer = Answer(text)
    label = read_label(answer, label_set, reading=reading, finish=finish)
    found = read_distribution(answer, label_set, reading=reading, finish=finish)
    return ParsedPrediction(
        status="failed" if found.distribution is None else "repaired" if found.repairs else "ok",
        distribution=found.distribution,
        repairs=found.repairs,
        reason=found.reason,
        label=label.label,
        raw_label=label.raw,
        label_status="failed" if label.label is None else "repaired" if label.repairs else "ok",
        label_reason=label.reason,
    )


def read_distribution(answer: Answer, label_set: LabelSet, *, reading: Reading, finish: str) -> DistributionReading:
    """Read the distribution field of an answer; the form of ``parse_distribution`` that says where it stands."""
    try:
        return _strict(answer, label_set, finish)
    except UnreadableError as failure:
        reason = failure.reason
    if reading == "lenient":
        try:
            return _lenient(answer, label_set, finish)
        except UnreadableError as failure:
            reason = failure.reason
    return DistributionReading(reason=reason, span=_looked_at(answer))


def _looked_at(answer: Answer) -> Span | None:
    """The line in which an object should begin, from the field's end on."""
    field = answer.loose_field(EMOTION_DISTRIBUTION)
    if field is None or not field.marked:
        return None
    rest = answer.text[field.start : field.start + MAX_OBJECT_CHARS]
    blank = len(rest) - len(rest.lstrip())
    return span_of(first_line(rest[blank:]), field.start + blank)


# --- strict ------------------------------------------------------------------------------------------------------


def _strict(answer: Answer, label_set: LabelSet, finish: str) -> DistributionReading:
    start = answer.field(EMOTION_DISTRIBUTION)
    if start is None:
        raise UnreadableError(absence_reason(answer.text, finish))
    piece = answer.text[start : start + MAX_OBJECT_CHARS]
    body = piece.lstrip()
    if not body.startswith("{"):
        raise UnreadableError(_no_object_reason(body, finish))
    pairs, end = decode_object(body, finish=finish)
    distribution, _ = _distribution(
        pairs, label_set, read_key=lambda key: (label_set.canonical(key.strip()), ()), read_number=_number
    )
    first = start + len(piece) - len(body)
    return DistributionReading(distribution=distribution, span=(first, first + end))


def _no_object_reason(body: str, finish: str) -> str:
    """Why no object begins where a distribution should: nothing, the next field, or something else stands there."""
    rest = body.lstrip().lstrip(MARKUP)
    if not rest:
        return "cut_off" if finish == "length" else "empty_field"
    return "empty_field" if FINAL_LABEL.loose.match(rest) else "not_an_object"


def _number(value: object) -> tuple[float | None, Repairs]:
    return (value, ()) if isinstance(value, float) else (None, ())


# --- lenient -----------------------------------------------------------------------------------------------------


def _lenient(answer: Answer, label_set: LabelSet, finish: str) -> DistributionReading:
    first, body, repairs = _find_body(answer, finish)
    pairs, object_repairs, end = _loose_pairs(body, finish)

    def read_key(key: str) -> tuple[str | None, Repairs]:
        name = label_set.canonical(key.strip())
        if name is not None:
            return name, ()
        word, cleaned = clean_word(key)
        name, by = label_of_word(word, label_set)
        # An alias is as good as the name here, by the strict reading too; and the closing period that a label field
        # may have is none that a key may have.
        return name, (*cleaned, *(step for step in by if step != "alias")) or ("punctuation",)

    distribution, entry_repairs = _distribution(pairs, label_set, read_key=read_key, read_number=_loose_number)
    used = dict.fromkeys((*repairs, *object_repairs, *entry_repairs))
    # What the strict reading refused and no other repair explains is white space that JSON does not know.
    return DistributionReading(
        distribution=distribution, repairs=tuple(used) or ("white_space",), span=(first, first + end)
    )


def _find_body(answer: Answer, finish: str) -> tuple[int, str, Repairs]:
    """Where the object's opening bracket stands, the text from it on, and the repairs that finding it took."""
    field = answer.loose_field(EMOTION_DISTRIBUTION)
    if field is not None:
        piece = answer.text[field.start : field.start + MAX_OBJECT_CHARS]
        body = _PRELUDE.sub("", piece, count=1)
        if body.startswith("{"):
            dress = set(piece.removesuffix(body).strip())
            return field.start + len(piece) - len(body), body, (*field.repairs, *_dress_repairs(dress))
        if field.marked:
            raise UnreadableError(_no_object_reason(body, finish))
    # Without a colon the name may stand in any sentence, and is no field if no object follows.
    if answer.text.count("{") != 1:
        raise UnreadableError(absence_reason(answer.text, finish))
    start = answer.text.index("{")
    return start, answer.text[start : start + MAX_OBJECT_CHARS], ("bare_object",)


def _dress_repairs(dress: set[str]) -> Repairs:
    if not dress:
        return ()
    return ("markup",) if dress <= set("*_~") else ("code_fence",)


def _loose_pairs(body: str, finish: str) -> tuple[Pairs, Repairs, int]:
    """Pairs of the object, the repairs that they took, and the offset after its end."""
    try:
        pairs, end = decode_object(body, finish=finish)
        return pairs, (), end
    except UnreadableError as failure:
        if failure.reason == "too_deep":
            raise
        cleaned, repairs = clean_characters(body)
        try:
            pairs, more = loose_object(cleaned)
        except UnreadableError:
            raise failure from None
        return pairs, (*repairs, *more), loose_end(body)


def _loose_number(value: object) -> tuple[float | None, Repairs]:
    if not isinstance(value, str):
        return _number(value)
    match = _NUMBER_TEXT.fullmatch(value.strip())
    if match is None:
        return None, ()
    return float(match["digits"]), ("percent",) if match["percent"] else ("number_text",)


# --- both --------------------------------------------------------------------------------------------------------


def _distribution(
    pairs: Pairs, label_set: LabelSet, *, read_key: ReadKey, read_number: ReadNumber
) -> tuple[tuple[float, ...], Repairs]:
    """Probabilities in label-set order, summing to 1; the first entry that cannot be read decides the reason."""
    shares: dict[str, float] = {}
    repairs: list[str] = []
    units = set()
    for key, value in pairs:
        name, key_repairs = read_key(key)
        if name is None:
            raise UnreadableError("unknown_key")
        if name in shares:
            raise UnreadableError("duplicate_key")
        number, number_repairs = read_number(value)
        if number is None or not math.isfinite(number) or number < 0:
            raise UnreadableError("bad_numbers")
        shares[name] = number
        repairs += [*key_repairs, *number_repairs]
        if number > 0:
            units.add("percent" in number_repairs)
    total = sum(shares.values())
    if not math.isfinite(total) or len(units) > 1:
        raise UnreadableError("bad_numbers")
    if total == 0:
        raise UnreadableError("zero_sum")
    # abs() for the sake of -0.0, which is not negative.
    return tuple(abs(shares.get(name, 0.0)) / total for name in label_set.names), tuple(repairs)
