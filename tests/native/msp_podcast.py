"""The label tables of MSP-Podcast, rebuilt from a union of parts of releases 1.8 and 1.11.

Votes are known for recordings on which somebody typed a word; here one rater more types it. Where only votes are known,
their plurality stands in the consensus table, and where EmoBox joins the two test sets, Test1 does.
"""

import csv
import gzip
import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

CODES = {
    "angry": ("A", "Angry"),
    "contempt": ("C", "Contempt"),
    "disgust": ("D", "Disgust"),
    "fear": ("F", "Fear"),
    "happy": ("H", "Happy"),
    "neutral": ("N", "Neutral"),
    "sad": ("S", "Sad"),
    "surprise": ("U", "Surprise"),
}
PARTITIONS = {"Train": "train", "Development": "valid", "Test1": "test1", "Test2": "test2"}
TYPED = "Other-well, sort of"


def tree(rows: Iterable[dict[str, str]], evidence: Path) -> dict[str, str | bytes]:
    consensus, detailed = io.StringIO(), io.StringIO()
    recordings, ratings = (csv.writer(file, lineterminator="\n") for file in (consensus, detailed))
    recordings.writerow(("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set"))
    ratings.writerow(("FileName", "Workers", "EmoClass_Major", "EmoClass_Second", "EmoAct", "EmoVal", "EmoDom"))
    for row in rows:
        name = PurePosixPath(row["path"])
        if row["split"] != "Test3":
            recordings.writerow((name.name, _code(row, evidence), 2.2, 4.0, 2.6, "Unknown", "Unknown", _part(row)))
        words = [word for word, n in _votes(name.stem, evidence).items() for _ in range(n)]
        for number, word in enumerate(TYPED if word == "Other" else word for word in words):
            ratings.writerow((name.name, f"WORKER{number:08d}", word, f"{word},Concerned", 2.0, 4.0, 4.0))
    files: dict[str, str | bytes] = dict.fromkeys((row["path"] for row in rows), "")
    return files | {
        "Labels/labels_consensus.csv": consensus.getvalue(),
        "Labels/labels_detailed.csv": detailed.getvalue(),
    }


def expected(row: dict[str, str], evidence: Path) -> dict[str, Any]:
    votes = _votes(PurePosixPath(row["path"]).stem, evidence)
    hidden = row["split"] == "Test3"
    return {
        "audio_path": row["path"],
        "perceived_raw": None if hidden else _code(row, evidence),
        "votes_raw": {"all": votes} if votes else {},
        "speaker_id": row["speaker"] or None,
        "provider_partition": None if hidden else PARTITIONS[_part(row)],
        "excluded_reason": hidden,
    }


def _part(row: dict[str, str]) -> str:
    return row["split"].split("|")[0]


def _code(row: dict[str, str], evidence: Path) -> str:
    """The label of 1.8 or, where that is not known, of 1.11; else the plurality of the votes."""
    if row["label"]:
        return row["label"]
    votes = _votes(PurePosixPath(row["path"]).stem, evidence)
    most = [code for code, word in CODES.values() if votes.get(word) == max(votes.values())]
    return most[0] if len(most) == 1 else "X"


def _votes(stem: str, evidence: Path) -> dict[str, int]:
    row = _shares(evidence).get(stem)
    if row is None:
        return {}
    counts = {word: round(float(row[name]) * int(row["min_votes"])) for name, (_, word) in CODES.items()}
    return {word: n for word, n in counts.items() if n} | {"Other": 1}


@cache
def _shares(evidence: Path) -> dict[str, dict[str, str]]:
    with gzip.open(evidence / "votes" / "msp-podcast.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return {row["utterance"]: row for row in csv.DictReader(file)}
