"""ASED: <01Neutral|...|05Angry>/<letter><digit>-<sentence>-<repetition>-<gender>-<speaker>.wav."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

FOLDERS = {"n1": "01Neutral", "f2": "02Fearful", "h3": "03Happy", "s4": "04Sad", "a5": "05Angry"}
# One file's name starts with a capital.
NAME = re.compile(r"(?P<letter>[nfhsaNFHSA])(?P<digit>[1-5])-\d\d-\d\d-(?P<gender>0[12])-(?P<speaker>\d\d)")
GENDERS = {"01": "female", "02": "male"}
# These numbers occur with both codes of gender.
GENDER_UNCLEAR = {"09", "15", "21", "23", "25"}


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the label that at least five of eight judges gave it.

    Raises:
        WrongLayout: a file's letter and digit say another emotion than its folder.
    """
    for path in nearest_copies(tree.glob("**/0[1-5]*/?[1-5]-*.wav")):
        if name := NAME.fullmatch(path.stem):
            folder = FOLDERS.get(name["letter"].lower() + name["digit"])
            if folder != path.parent.name:
                expected = f"{path.name!r} in the folder {folder!r}" if folder else f"a letter for {name['digit']!r}"
                raise tree.wrong_layout(f"{expected}, as its name says", f"{path.name!r} in {path.parent.name!r}")
            speaker = name["speaker"]
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                perceived_raw=name["letter"],
                speaker_id=speaker,
                speaker_gender=None if speaker in GENDER_UNCLEAR else GENDERS[name["gender"]],
            )
