"""JL-Corpus: .../JL(wav+txt)/<female|male><1|2>_<emotion>_<number><a|b>_<1|2>.wav."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

NAME = re.compile(r"(?P<speaker>(?P<gender>female|male)\d)_(?P<emotion>[a-z]+)_\d+[ab]_\d")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actor's intended label."""
    for path in nearest_copies(tree.glob("**/*male[0-9]_*_*_[0-9].wav")):
        if name := NAME.fullmatch(path.stem):
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["emotion"],
                speaker_id=name["speaker"],
                speaker_gender=name["gender"],
            )
