"""Polish: <speaker>.<a|n|s>_<word>_<take>.wav, all in one folder."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

# S is strach, fear.
NAME = re.compile(r"(?P<speaker>m\d)\.(?P<emotion>[ans])_(?P<word>[^_]+)_\d")


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the speaker's intended emotion and the one word that is said."""
    for path in nearest_copies(tree.glob("**/m[0-9].[ans]_*_[0-9].wav")):
        if name := NAME.fullmatch(path.stem):
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["emotion"],
                speaker_id=name["speaker"],
                transcript=name["word"],
            )
