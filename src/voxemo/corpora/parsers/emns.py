"""EMNS: cleaned_webm/recorded_audio_<7 characters>.webm, and metadata.csv with ``|`` between its fields."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

TABLE = "metadata.csv"
COLUMNS = ("utterance", "emotion", "status", "gender", "audio_recording", "user_id")
# The archives are two versions of the same recordings; "wavs" is the folder that the table names and no archive has.
FOLDERS = ("cleaned_webm", "raw_webm", "wavs")
NAME = re.compile(r"recorded_audio(?:_\w+)?")
COMPLETE = "Complete"


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording of the table with the emotion that the speaker was asked for.

    Where both archives are unpacked, the cleaned recordings are read. Rows that are not marked as complete are outside
    the benchmark.

    Raises:
        WrongLayout: the table is missing or not in its provider's form.
    """
    if not tree.exists(TABLE):
        raise tree.wrong_layout(
            f"the table {TABLE!r} beside the folder of recordings",
            listing(tree.top_level()),
            "It is a file of its own at OpenSLR 136.",
        )
    rows = {
        PurePosixPath(row["audio_recording"]).name: row for row in tree.read_csv(TABLE, delimiter="|", columns=COLUMNS)
    }
    folder = next((name for name in FOLDERS if tree.has(f"{name}/*.webm")), FOLDERS[0])
    for path in tree.glob(f"{folder}/*.webm"):
        row = rows.get(path.name)
        if row is None or not NAME.fullmatch(path.stem):
            continue
        gender = row["gender"].lower()
        yield ParsedUtterance(
            stem=path.stem,
            audio_path=str(path),
            expressed_raw=row["emotion"],
            speaker_id=row["user_id"],
            speaker_gender=gender if gender in ("female", "male") else None,
            transcript=row["utterance"],
            excluded_reason=None if row["status"] == COMPLETE else f"status in the table: {row['status']}",
        )
