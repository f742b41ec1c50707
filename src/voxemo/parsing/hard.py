"""Hard-label answers: the FINAL LABEL line of a response, as one label of the closed set (PROTOCOL section 5).

Only text in, a label or a reason out. What a failure is worth is decided in scoring, not here.
"""

from dataclasses import dataclass

from voxemo.core.labels import LabelSet
from voxemo.core.types import ParsedPrediction, Reading
from voxemo.parsing.fields import FINAL_LABEL, MAX_LABEL_CHARS, Answer, Span, first_line, raw_label, span_of
from voxemo.parsing.reasons import UNANSWERED, absence_reason, is_refusal
from voxemo.parsing.repair import clean_word, label_of_phrase, label_of_word
from voxemo.parsing.words import find_mentions


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReading:
    """What stands in the label field, and what it means."""

    label: str | None = None
    raw: str | None = None
    repairs: tuple[str, ...] = ()
    reason: str | None = None
    span: Span | None = None
    """Where ``raw`` stands; None where nothing does."""


def parse_hard(
    text: str, label_set: LabelSet, *, reading: Reading = "strict", finish: str = "stop"
) -> ParsedPrediction:
    r"""Read the label that an answer names.

    The strict reading decides the benchmark's score: after the last ``FINAL LABEL:``, up to the end of the line, white
    space and one closing period stripped, a name of the label set must stand, in any case. The lenient reading adds
    the named repairs of ``parsing.repair`` and is reported apart; where the strict one succeeds, both agree.

    Args:
        text: the answer, any string at all. Never raises on it.
        label_set: the closed set that was asked for.
        reading: strict or lenient.
        finish: how generation ended, as in ``Response``. ``error`` and ``no_audio`` are failures whatever the text.

    Returns:
        ``status`` ok, repaired (with ``repairs``) or failed (with a ``reason`` of ``parsing.reasons``).

    >>> parse_hard("REASONING: not sad\nFINAL LABEL: Angry.", LabelSet(("angry", "sad"))).label
    'angry'
    """
    if finish in UNANSWERED:
        return ParsedPrediction(status="failed", reason=UNANSWERED[finish])
    found = read_label(Answer(text), label_set, reading=reading, finish=finish)
    if found.label is None:
        return ParsedPrediction(status="failed", reason=found.reason, raw_label=found.raw)
    return ParsedPrediction(
        status="repaired" if found.repairs else "ok", label=found.label, raw_label=found.raw, repairs=found.repairs
    )


def read_label(answer: Answer, label_set: LabelSet, *, reading: Reading, finish: str) -> LabelReading:
    """Read the label field of an answer; the form of ``parse_hard`` that the distribution form shares."""
    strict = _strict(answer, label_set, finish)
    if reading == "strict" or strict.label is not None:
        return strict
    return _lenient(answer, label_set, finish)


def _strict(answer: Answer, label_set: LabelSet, finish: str) -> LabelReading:
    start = answer.field(FINAL_LABEL)
    if start is None:
        return LabelReading(reason=absence_reason(answer.text, finish))
    line = answer.label_line(start)
    label = label_set.exact(line.strip().removesuffix(".").strip())
    reason = None if label is not None else _reason(line, label_set, finish)
    return LabelReading(label=label, raw=raw_label(line), reason=reason, span=span_of(line, start))


def _lenient(answer: Answer, label_set: LabelSet, finish: str) -> LabelReading:
    field = answer.loose_field(FINAL_LABEL)
    if field is None:
        return _bare_label(answer, label_set, finish)
    (start, line), *below = answer.lines(field.start)
    raw, span = raw_label(line), span_of(line, start)
    word, repairs = clean_word(line)
    label, by = label_of_phrase(word, label_set)
    if label is not None:
        return LabelReading(label=label, raw=raw, repairs=_once(*field.repairs, *repairs, *by), span=span)
    if not field.marked:
        # Without a colon the words "final label" may stand in any sentence; only a label alone made them a field.
        return LabelReading(reason=absence_reason(answer.text, finish))
    if not word:
        return _next_line(
            below, label_set, finish, LabelReading(raw=raw, repairs=(*field.repairs, *repairs), span=span)
        )
    mentions = find_mentions(word, label_set)
    if len(mentions.labels) == 1 and not mentions.negated and not mentions.listed:
        # The ends of a sentence were taken off in vain: its words are found without that.
        mattered = (repair for repair in repairs if repair not in ("quotes", "punctuation"))
        said = _once(*field.repairs, *mattered, "sentence")
        return LabelReading(label=min(mentions.labels), raw=raw, repairs=said, span=span)
    return LabelReading(raw=raw, reason=_reason(line, label_set, finish), span=span)


def _next_line(below: list[tuple[int, str]], label_set: LabelSet, finish: str, field: LabelReading) -> LabelReading:
    """The first line with anything on it, if that is a label and nothing else."""
    for start, line in below:
        word, repairs = clean_word(line)
        if not word:
            continue
        label, by = label_of_word(word, label_set)
        if label is not None:
            return LabelReading(
                label=label,
                raw=raw_label(line),
                repairs=_once(*field.repairs, "next_line", *repairs, *by),
                span=span_of(line, start),
            )
        break
    return LabelReading(raw=field.raw, reason=_reason("", label_set, finish), span=field.span)


def _bare_label(answer: Answer, label_set: LabelSet, finish: str) -> LabelReading:
    """The whole answer as a label, with or without another name before it."""
    text = answer.text.strip()
    absent = LabelReading(reason=absence_reason(text, finish))
    if len(text) > MAX_LABEL_CHARS or first_line(text) != text:
        return absent
    word, repairs = clean_word(text)
    label, by = label_of_phrase(word, label_set)
    if label is None:
        return absent
    said = _once("bare_label", *repairs, *by)
    return LabelReading(label=label, raw=raw_label(text), repairs=said, span=span_of(answer.text, 0))


def _reason(line: str, label_set: LabelSet, finish: str) -> str:
    """Why a label field that is there gives no label."""
    word, _ = clean_word(line)
    if not word:
        return "cut_off" if finish == "length" else "empty_field"
    if is_refusal(line):
        return "refusal"
    if label_of_phrase(word, label_set)[0] is not None:
        return "out_of_set"
    mentions = find_mentions(word, label_set)
    if len(mentions.labels) > 1 or mentions.listed:
        return "several_labels"
    return "negated" if mentions.labels and mentions.negated else "out_of_set"


def _once(*repairs: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(repairs))
