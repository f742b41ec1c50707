"""EMOVO: <speaker>/<emotion>-<speaker>-<sentence>.wav, speakers f1 to f3 and m1 to m3."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

NAME = re.compile(r"(?P<emotion>dis|gio|neu|pau|rab|sor|tri)-(?P<speaker>[fm]\d)-[a-z]\d")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actor's intended emotion, the first three letters of its Italian name.

    Raises:
        WrongLayout: a file's name says another speaker than its folder.
    """
    for path in nearest_copies(tree.glob("**/[fm][0-9]/*.wav")):
        if name := NAME.fullmatch(path.stem):
            tree.check_folder(path, name["speaker"], by="its name says")
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["emotion"],
                speaker_id=name["speaker"],
                speaker_gender="female" if name["speaker"].startswith("f") else "male",
            )
