"""MESD: Mexican Emotional Speech Database (MESD)/<emotion>_<F|M|C>_<A|B>_<word>.wav."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

GENDERS = {"F": "female", "M": "male", "C": None}
EMOTIONS = ("Anger", "Disgust", "Fear", "Happiness", "Neutral", "Sadness")
# A word may hold the separator.
NAME = re.compile(rf"(?P<emotion>{'|'.join(EMOTIONS)})_(?P<voice>[FMC])_[AB]_.+")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the intended emotion. No file tells the speaker, nor whether a child is a girl."""
    for path in nearest_copies(tree.glob("**/*_[FMC]_[AB]_*.wav")):
        if name := NAME.fullmatch(path.stem):
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["emotion"],
                speaker_gender=GENDERS[name["voice"]],
            )
