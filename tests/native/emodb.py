"""EmoDB: the listing is of version 1.x, which has no tables and lacks the ambiguous clips of version 2.0."""

from pathlib import Path
from typing import Any

from native import Row

DIFFERENCES = {"utterances": (816, 535)}


def expected(row: Row, evidence: Path) -> dict[str, Any]:
    return {
        "audio_path": row["path"],
        "expressed_raw": row["label"],
        "speaker_id": row["speaker"],
        "provider_partition": "test" if row["speaker"] in ("12", "14", "15", "16") else "train",
    }
