"""ShEMO: shemo.json, the cleaned version's list, which lacks some of the files; transcripts are made up."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from native import Row


def tree(rows: list[Row], evidence: Path) -> dict[str, str | bytes]:
    cleaned = [
        {
            "id": PurePosixPath(row["path"]).stem,
            "gender": PurePosixPath(row["path"]).parts[0],
            "emotion": row["emobox_native"],
            "transcript": "بله",
            "ipa": "salam",
        }
        for row in rows
        if row["emobox_native"]
    ]
    return {row["path"]: "" for row in rows} | {"shemo.json": json.dumps(cleaned)}


def expected(row: Row, evidence: Path) -> dict[str, Any]:
    cleaned = bool(row["emobox_native"])
    return {
        "audio_path": row["path"],
        "perceived_raw": row["label"],
        "speaker_id": row["speaker"],
        "speaker_gender": PurePosixPath(row["path"]).parts[0],
        "transcript": "بله" if cleaned else None,
        "excluded_reason": not cleaned,
    }
