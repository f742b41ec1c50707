"""EmoDB: wav/<speaker><text><emotion><version>.wav; version 2.0 adds db.yaml and CSV tables in audformat.

Laryngograms (laryngo/) are left unread: they are no recordings of speech.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree
from voxemo.splits.policies import UNASSIGNED

GOLD = {part: f"db.emotion.categories.{part}.gold_standard.csv" for part in ("train", "test")}
EMOTIONS = "db.emotion.csv"
SPEAKERS = "db.speaker.csv"
HINT = "Load version 2.0 of 'emodb' with audb, tables as CSV, and give the folder with db.yaml."

LETTERS = {
    "A": "fear",
    "E": "disgust",
    "F": "happiness",
    "L": "boredom",
    "N": "neutral",
    "T": "sadness",
    "W": "anger",
}
NAME = re.compile(r"(?P<speaker>\d{2})(?P<text>[ab]\d{2})(?P<emotion>[AEFLNTW])[a-z]")
N_VERSION_1 = 535
TEST_SPEAKERS = ("12", "14", "15", "16")
"""Of version 2.0; versions 1.x are exactly its train and test parts."""

# The ten sentences, from the transcription scheme of version 2.0.
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen.",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the letter of its intended emotion, which stands in the name in every version.

    Raises:
        WrongLayout: a table of version 2.0 is missing, not in its documented form or contradicts a name; or there are
            more recordings than in versions 1.x, and no tables that say which of them are ambiguous.
    """
    recordings = [(path, name) for path in tree.glob("wav/*.wav") if (name := NAME.fullmatch(path.stem))]
    has_tables = tree.has("db.*")
    if not has_tables and len(recordings) > N_VERSION_1:
        found = f"{len(recordings)} recordings, {len(recordings) - N_VERSION_1} more than in versions 1.x, without them"
        raise tree.wrong_layout(f"the tables {listing(tuple(GOLD.values()))}", found, HINT)
    partitions = _partitions(tree) if has_tables else {}
    emotions = _column(tree, EMOTIONS, "emotion")
    speakers = _speakers(tree)
    for path, name in recordings:
        said = LETTERS[name["emotion"]]
        # A missing value is an empty field in audformat's tables.
        listed = emotions.get(path.name) or said
        if listed != said:
            raise tree.wrong_layout(f"{path.name!r} as {said!r} in {EMOTIONS!r}, as its letter says", repr(listed))
        gender, age = speakers.get(name["speaker"], (None, None))
        by_speaker = "test" if name["speaker"] in TEST_SPEAKERS else "train"
        yield ParsedUtterance(
            stem=path.stem,
            audio_path=str(path),
            expressed_raw=name["emotion"],
            speaker_id=name["speaker"],
            speaker_gender=gender,
            speaker_age=age,
            transcript=SENTENCES.get(name["text"]),
            provider_partition=partitions.get(path.name, UNASSIGNED) if has_tables else by_speaker,
        )


def _partitions(tree: CorpusTree) -> dict[str, str]:
    """Name to part; ambiguous recordings are in neither."""
    missing = [table for table in GOLD.values() if not tree.exists(table)]
    if missing:
        raise tree.wrong_layout(f"the tables {listing(missing)}", listing(tree.top_level()), HINT)
    members = {part: set(_column(tree, table, "file")) for part, table in GOLD.items()}
    both = sorted(members["train"] & members["test"])
    if both:
        raise tree.wrong_layout("every recording in one part of version 2.0", f"{listing(both)} in train and in test")
    return {name: part for part, names in members.items() for name in names}


def _column(tree: CorpusTree, table: str, column: str) -> dict[str, str]:
    """File name to value; nothing where there is no such table."""
    rows: Iterable[dict[str, str]] = tree.read_csv(table, columns=("file", column)) if tree.exists(table) else ()
    return {PurePosixPath(row["file"]).name: row[column] for row in rows}


def _speakers(tree: CorpusTree) -> dict[str, tuple[str | None, int | None]]:
    if not tree.exists(SPEAKERS):
        return {}
    # Speaker 03 is 3 in the table.
    return {
        row["speaker"].zfill(2): (row["gender"] or None, int(row["age"]) if row["age"].isdecimal() else None)
        for row in tree.read_csv(SPEAKERS, columns=("speaker", "age", "gender"))
    }
