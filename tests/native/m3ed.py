"""annotation.json and splitInfo of M3ED, rebuilt from names, speakers and labels; all annotators agree."""

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

LISTS = {"train": "train", "valid": "val", "test": "test"}
VOTERS = 3


def tree(rows: Iterable[dict[str, str]], evidence: Path) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {}
    shows: dict[str, Any] = {}
    partitions: dict[str, dict[str, None]] = {name: {} for name in LISTS}
    for row in rows:
        letter, show, dialogue, name = _parts(row)
        part = shows.setdefault(show, {}).setdefault(dialogue, {"SpeakerInfo": {}, "Dialog": {}})
        speaker = {"Name": row["speaker"].removeprefix(f"{show}_"), "Age": "mid", "Gender": "female", "OtherName": []}
        part["SpeakerInfo"][letter] = speaker
        emotions = {f"EmoAnnotator{i}": row["label"] for i in range(1, VOTERS + 1)}
        part["Dialog"][name] = {
            "StartTime": "00:00:00:01",
            "EndTime": "00:00:01:04",
            "Text": "",
            "Speaker": letter,
            "EmoAnnotation": emotions | {"final_mul_emo": row["label"], "final_main_emo": row["label"]},
        }
        partitions[row["provider_split"]][show] = None
        files[row["path"]] = ""
    for partition, name in LISTS.items():
        files[f"splitInfo/movie_list_{name}.txt"] = "\n".join(partitions[partition])
    return files | {"annotation.json": json.dumps(shows, ensure_ascii=False)}


def expected(row: dict[str, str], evidence: Path) -> dict[str, Any]:
    return {
        "audio_path": row["path"],
        "perceived_raw": row["label"],
        "votes_raw": {"all": {row["label"]: VOTERS}},
        "speaker_id": row["speaker"],
        "session_id": _parts(row)[2],
        "provider_partition": row["provider_split"],
        "excluded_reason": None,
    }


def _parts(row: dict[str, str]) -> tuple[str, str, str, str]:
    """Letter, show, dialogue and utterance."""
    letter, name = PurePosixPath(row["path"]).stem.split("_", 1)
    dialogue = name.rpartition("_")[0]
    return letter, dialogue.rpartition("_")[0], dialogue, name
