"""IEMOCAP: Session<n>/sentences/wav/<dialogue>/<dialogue>_<F|M><number>.wav, and labels in dialog/EmoEvaluation.

A dialogue's file of labels has a block for each turn, ended by a blank line: a line with the turn's name and consensus
code, then a line per rater. Lines ``C-E<n>`` hold the labels of outside raters, ``C-F<n>`` and ``C-M<n>`` what the
actor reported about the own turn.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

NAME = re.compile(
    r"(?P<folder>(?:.+/)?Session(?P<session>\d))/sentences/wav/"
    r"(?P<dialogue>(?P<pair>Ses\d\d)[FM]_(?:impro\d\d|script\d\d_\d)[a-z]?)/"
    r"(?P<turn>(?P=dialogue)_(?P<speaker>[FM])\d{3})\.wav"
)
HEAD = re.compile(r"\[\S+ - \S+\]\t(?P<turn>\S+)\t(?P<code>[a-z]+)\t\[.*\]\s*")
LABELS = re.compile(r"C-(?P<rater>[EFM])\d+:\t(?P<labels>[^\t]*)(?:\t.*)?")
TRANSCRIPT = re.compile(r"(?P<turn>Ses\w+) \[\S+\]: (?P<text>.+)")


@dataclass(frozen=True, slots=True)
class _Turn:
    code: str
    outside: list[str] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every turn with the consensus of the outside raters, the actor's own report, and votes by both rules.

    A rater may give several labels, and each is a vote. The expressed label is the actor's own report where it names
    a single label. Turns of other codes than the usual four classes are dropped by the card.

    Raises:
        WrongLayout: a dialogue's labels are missing or in another form, or its files lie in another session's folder.
    """
    paths = nearest_copies(tree.glob("**/Session*/sentences/wav/*/*.wav"))
    names = [name for path in paths if (name := NAME.fullmatch(str(path)))]
    evaluated: dict[str, Mapping[str, _Turn]] = {}
    transcripts: dict[str, str] = {}
    for name in names:
        dialog, dialogue = f"{name['folder']}/dialog", name["dialogue"]
        if name["pair"] != f"Ses{name['session']:0>2}":
            raise tree.wrong_layout(f"{name['turn']!r} in the session of {name['pair']!r}", f"it in {name[0]!r}")
        labels = f"{dialog}/EmoEvaluation/{dialogue}.txt"
        if dialogue not in evaluated:
            evaluated[dialogue] = _turns(tree, labels)
            transcripts |= _transcripts(tree, f"{dialog}/transcriptions/{dialogue}.txt")
        turn = evaluated[dialogue].get(name["turn"])
        if turn is None:
            raise tree.wrong_layout(f"a block for {name['turn']!r} in {labels!r}", "none")
        yield ParsedUtterance(
            stem=name["turn"],
            audio_path=name[0],
            expressed_raw=turn.reported[0] if len(turn.reported) == 1 else None,
            perceived_raw=turn.code,
            votes_raw={
                "outside": dict(Counter(turn.outside)),
                "with-self-report": dict(Counter(turn.outside + turn.reported)),
            },
            # "Ses01F" names who wore the motion-capture markers; who speaks is told by the letter of the turn.
            speaker_id=name["pair"] + name["speaker"],
            speaker_gender="female" if name["speaker"] == "F" else "male",
            transcript=transcripts.get(name["turn"]),
            session_id=dialogue,
            provider_partition=f"fold:{name['session']}",
        )


def _turns(tree: CorpusTree, path: str) -> dict[str, _Turn]:
    """The blocks of one dialogue, by the turn's name."""
    turns: dict[str, _Turn] = {}
    turn: _Turn | None = None
    for number, line in enumerate(tree.read_text(path).splitlines(), start=1):
        place = f"line {number} of {path!r}"
        if line.startswith("["):
            head = _fitting(tree, HEAD, line, f"'[start - end]', turn, code and '[v, a, d]' between tabs in {place}")
            turn = turns[head["turn"]] = _Turn(head["code"])
        elif line.startswith("C-") and turn is not None:
            rated = _fitting(tree, LABELS, line, f"'C-<rater>:', labels and remarks between tabs in {place}")
            given = turn.outside if rated["rater"] == "E" else turn.reported
            given += [label for part in rated["labels"].split(";") if (label := part.strip())]
        elif not line.strip():
            turn = None
    return turns


def _fitting(tree: CorpusTree, form: re.Pattern[str], line: str, expected: str) -> re.Match[str]:
    match = form.fullmatch(line)
    if match is None:
        raise tree.wrong_layout(expected, repr(line))
    return match


def _transcripts(tree: CorpusTree, path: str) -> dict[str, str]:
    lines = tree.read_text(path).splitlines() if tree.exists(path) else []
    return {match["turn"]: match["text"].strip() for line in lines if (match := TRANSCRIPT.fullmatch(line))}
