"""PAVOQUE: a yaml file beside each flac, with made-up texts and no phones.

In the outtakes, prompts of several styles share a start, so that only prompt and style together tell rows apart.
"""

from pathlib import Path
from typing import Any

from native import Row


def tree(rows: list[Row], evidence: Path) -> dict[str, str | bytes]:
    contents: dict[str, str | bytes] = {}
    for path in sorted({row["path"] for row in rows}):
        records = [
            f"- prompt: {row['prompt']}\n  text: 'Satz {row['prompt']}:'\n  style: {row['label']}\n"
            f"  start: {row['start_s']}\n  end: {row['end_s']}\n"
            for row in rows
            if row["path"] == path
        ]
        contents |= {path: "", f"{Path(path).stem}.yaml": "---\n" + "".join(records)}
    return contents


def expected(row: Row, evidence: Path) -> dict[str, Any]:
    return {
        "stem": f"{row['prompt']}-{row['label']}",
        "audio_path": row["path"],
        "expressed_raw": row["label"],
        "speaker_id": row["speaker"],
        "transcript": f"Satz {row['prompt']}:",
        "start_s": float(row["start_s"]),
        "end_s": float(row["end_s"]),
    }
