"""CREMA-D's table of tabulated votes, all three ways of asking, and the actors that a sample of their table names.

The shares, means and medians of the answers' strength, which the parser does not read, are made up. The table of single
answers was not seen.
"""

import csv
import gzip
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from native import Row

ACTORS = "VideoDemographics.csv"
TABULATED = "processedResults/tabulatedVotes.csv"
CODES = ("A", "D", "F", "H", "N", "S")
KINDS = {"voice": 1, "face": 2, "audiovisual": 3}
EMOTIONS = ("Emo", "Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
MEANS = (*(f"mean{name}Resp" for name in EMOTIONS), "medianEmoResp")
HEADER = (
    *("", *CODES, "fileName", "numResponses", "agreement", "emoVote"),
    *(*MEANS, *(f"{name}Norm" for name in MEANS)),
)


def tree(rows: list[Row], evidence: Path) -> dict[str, str | bytes]:
    return {
        **{row["path"]: "" for row in rows},
        ACTORS: _actors_sample(evidence).read_bytes(),
        TABULATED: _tabulated(_votes(evidence)),
    }


def expected(row: Row, evidence: Path) -> dict[str, Any]:
    clip = Path(row["path"]).stem
    votes = _votes(evidence)[clip]["voice"]
    actor = _actors(evidence).get(row["speaker"])
    return {
        "audio_path": row["path"],
        "stem": clip,
        "expressed_raw": row["label"],
        "speaker_id": row["speaker"],
        "speaker_gender": actor["Sex"].lower() if actor else None,
        "speaker_age": int(actor["Age"]) if actor else None,
        "votes_raw": {"filtered": {code: int(votes[code]) for code in CODES}},
        "perceived_raw": None if ":" in votes["emo_vote"] else votes["emo_vote"],
    }


def _tabulated(votes: Mapping[str, Mapping[str, Row]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(HEADER)
    for kind, first_digit in KINDS.items():
        for number, (clip, answers) in enumerate(votes.items(), 1):
            row = answers[kind]
            counts = (int(row[code]) for code in CODES)
            told = (clip, int(row["n_annotators"]), float(row["agreement"]), row["emo_vote"])
            writer.writerow((f"{first_digit}{number:05d}", *counts, *told, *(-1 for _ in MEANS), *(-1 for _ in MEANS)))
    return file.getvalue()


@cache
def _votes(evidence: Path) -> dict[str, dict[str, Row]]:
    """Clip to modality to the row of votes."""
    votes: dict[str, dict[str, Row]] = {}
    with gzip.open(evidence / "votes" / "crema-d.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            votes.setdefault(row["utterance"], {})[row["modality"]] = row
    return votes


@cache
def _actors(evidence: Path) -> dict[str, Row]:
    with _actors_sample(evidence).open(encoding="utf-8", newline="") as file:
        return {row["ActorID"]: row for row in csv.DictReader(file)}


def _actors_sample(evidence: Path) -> Path:
    return evidence / "native-samples" / "crema-d" / ACTORS
