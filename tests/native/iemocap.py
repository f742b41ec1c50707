"""dialog/EmoEvaluation of IEMOCAP, rebuilt from consensus codes and from shares of votes.

The shares count the actor's own report beside the outside raters, and do not tell them apart: here the last label is
the actor's. The codes of turns outside the four classes were not seen; ``xxx`` stands for them.
"""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

WORDS = {
    "angry": "Anger",
    "disgust": "Disgust",
    "excited": "Excited",
    "fear": "Fear",
    "frustrated": "Frustration",
    "happy": "Happiness",
    "neutral": "Neutral",
    "sad": "Sadness",
    "surprise": "Surprise",
}
N_RATERS = 3
LABELS_A_RATER = 2


def tree(rows: Iterable[dict[str, str]], evidence: Path) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {}
    blocks: defaultdict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(rows):
        path = PurePosixPath(row["path"])
        *outside, reported = given(path.stem, evidence)
        # Outside raters give up to two labels each, as some do in the real files.
        raters = [outside[i : i + LABELS_A_RATER] for i in range(0, len(outside), LABELS_A_RATER)]
        lines = [
            f"[{number}.0000 - {number}.5000]\t{path.stem}\t{row['label'] or 'xxx'}\t[2.5000, 2.5000, 2.5000]",
            *(
                f"C-E{i}:\t{''.join(f'{label}; ' for label in labels).rstrip()}\t()"
                for i, labels in enumerate(raters, 1)
            ),
            f"C-{path.stem[-4]}1:\t{reported};\t(curious)",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "",
        ]
        blocks[f"{path.parts[0]}/dialog/EmoEvaluation/{path.parts[3]}.txt"].append("\n".join(lines))
        files[row["path"]] = ""
        files[str(path.with_name(f"._{path.name}"))] = b"\x00\x05\x16\x07"
    head = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    return files | {path: head + "\n".join(parts) for path, parts in blocks.items()}


def expected(row: dict[str, str], evidence: Path) -> dict[str, Any]:
    turn = PurePosixPath(row["path"]).stem
    *outside, reported = given(turn, evidence)
    return {
        "audio_path": row["path"],
        "expressed_raw": reported,
        "perceived_raw": row["label"] or "xxx",
        "votes_raw": {"outside": Counter(outside), "with-self-report": Counter([*outside, reported])},
        "speaker_id": row["speaker"],
        "session_id": turn.rpartition("_")[0],
        "provider_partition": f"fold:{row['path'][len('Session')]}",
    }


def given(turn: str, evidence: Path) -> list[str]:
    """Labels in the shares of the table; at least one by each outside rater and one by the actor."""
    row = _shares(evidence)[turn]
    n = int(row["min_votes"])
    labels = [WORDS[name] for name in WORDS for _ in range(round(float(row[name]) * n))]
    return labels * (1 + N_RATERS // n)


@cache
def _shares(evidence: Path) -> dict[str, dict[str, str]]:
    with gzip.open(evidence / "votes" / "iemocap.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return {row["utterance"]: row for row in csv.DictReader(file)}
