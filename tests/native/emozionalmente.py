"""Emozionalmente: metadata/{samples,users,evaluations}.csv. Sentences and listeners are not listed and made up."""

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from native import Row

HASH = 64
EMOTIONS = ("anger", "disgust", "fear", "joy", "neutrality", "sadness", "surprise")


@cache
def votes(evidence: Path) -> dict[str, dict[str, int]]:
    """File name to the listeners of each emotion that anybody recognised."""
    rows = pl.read_csv(evidence / "votes" / "emozionalmente.csv.gz").iter_rows(named=True)
    return {row["utterance"]: {emotion: row[emotion] for emotion in EMOTIONS if row[emotion]} for row in rows}


def tree(rows: list[Row], evidence: Path) -> dict[str, str | bytes]:
    samples = ["file_name,sentence,sentence_language,actor,emotion_expressed"]
    evaluations = ["file_name,evaluator,audio_quality,emotion_recognized"]
    users = {row["speaker"]: f"{row['speaker']:0<{HASH}},{row['gender']},{row['age']},italian" for row in rows}
    for row in rows:
        name = PurePosixPath(row["path"]).name
        samples.append(f"{name},Una frase,italian,{row['speaker']:0<{HASH}},{row['label']}")
        answers = [emotion for emotion, n in votes(evidence)[name].items() for _ in range(n)]
        evaluations += [f"{name},{number:0<{HASH}},good,{answer}" for number, answer in enumerate(answers)]
    return {row["path"]: "" for row in rows} | {
        "metadata/samples.csv": "\n".join(samples) + "\n",
        "metadata/evaluations.csv": "\n".join(evaluations) + "\n",
        "metadata/users.csv": "\n".join(["username,gender,age,mother_tongue", *users.values()]) + "\n",
    }


def expected(row: Row, evidence: Path) -> dict[str, Any]:
    counts = votes(evidence)[PurePosixPath(row["path"]).name]
    first, second = (*sorted(counts.values(), reverse=True), 0)[:2]
    return {
        "audio_path": row["path"],
        "expressed_raw": row["label"],
        "perceived_raw": None if first == second else max(counts, key=lambda emotion: counts[emotion]),
        "votes_raw": {"all": counts},
        "speaker_id": row["speaker"],
        "speaker_gender": None if row["gender"] == "other" else row["gender"],
        "speaker_age": int(row["age"]),
    }
