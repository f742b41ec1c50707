"""AESDD: <emotion>/<letter><number> (<speaker>)[a|b].wav."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

FOLDERS = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "s": "sadness"}
# "d03 (01)" and "d02 (1)" are of one speaker; "s01 (5)a" and "s01 (5)b" are two recordings.
NAME = re.compile(r"(?P<letter>[adfhs])\d{2} \((?P<speaker>\d+)\)[a-z]?")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actor's intended emotion, as the first letter of its name.

    Raises:
        WrongLayout: a file's letter says another emotion than its folder.
    """
    paths = (path for folder in FOLDERS.values() for path in tree.glob(f"**/{folder}/*.wav"))
    for path in nearest_copies(paths):
        if name := NAME.fullmatch(path.stem):
            tree.check_folder(path, FOLDERS[name["letter"]], by="its letter says")
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["letter"],
                speaker_id=str(int(name["speaker"])),
            )
