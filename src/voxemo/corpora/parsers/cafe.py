"""CaFE: CaFE_48k/<emotion>[/<intensity>]/<actor>-<letter>-<intensity>-<sentence>.wav."""

import re
from collections.abc import Iterator

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

NAME = re.compile(r"(?P<actor>\d{2})-(?P<emotion>[CDJNPST])-[12]-\d")
BENCHMARK_RELEASE = "**/CaFE_48k/**/*.wav"


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the actor's intended emotion, a letter of the French word; S is surprise.

    The release at 192 kHz has the same names; where both are there, the one at 48 kHz is read.
    """
    # Folders are not looked at: the archive's names are in a DOS encoding, which unzip tools turn into "ColŠre".
    for path in nearest_copies(tree.glob(BENCHMARK_RELEASE) or tree.glob("**/*.wav")):
        if name := NAME.fullmatch(path.stem):
            yield ParsedUtterance(
                stem=path.stem,
                audio_path=str(path),
                expressed_raw=name["emotion"],
                speaker_id=name["actor"],
            )
