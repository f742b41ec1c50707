"""Oreau: OréauFR_02/<f|m>/sess<letter>/<speaker>a<sentence><emotion>a.wav; sess and emotion are the same letter."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

GENDERS = {"f": "female", "m": "male"}
# "07z03Sa": two files have z after the speaker.
NAME = re.compile(r"(?P<speaker>\d{2})[az]\d{2}(?P<emotion>[CDJNPST])a")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the intended emotion, a letter of the French word; S is surprise, T tristesse.

    Raises:
        WrongLayout: a file's letter says another emotion than its folder.
    """
    # The root's name is not asked for: it holds an accent, which unpacking may spoil.
    for path in nearest_copies(tree.glob("**/[fm]/sess[cdjnpst]/*.wav")):
        if name := NAME.fullmatch(path.stem):
            tree.check_folder(path, f"sess{name['emotion'].lower()}", by="its letter says")
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["emotion"],
                speaker_id=name["speaker"],
                speaker_gender=GENDERS[path.parts[-3]],
            )
