"""Where in an answer the parser read: for pages that show people the text beside what was made of it.

Found by the readings themselves, in the same pass that decides what an answer says.
"""

from dataclasses import dataclass
from typing import Literal

from voxemo.core.labels import LabelSet
from voxemo.core.types import Form, Reading
from voxemo.parsing.fields import Answer
from voxemo.parsing.hard import read_label
from voxemo.parsing.reasons import UNANSWERED
from voxemo.parsing.soft import read_distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPart:
    """A piece of an answer that the parser looked at."""

    start: int
    end: int
    """Offset after its last character."""
    what: Literal["label", "distribution"]
    understood: bool
    """False where the parser looked here and could read nothing."""


def read_parts(
    text: str, form: Form, label_set: LabelSet, *, reading: Reading = "strict", finish: str = "stop"
) -> tuple[ReadPart, ...]:
    r"""The pieces of an answer that ``parse_hard`` or ``parse_distribution`` reads, in the order of the text.

    Args:
        text: the answer, any string at all. Never raises on it.
        form: of the question. What was weighed by likelihood has no text that is read.
        label_set: the closed set that was asked for.
        reading: strict or lenient.
        finish: how generation ended, as in ``Response``.

    Returns:
        At most one part of each kind; none where there is nothing that the parser could look at.

    >>> answer = "REASONING: loud\nFINAL LABEL: Angry."
    >>> [(part.what, answer[part.start : part.end]) for part in read_parts(answer, "hard", LabelSet(("angry", "sad")))]
    [('label', 'Angry.')]
    """
    if form == "likelihood" or finish in UNANSWERED:
        return ()
    answer = Answer(text)
    label = read_label(answer, label_set, reading=reading, finish=finish)
    parts = []
    if label.span is not None:
        start, end = label.span
        parts.append(ReadPart(start=start, end=end, what="label", understood=label.label is not None))
    if form == "distribution":
        stated = read_distribution(answer, label_set, reading=reading, finish=finish)
        if stated.span is not None:
            start, end = stated.span
            understood = stated.distribution is not None
            parts.append(ReadPart(start=start, end=end, what="distribution", understood=understood))
    return tuple(sorted(parts, key=lambda part: part.start))
