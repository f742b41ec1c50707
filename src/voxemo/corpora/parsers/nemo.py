"""nEMO: samples/<speaker>_<emotion>_<sentence>.wav, and data.tsv with what was said and who the speakers are.

The recordings alone are enough for the labels; the table adds texts, genders and ages.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

TABLE = "data.tsv"
COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender", "age")
NAME = re.compile(r"(?P<speaker_id>[A-Z]{2}\d)_(?P<emotion>anger|fear|happiness|neutral|sadness|surprised)_\d+")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actor's intended emotion.

    Raises:
        WrongLayout: the table is not in its provider's form, is about other recordings, or contradicts a file's name.
    """
    recordings = [
        (path, name)
        for path in nearest_copies(tree.glob("**/samples/*.wav"))
        if (name := NAME.fullmatch(path.stem)) is not None
    ]
    rows = _table(tree, recordings[0][0].parent.parent / TABLE) if recordings else {}
    if rows and not any(path.name in rows for path, _ in recordings):
        raise tree.wrong_layout(
            f"recordings such as {recordings[0][0].name!r} in the column 'file_id' of {TABLE!r}", listing(list(rows))
        )
    for path, name in recordings:
        row = rows.get(path.name, {})
        for field, told in name.groupdict().items():
            if row.get(field, told) != told:
                raise tree.wrong_layout(f"the {field} {told!r} of {path.name!r} in {TABLE!r}", repr(row[field]))
        yield ParsedUtterance(
            stem=path.stem,
            audio_path=str(path),
            expressed_raw=name["emotion"],
            speaker_id=name["speaker_id"],
            speaker_gender=row.get("gender"),
            speaker_age=_age(tree, row["age"]) if row else None,
            transcript=row.get("raw_text"),
        )


def _table(tree: CorpusTree, path: PurePosixPath) -> dict[str, Mapping[str, str]]:
    if not tree.exists(path):
        return {}
    # The speakers' ids stand behind eight blanks.
    rows = [
        {column: text.strip() for column, text in row.items()}
        for row in tree.read_csv(path, delimiter="\t", columns=COLUMNS)
    ]
    return {row["file_id"]: row for row in rows}


def _age(tree: CorpusTree, age: str) -> int:
    if not age.isdecimal():
        raise tree.wrong_layout(f"ages in whole years in {TABLE!r}", repr(age))
    return int(age)
