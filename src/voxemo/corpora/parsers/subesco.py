"""SUBESCO: <F|M>_<number>_<name>_S_<sentence>_<emotion>_<take>.wav, all in one folder."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

EMOTIONS = ("ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL", "SAD", "SURPRISE")
# "F_02_MONIKA_S_2_SURPRISE_3]": one take number is followed by a bracket.
NAME = re.compile(rf"(?P<speaker>(?P<gender>[FM])_\d{{2}})_.+_S_\d+_(?P<emotion>{'|'.join(EMOTIONS)})_\d\]?")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actor's intended emotion."""
    for path in nearest_copies(tree.glob("**/[FM]_[0-9][0-9]_*_S_*_*.wav")):
        if name := NAME.fullmatch(path.stem):
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["emotion"],
                # Women and men are numbered apart, so the number alone is no speaker.
                speaker_id=name["speaker"],
                speaker_gender="female" if name["gender"] == "F" else "male",
            )
