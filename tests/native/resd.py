"""RESD: train.csv and test.csv beside the folders of the same names."""

from pathlib import Path
from typing import Any

from native import Row


def tree(rows: list[Row], evidence: Path) -> dict[str, str | bytes]:
    tables = {
        f"{part}.csv": "".join(
            ["path,emotion\n"]
            + [
                f"{row['path'].removeprefix(f'{part}/')},{row['label']}\n"
                for row in rows
                if row["provider_split"] == part
            ]
        )
        for part in ("train", "test")
    }
    return {row["path"]: "" for row in rows} | tables


def expected(row: Row, evidence: Path) -> dict[str, Any]:
    return {
        "audio_path": row["path"],
        "expressed_raw": row["label"],
        "speaker_id": None,
        "session_id": row["dialog"],
        "provider_partition": row["provider_split"],
    }
