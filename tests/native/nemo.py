"""nEMO's data.tsv, with made-up texts; the listing's columns gender and age come from it."""

from pathlib import Path
from typing import Any

from native import Row

HEADER = ("file_id", "emotion", "raw_text", "normalized_text", "speaker_id", "gender", "age")


def tree(rows: list[Row], evidence: Path) -> dict[str, str | bytes]:
    lines = ["\t".join(HEADER)]
    for row in rows:
        text = _text(row)
        file_id = Path(row["path"]).name
        fields = (
            file_id,
            row["label"],
            f"{text}.",
            text.lower(),
            f"        {row['speaker']}",
            row["gender"],
            row["age"],
        )
        lines.append("\t".join(fields))
    return {row["path"]: "" for row in rows} | {"data.tsv": "\n".join(lines) + "\n"}


def expected(row: Row, evidence: Path) -> dict[str, Any]:
    return {
        "audio_path": row["path"],
        "stem": Path(row["path"]).stem,
        "expressed_raw": row["label"],
        "speaker_id": row["speaker"],
        "speaker_gender": row["gender"],
        "speaker_age": int(row["age"]),
        "transcript": f"{_text(row)}.",
    }


def _text(row: Row) -> str:
    return f"Zdanie numer {Path(row['path']).stem.rsplit('_', 1)[1]}"
