"""CREMA-D: AudioWAV/<actor>_<sentence>_<emotion>_<intensity>.wav, and tables of actors and listeners' answers.

The recordings alone are enough for the intended labels, and many copies hold nothing else. Each table that is there
adds what it tells; the report of `prepare` says which votes are missing.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

ACTORS = "VideoDemographics.csv"
TABULATED = "processedResults/tabulatedVotes.csv"
ANSWERS = "finishedResponses.csv"

NAME = re.compile(r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?:XX|LO|MD|HI)")
CODES = ("A", "D", "F", "H", "N", "S")
VOICE_ONLY = "1"
TIE = ":"

# The twelve sentences, from the corpus's readme.
SENTENCES = {
    "DFA": "Don't forget a jacket.",
    "IEO": "It's eleven o'clock.",
    "IOM": "I'm on my way to the meeting.",
    "ITH": "I think I have a doctor's appointment.",
    "ITS": "I think I've seen this before.",
    "IWL": "I would like a new alarm clock.",
    "IWW": "I wonder what this is about.",
    "MTI": "Maybe tomorrow it will be cold.",
    "TAI": "The airplane is almost full.",
    "TIE": "That is exactly what happened.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with its intended label, the listeners' plurality and their votes on the voice alone.

    Votes by rule ``filtered`` are the provider's table, which leaves out answers slower than ten seconds; those by
    rule ``all`` count every answer. The plurality is the provider's, of the filtered votes; ties have none.

    Raises:
        WrongLayout: a table is not in its provider's form, or is about other recordings.
    """
    recordings = [(path, name) for path in tree.glob("AudioWAV/*.wav") if (name := NAME.fullmatch(path.stem))]
    stems = {path.stem for path, _ in recordings}
    actors = _actors(tree)
    tabulated = _voice_rows(tree, TABULATED, stems, row_type="", clip="fileName", others=(*CODES, "emoVote"))
    filtered = {row["fileName"]: {code: _whole(tree, TABULATED, row[code]) for code in CODES} for row in tabulated}
    plurality = {row["fileName"]: row["emoVote"] for row in tabulated if TIE not in row["emoVote"]}
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in _voice_rows(tree, ANSWERS, stems, row_type="queryType", clip="clipName", others=("respEmo",)):
        answers[row["clipName"]][row["respEmo"]] += 1

    for path, name in recordings:
        gender, age = actors.get(name["actor"], (None, None))
        yield ParsedUtterance(
            stem=path.stem,
            audio_path=str(path),
            expressed_raw=name["emotion"],
            perceived_raw=plurality.get(path.stem),
            votes_raw={
                rule: dict(votes[path.stem])
                for rule, votes in (("all", answers), ("filtered", filtered))
                if path.stem in votes
            },
            speaker_id=name["actor"],
            speaker_gender=gender,
            speaker_age=age,
            transcript=SENTENCES.get(name["sentence"]),
        )


def _actors(tree: CorpusTree) -> dict[str, tuple[str, int]]:
    if not tree.exists(ACTORS):
        return {}
    rows = tree.read_csv(ACTORS, columns=("ActorID", "Age", "Sex"))
    return {row["ActorID"]: (row["Sex"].lower(), _whole(tree, ACTORS, row["Age"])) for row in rows}


def _voice_rows(
    tree: CorpusTree, table: str, stems: set[str], *, row_type: str, clip: str, others: tuple[str, ...]
) -> list[dict[str, str]]:
    """Rows of listeners who only heard the clip; none when the copy lacks the table."""
    if not tree.exists(table):
        return []
    # Every clip was also judged by face and by both, and a join on its name alone would mix the three. The column
    # ``queryType`` is 1 for the voice; in the tabulated votes it is the first digit of the row's name, 1 to 3 times
    # 100000 plus the clip's number.
    rows = [row for row in tree.read_csv(table, columns=(row_type, clip, *others)) if row[row_type][:1] == VOICE_ONLY]
    if stems and not any(row[clip] in stems for row in rows):
        raise tree.wrong_layout(
            f"votes on the voice of clips such as {min(stems)!r} in {table!r}",
            listing(sorted({row[clip] for row in rows})) or f"no row whose {row_type!r} starts with 1",
        )
    return rows


def _whole(tree: CorpusTree, table: str, number: str) -> int:
    try:
        return int(number)
    except ValueError as cause:
        raise tree.wrong_layout(f"whole numbers in {table!r}", repr(number)) from cause
