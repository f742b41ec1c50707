"""TurEV-DB: Sound Source/<Angry|Calm|Happy|Sad>/<speaker>_<two letters of the emotion>_<word>.wav."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

FOLDERS = {"kz": "Angry", "sk": "Calm", "mt": "Happy", "hl": "Sad"}
# "7895_hl_ogul1": one word carries a digit.
NAME = re.compile(r"(?P<speaker>\d{4})_(?P<letters>kz|sk|mt|hl)_[a-z]+\d*")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actor's intended label, as its folder names it.

    Raises:
        WrongLayout: a file's two letters say another emotion than its folder.
    """
    for path in tree.glob("Sound Source/*/*.wav"):
        if name := NAME.fullmatch(path.stem):
            tree.check_folder(path, FOLDERS[name["letters"]], by="its letters say")
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=path.parent.name,
                speaker_id=name["speaker"],
            )
