"""The label table of EmotionTalk's repository; the JSON files of the distribution were not seen."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any


def tree(rows: Iterable[dict[str, str]], evidence: Path) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = dict.fromkeys((row["path"] for row in rows), "")
    lines = ["file_name,emotion", *(f"{_key(row)}.mp4,{row['label']}" for row in rows)]
    return files | {"EmotionTalk/dataset/mm-process/mm.csv": "\n".join(lines)}


def expected(row: dict[str, str], evidence: Path) -> dict[str, Any]:
    return {
        "audio_path": row["path"],
        "perceived_raw": row["label"],
        "speaker_id": row["speaker"],
        "session_id": PurePosixPath(row["path"]).parts[3],
        "provider_partition": row["emobox_folds"],
    }


def _key(row: dict[str, str]) -> str:
    return row["path"].removeprefix("Audio/wav/").removesuffix(".wav")
