"""RESD: {train,test}/<dialogue>/<dialogue>[_ ]<letter of the emotion>_<number>.wav, and tables train.csv and test.csv.

A dialogue is ``<emotion>_<emotion>_<number>`` as a folder and ``<number>_<emotion>_<emotion>`` in the file's name;
where the folder starts with the number too, a blank stands before the letter.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

PARTITIONS = ("test", "train")
LETTERS = {
    "a": "anger",
    "d": "disgust",
    "e": "enthusiasm",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "s": "sadness",
}
NAME = re.compile(r"(?P<dialogue>\d+_[a-z]+_[a-z]+)[ _](?P<letter>[adefhns])_\d+")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with its intended emotion and its dialogue. Who speaks is not told.

    Raises:
        WrongLayout: a file's name says another dialogue than its folder or another emotion than the table, or a table
            is not in its documented form.
    """
    for partition in PARTITIONS:
        table = f"{partition}.csv"
        emotions = _emotions(tree, table)
        for path in tree.glob(f"{partition}/*/*.wav"):
            name = NAME.fullmatch(path.stem)
            if name is None:
                continue
            folder = path.parent.name
            if sorted(name["dialogue"].split("_")) != sorted(folder.split("_")):
                raise tree.wrong_layout(f"{path.name!r} in the folder of its dialogue", f"it in {folder!r}")
            said = LETTERS[name["letter"]]
            listed = emotions.get(_key(str(path)), said)
            if listed != said:
                raise tree.wrong_layout(f"{path.name!r} as {said!r} in {table!r}, as its letter says", repr(listed))
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=said,
                session_id=folder,
                provider_partition=partition,
            )


def _emotions(tree: CorpusTree, table: str) -> dict[str, str]:
    if not tree.exists(table):
        return {}
    return {_key(row["path"]): row["emotion"] for row in tree.read_csv(table, columns=("path", "emotion"))}


def _key(path: str) -> str:
    """Folder and name: the tables' paths start below ``train`` or ``test``."""
    return "/".join(PurePosixPath(path).parts[-2:])
