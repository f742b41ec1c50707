"""URDU: <Angry|Happy|Neutral|Sad>/S<M|F><speaker>_F<file>_<A|H|N|S><number>.wav."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

FOLDERS = {"A": "Angry", "H": "Happy", "N": "Neutral", "S": "Sad"}
NAME = re.compile(r"(?P<speaker>S(?P<gender>[MF])\d+)_F\d+_(?P<label>[AHNS])\d+")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every clip with the label that its annotators gave: they are talk-show clips, nobody was asked to act.

    Raises:
        WrongLayout: a file's letter says another emotion than its folder.
    """
    for path in tree.glob("*/*.wav"):
        if name := NAME.fullmatch(path.stem):
            tree.check_folder(path, FOLDERS[name["label"]], by="its letter says")
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                perceived_raw=name["label"],
                # A speaker keeps the id across the emotions; the number after F counts files.
                speaker_id=name["speaker"],
                speaker_gender="male" if name["gender"] == "M" else "female",
            )
