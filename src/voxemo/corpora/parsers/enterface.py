"""eNTERFACE: subject <n>/<emotion>/sentence <1-5>/s<n>_<two letters of the emotion>_<1-5>.avi."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

FOLDERS = {
    "an": "anger",
    "di": "disgust",
    "fe": "fear",
    "ha": "happiness",
    "sa": "sadness",
    "su": "surprise",
}
# Subject 6 has one uncut file per emotion, and no folders of sentences.
PLACE = re.compile(r"(?:.*/)?subject (?P<subject>\d+)/(?P<emotion>[a-z]+)/(?:sentence \d+/)?(?P<name>[^/]+)\.avi")
# Subject 11's files are called "s12_...", some of subject 3's "s_3_...", and one file is "s16_su_3avi.avi".
NAME = re.compile(r"s_?\d+_(?P<letters>an|di|fe|ha|sa|su)(?:_\d+(?:avi)?)?")

OVERWRITTEN = "12"
CLASH = "the files of subject 11 have the same names, and EmoBox keeps those"


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every clip with the subject's intended label.

    The subject is the folder's: the number in a file's name is wrong for all of subject 11.

    Raises:
        WrongLayout: a file's two letters say another emotion than its folder.
    """
    for path in tree.glob("**/subject */**/s*.avi"):
        place = PLACE.fullmatch(str(path))
        name = NAME.fullmatch(place["name"]) if place else None
        if place is None or name is None:
            continue
        tree.check_folder(path, FOLDERS[name["letters"]], by="its letters say", found=place["emotion"])
        speaker = f"s{place['subject']}"
        yield ParsedUtterance(
            # Names repeat in the folders of subjects 11 and 12.
            stem=f"{speaker}/{path.stem}",
            audio_path=str(path),
            expressed_raw=name["letters"],
            speaker_id=speaker,
            outside_paper=CLASH if place["subject"] == OVERWRITTEN else None,
        )
